"""Where a rank writes: its own file, so that the terminal belongs to one process."""

from __future__ import annotations

import contextlib
import os
import sys
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
    """The last line of a log that says something; None where there is none."""
    try:
        lines = [line.strip() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return None
    return next((line for line in reversed(lines) if line), None)


def remove_log(path: Path) -> None:
    """Take a log away, and the folders that held nothing else: logs are kept for failures only."""
    path.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent):
        with contextlib.suppress(OSError):
            folder.rmdir()
