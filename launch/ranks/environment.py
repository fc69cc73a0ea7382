"""The process that a rank runs in: its variables, its memory, and what it says of where it runs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import inferometer
from inferometer.emulator.samples.environment import affinity, rank_usage, usable_cores
from inferometer.launch.ranks.identity import Identity

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of glibc's mallopt (malloc.h): from which free size on the heap is cut, how many pieces lie outside of it."""
NEVER = 2**31 - 1


def rank_environment(variables: Mapping[str, str], threads: int) -> dict[str, str]:
    """The environment of a rank: this process's, with so many OpenMP threads and huge pages unless the user said otherwise.

    Where torch's large tensors lie on small pages, which of them share a cache's sets is drawn by lot for every allocation,
    and with it how long the same step takes (docs/measuring.md; benchmarks/weight_pages.py).
    """
    return {"OMP_NUM_THREADS": str(threads), "THP_MEM_ALLOC_ENABLE": "1", **variables}


def with_program(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables, with this program on the module path where only the folder of the script or shell has led to it."""
    root = Path(inferometer.__file__).parents[1].resolve()
    if root != Path(sys.path[0] or ".").resolve():
        return dict(variables)
    known = variables.get("PYTHONPATH")
    return {**variables, "PYTHONPATH": f"{known}{os.pathsep}{root}" if known else str(root)}


def cores_given(identity: Identity | None) -> int:
    """Cores that all ranks of this node may use together.

    Under mpiexec those of its process, which started this one and may have bound it; under srun what Slurm says.
    """
    of = set(affinity())
    if identity is not None and identity.by_mpiexec:
        with contextlib.suppress(OSError):
            of |= set(affinity(os.getppid()))
    if identity is not None and identity.launcher == "slurm":
        given = os.environ.get("SLURM_CPUS_ON_NODE", "")
        of |= set(range(int(given))) if given.isdecimal() else set()
    return usable_cores(of)


def keep_memory() -> bool:
    """Let this process keep what it has once had. False where the C library has no such setting (it is not glibc).

    glibc returns large pieces to the kernel as they are freed, and how large "large" is depends on what was freed before:
    the same step takes now page faults for all its activations, now none. Serving engines keep their memory; so do ranks.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, NEVER))


def rank_report(threads: int, device: dict[str, Any]) -> dict[str, Any]:
    """Where and how this rank runs, as it says at the beginning of a launch. threads: as the method has them; device: its
    identity.
    """
    import torch  # which this file's other readers, the commands, do without

    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    policy = {os.SCHED_RR: "rr", os.SCHED_BATCH: "batch", os.SCHED_OTHER: "other"}.get(os.sched_getscheduler(0), "?")
    return {
        "threads": threads,
        "device": device,
        "pid": os.getpid(),
        "affinity": affinity,
        "scheduler": policy,
        "torch_threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
        **rank_usage(),
    }
