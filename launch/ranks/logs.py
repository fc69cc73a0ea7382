"""The logs of a launch: each rank and the launcher have a file, so that the terminal belongs to one process."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path


def redirect_output(path: Path) -> None:
    """Send everything this process prints, C++ messages included, to ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def last_line(path: Path) -> str | None:
    """The last line of a log that says something, and not in dashes alone; None where there is none."""
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return None
    return next((line for line in reversed(lines) if line.strip("-=*# ")), None)


def remove_log(path: Path) -> None:
    """Take a log away, and the folders that held nothing else: logs are kept for failures only."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()


def blamed_by_launcher(said: str, pids: Sequence[int]) -> str | None:
    """Which rank a launcher's output names, the only witness where all went down at once; None where it names none.

    hydra (MPICH) names the process, Open MPI and torchrun the rank; all of them the signal or the exit code.
    """
    root = said.partition("Root Cause")[2] or said
    rank = re.search(r"\brank\s*:?\s+(\d+)", root, re.IGNORECASE)
    process = re.search(r"\bPID:?\s+(\d+)", root)
    number = int(rank[1]) if rank else None
    if number is None and process and int(process[1]) in pids:
        number = list(pids).index(int(process[1]))
    if number is None:
        return None
    how = re.search(r"SIG[A-Z]{3,4}\b|signal:? \d+|exit ?code\s*:? -?\d+", root, re.IGNORECASE)
    return f"rank {number} died ({' '.join(how[0].split()).lower() if how else 'no reason given'})"
