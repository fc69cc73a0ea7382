"""Whether two sets of launches differ: the ratio of their times, its interval, and how surprising it would be by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.emulator.aliases import Array

Over = Literal["launches", "laws"]
LEAST_LAUNCHES = 2
"""On each side: launches are the experimental unit, and one says nothing of their spread."""
LEVEL = 0.05


@dataclass(frozen=True)
class Ratio:
    """new/old of a time: its value, its 95 % interval, and the probability of a difference as large by chance alone.

    ci95 and p_value are None where nothing says how far either side may be off. over: whether they rest on the spread of
    launches or on what the laws say of themselves.
    """

    value: float
    ci95: tuple[float, float] | None
    p_value: float | None
    over: Over | None = None


def by_launches(old_us: Sequence[float], new_us: Sequence[float]) -> Ratio:
    """Welch's test on the logarithms of each side's launch medians; no interval from fewer than two launches a side.

    With two launches and no spread at all the interval is a point, and the probability 0 or 1.
    """
    old, new = (np.log(np.asarray(side, dtype=float)) for side in (old_us, new_us))
    shift = float(new.mean() - old.mean())
    if min(len(old), len(new)) < LEAST_LAUNCHES:
        return Ratio(float(np.exp(shift)), None, None)
    parts = np.array([side.var(ddof=1) / len(side) for side in (old, new)])
    variance = float(parts.sum())
    if variance == 0:
        return Ratio(float(np.exp(shift)), (float(np.exp(shift)),) * 2, float(shift == 0), "launches")
    freedom = variance**2 / float((parts**2 / (np.array([len(old), len(new)]) - 1)).sum())
    return _ratio(shift, variance**0.5, freedom, "launches")


def by_half_widths(old_us: float, new_us: float, old_half: float, new_half: float) -> Ratio:
    """Of two laws that err independently: each time t lies in [t e^−h, t e^h] at 95 %. NaN half widths: no interval."""
    shift = float(np.log(new_us / old_us))
    half = float(np.hypot(old_half, new_half))
    if not np.isfinite(half):
        return Ratio(float(np.exp(shift)), None, None)
    if half == 0:
        return Ratio(float(np.exp(shift)), (float(np.exp(shift)),) * 2, float(shift == 0), "laws")
    from scipy.special import stdtrit

    return _ratio(shift, half / float(stdtrit(np.inf, 1 - LEVEL / 2)), np.inf, "laws")


def _ratio(shift: float, error: float, freedom: float, over: Over) -> Ratio:
    from scipy.special import stdtr, stdtrit

    half = float(stdtrit(freedom, 1 - LEVEL / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(shift) / error))
    return Ratio(float(np.exp(shift)), (float(np.exp(shift - half)), float(np.exp(shift + half))), p_value, over)


def significant(ratios: Sequence[Ratio]) -> list[bool]:
    """Which differ although all were looked at: Holm's step-down test keeps one false alarm among them below 5 %."""
    tested = sorted((ratio.p_value, at) for at, ratio in enumerate(ratios) if ratio.p_value is not None)
    found = [False] * len(ratios)
    for rank, (p_value, at) in enumerate(tested):
        if p_value > LEVEL / (len(tested) - rank):
            break
        found[at] = True
    return found


def launch_means(cells: Sequence[Sequence[float | None]]) -> Array:
    """Geometric mean over cells of each launch [launches]; cells: launch medians of each cell, None where it has none.

    Only launches that measured every cell count: a mean over others would be of other cells.
    """
    length = max((len(cell) for cell in cells), default=0)
    table = np.array([[np.nan if us is None else us for us in [*cell, *[None] * (length - len(cell))]] for cell in cells])
    whole = np.isfinite(table).all(axis=0) if table.size else np.zeros(0, dtype=bool)
    return np.asarray(np.exp(np.log(table[:, whole]).mean(axis=0)) if whole.any() else np.zeros(0))
