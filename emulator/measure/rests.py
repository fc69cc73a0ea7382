"""Rests that keep real-time ranks from being stopped by the kernel in the middle of what is timed.

Linux leaves a share of every period to ordinary processes: real-time threads that computed through 950 ms of a second are
stopped for the other 50 (sched_rt_runtime_us of sched_rt_period_us; sched(7)). A rank that never sleeps would pay that in
the middle of its work: 5 % of a long prefill, or one decode step of several times the others' length. So it sleeps between
two things that are timed, often and long enough never to reach that limit. What computes longer than the limit without a
break is stopped all the same.
"""

from __future__ import annotations

import time
from pathlib import Path

from inferometer.emulator.measure.scheduler import real_time

KERNEL = Path("/proc/sys/kernel")
LEAST = 0.1
"""Of the period: the core's time since the last rest from which on another is due."""
SHARE = 2.5
"""A rest is this many times the share that the kernel leaves to others, of the time since the last rest …"""
MOST = 1.2
"""… but no longer than so many times what it leaves in one period: more cannot be asked for."""


class Rests:
    """Of one rank, as one scheduler class asks for them."""

    def __init__(self, scheduler: str, limits: tuple[float, float] | None, per_core: float = 1.0) -> None:
        """limits: runtime and period in seconds, of rt_limits. per_core: seconds of a core for one of the rank's."""
        self._per_core = per_core
        runtime_s, self._period_s = limits or (0.0, 0.0)
        self._withheld_s = self._period_s - runtime_s if real_time(scheduler) else 0.0
        self._since_s = time.process_time()

    @classmethod
    def here(cls, scheduler: str, ranks: int, threads: int, cores: int) -> Rests:
        """For one of so many ranks of this node, of so many threads each, on so many cores together.

        Ranks that share a core are on it in turn: what one of them had, the others have had as well. A rank's threads are
        on cores of their own as far as there are any.
        """
        on_cores = max(1.0, ranks * threads / cores)
        return cls(scheduler, rt_limits(), on_cores / threads)

    def rest(self) -> float:
        """Sleep if it is time to; between two things that are timed. Returns for how long, in seconds."""
        if not self._withheld_s:
            return 0.0
        busy_s = self._per_core * (time.process_time() - self._since_s)
        if busy_s < LEAST * self._period_s:
            return 0.0
        seconds = min(SHARE * busy_s * self._withheld_s / self._period_s, MOST * self._withheld_s)
        time.sleep(seconds)
        self._since_s = time.process_time()
        return seconds


def rt_limits(kernel: Path = KERNEL) -> tuple[float, float] | None:
    """Seconds that real-time threads may have of a core, and of what period; None where no limit is known."""
    try:
        runtime_us, period_us = (int((kernel / f"sched_rt_{name}_us").read_text()) for name in ("runtime", "period"))
    except (OSError, ValueError):
        return None
    return (runtime_us / 1e6, period_us / 1e6) if 0 <= runtime_us < period_us else None
