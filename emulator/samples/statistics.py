"""Statistics of one cell: the median and its interval, spread, dependence between neighbours, drift.

Medians, because the distribution of a collective's time has a heavy upper tail that belongs to the scheduler. All numbers
in microseconds, all functions on 1-d arrays in the order in which the iterations ran.
"""

from __future__ import annotations

import math

import numpy as np

Z95 = 1.959964
MIN_FOR_INTERVAL = 6
"""Below six samples no pair of order statistics brackets the median with 95 % confidence."""

SPIKE = 5.0
"""Times this many medians long are the scheduler's, too rare to hit most steps of a model."""


def median_interval(times: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the median from order statistics (Hoefler & Belli, SC'15): None below six samples."""
    return _interval(np.sort(times))


def _interval(ordered: np.ndarray) -> tuple[float, float] | None:
    n = len(ordered)
    if n < MIN_FOR_INTERVAL:
        return None
    low = math.floor((n - Z95 * math.sqrt(n)) / 2)
    high = math.ceil(1 + (n + Z95 * math.sqrt(n)) / 2)
    return float(ordered[max(low, 1) - 1]), float(ordered[min(high, n) - 1])


def steady_mean(times: np.ndarray) -> float:
    """The mean, with times above SPIKE medians cut to that.

    What one of many pays: a step runs a hundred operations, and its time is the sum of their means, not of their medians,
    since each has a tail. A spike too rare to hit most steps must not count whole, or few samples would say nothing.
    """
    return float(np.mean(np.minimum(times, SPIKE * np.median(times))))


def relative_half_width(times: np.ndarray) -> float:
    """Half the interval's width over the median; infinite where there is no interval."""
    interval = median_interval(times)
    middle = float(np.median(times)) if len(times) else 0.0
    if interval is None or middle <= 0:
        return math.inf
    return (interval[1] - interval[0]) / 2 / middle


def effective_count(times: np.ndarray) -> float:
    """n (1 − ρ)/(1 + ρ) with ρ the lag-1 autocorrelation of the logarithms, at most n: neighbours are not independent."""
    n = len(times)
    if n < 3 or np.any(times <= 0):
        return float(n)
    logs = np.log(times) - np.mean(np.log(times))
    variance = float(np.dot(logs, logs))
    rho = float(np.dot(logs[1:], logs[:-1])) / variance if variance > 0 else 0.0
    rho = min(max(rho, 0.0), 0.99)
    return n * (1 - rho) / (1 + rho)


def drift(times: np.ndarray) -> float | None:
    """Median of the second half over the median of the first, minus one; None below a dozen samples."""
    if len(times) < 12:
        return None
    half = len(times) // 2
    first, second = (_quantile(np.sort(part), 0.5) for part in (times[:half], times[half:]))
    if first <= 0:  # a clock that ran backwards; such cells are not fitted
        return None
    return second / first - 1


def _quantile(ordered: np.ndarray, share: float) -> float:
    """Of sorted numbers, between two of them in proportion: as `numpy.quantile`, which takes fifty times as long for few."""
    at = share * (len(ordered) - 1)
    below = math.floor(at)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    part = at - below
    return low + (high - low) * part if part < 0.5 else high - (high - low) * (1 - part)


def summary(times: np.ndarray) -> dict[str, float | list[float] | None]:
    """The numbers that a cell is known by, us: median, its interval, min, p5 … p99, mean, MAD, n, n_eff, drift."""
    ordered = np.sort(times)
    middle = _quantile(ordered, 0.5)
    interval = _interval(ordered)
    return {
        "median": middle,
        "ci95": list(interval) if interval else None,
        "min": float(ordered[0]),
        **{f"p{percent}": _quantile(ordered, percent / 100) for percent in (5, 25, 75, 95, 99)},
        "mean": float(np.mean(times)),
        "mad": _quantile(np.sort(np.abs(times - middle)), 0.5),
        "n": len(times),
        "n_eff": effective_count(times),
        "drift": drift(times),
    }
