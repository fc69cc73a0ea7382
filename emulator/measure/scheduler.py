"""The scheduler class of the ranks: with gloo most of the noise is the kernel's, not the collective's.

gloo's transport thread spins while the holder of its lock is descheduled. Under the default class the 90th percentile is
2–10 times that under SCHED_RR; SCHED_BATCH is nearly as good, but collapses when anything else runs on the machine.
What is left under SCHED_RR is mostly cores that fall asleep: see awake.py.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from inferometer.emulator.measure.awake import reason_against
from inferometer.emulator.samples.environment import cpu_times

if TYPE_CHECKING:
    from inferometer.emulator.measure.method import Scheduler

RR_PRIORITY = 20
IDLE_BUSY_FRACTION = 0.10
"""Busier than this and SCHED_BATCH ranks wait behind the others for tens of milliseconds."""


def set_class(name: str) -> None:
    """Put this process (and the threads it starts from now on) into ``rr`` (``rr-awake`` too), ``batch`` or ``other``.

    Raises ``PermissionError`` where the kernel does not allow it, ``ValueError`` for another name.
    """
    if real_time(name):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(RR_PRIORITY))
    elif name == "batch":
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    elif name == "other":
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    else:
        raise ValueError(f"scheduler {name!r} is none of rr-awake, rr, batch, other")


def real_time(name: str) -> bool:
    """Whether the class is SCHED_RR."""
    return name in ("rr-awake", "rr")


def permitted(name: str) -> bool:
    """Whether this process may use the class: tried, and put back. (What speaks against ``rr-awake``: `awake`.)"""
    if not hasattr(os, "sched_setscheduler"):
        return name == "other"
    before, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        set_class(name)
    except PermissionError:
        return False
    os.sched_setscheduler(0, before, param)
    return True


def choose(backend: str, look_s: float = 0.3) -> tuple[Scheduler, str]:
    """The class that ``auto`` means here, and why in words. Watches the machine for ``look_s`` seconds."""
    if backend == "mpi":
        return "other", "MPI waits by spinning and yielding: a real-time class would starve everything else"
    if backend == "nccl":
        return "other", "the GPU does the work"
    if permitted("rr"):
        against = reason_against()
        if against is None:
            return (
                "rr-awake",
                "real-time, on cores kept awake: the least noisy for gloo; --scheduler other lets others go first",
            )
        return "rr", f"real-time, permitted; cores may sleep ({against}); --scheduler other yields to other work"
    busy = busy_fraction(look_s)
    if permitted("batch") and busy is not None and busy < IDLE_BUSY_FRACTION:
        return "batch", f"SCHED_RR is not permitted; the machine is idle ({busy:.0%} busy)"
    how_busy = "unknown load" if busy is None else f"{busy:.0%} busy"
    return "other", f"SCHED_RR is not permitted and SCHED_BATCH needs an idle machine ({how_busy})"


def busy_fraction(look_s: float) -> float | None:
    """The share of all cores' time that was not idle over the next ``look_s`` seconds; None where it cannot be read."""
    first = cpu_times()
    time.sleep(look_s)
    last = cpu_times()
    if first is None or last is None or last["total"] <= first["total"]:
        return None
    return 1 - (last["idle"] - first["idle"]) / (last["total"] - first["total"])
