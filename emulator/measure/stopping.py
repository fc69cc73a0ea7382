"""When enough iterations of something have been timed."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.measure.method import Stop
from inferometer.emulator.samples.statistics import effective_count, relative_half_width

MIN_EFFECTIVE = 10
"""Effective (independent) iterations below which the interval of the median is not believed."""


def reason_to_end(
    times: np.ndarray, elapsed_s: float, stop: Stop, least: int | None = None, most_s: float = np.inf, early: bool = True
) -> str | None:
    """Which limit of `Stop` ends it now; None: go on.

    times: of the iterations so far, in order. least: of them before the soft limits count, None for the stop rule's.
    most_s: a limit in seconds before which ``least`` does not count either. early: whether a narrow interval may end it.
    """
    suffices = len(times) >= (stop.min_iterations if least is None else least)
    if len(times) >= stop.max_iterations:
        return "max_iterations"
    if elapsed_s > most_s or (elapsed_s > stop.cell_seconds and suffices):
        return "cell_seconds"
    if not (early and suffices):
        return None
    settled = relative_half_width(times) <= stop.relative_interval and effective_count(times) >= MIN_EFFECTIVE
    return "relative_interval" if settled else None
