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
    n = len(times)
    if n < MIN_FOR_INTERVAL:
        return None
    ordered = np.sort(times)
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
    if np.median(times[:half]) <= 0:  # a clock that ran backwards; such cells are not fitted
        return None
    return float(np.median(times[half:]) / np.median(times[:half]) - 1)


def summary(times: np.ndarray) -> dict[str, float | list[float] | None]:
    """The numbers that a cell is known by, us: median, its interval, min, p5 … p99, mean, MAD, n, n_eff, drift."""
    middle = float(np.median(times))
    interval = median_interval(times)
    percentiles = np.percentile(times, [5, 25, 75, 95, 99])
    return {
        "median": middle,
        "ci95": list(interval) if interval else None,
        "min": float(np.min(times)),
        **dict(zip(("p5", "p25", "p75", "p95", "p99"), (float(p) for p in percentiles))),
        "mean": float(np.mean(times)),
        "mad": float(np.median(np.abs(times - middle))),
        "n": len(times),
        "n_eff": effective_count(times),
        "drift": drift(times),
    }
