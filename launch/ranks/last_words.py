"""What a launcher says when it ends: the only witness where all ranks went down at once."""

from __future__ import annotations

import re
from collections.abc import Sequence


def blamed_by_launcher(said: str, pids: Sequence[int]) -> str | None:
    """Which rank a launcher's last words name, where no rank was left to say anything; None where they name none.

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
