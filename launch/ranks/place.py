"""Where and how this process runs: what every rank says of itself at the beginning of a launch."""

from __future__ import annotations

import os
from typing import Any


def placed() -> dict[str, Any]:
    """Where and how this rank runs."""
    import torch

    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    policy = {os.SCHED_RR: "rr", os.SCHED_BATCH: "batch", os.SCHED_OTHER: "other"}.get(os.sched_getscheduler(0), "?")
    return {
        "pid": os.getpid(),
        "affinity": affinity,
        "scheduler": policy,
        "torch_threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
