"""The statistics of a validation: how far predictions lie from what was measured, one launch from the others.

Errors are relative, predicted/measured − 1. A configuration's phases share its launches, so resampling takes whole
configurations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
CONFIDENCE = 0.95
MOST_RATIO, MOST_MEDIAN, MOST_P90 = 1.25, 0.15, 0.30
"""Bounds on the median error over the repeat launch's, on the median and on the 90th percentile of the errors."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Spread:
    """Relative errors of one prediction over cells and phases; None where nothing was predicted."""

    median_abs: float | None
    p90_abs: float | None
    median: float | None
    """With its sign: negative where the prediction is too fast."""
    count: int
    """Of those predicted."""


@dataclass(frozen=True)
class Bound:
    """held is None, with no value, where there was nothing to compare."""

    name: str
    limit: float
    value: float | None

    @property
    def held(self) -> bool | None:
        return None if self.value is None else self.value <= self.limit


def relative_error(predicted: float, measured: float) -> float:
    return predicted / measured - 1


def error_interval(
    predicted: float, predicted_interval: Interval | None, measured: float, measured_interval: Interval | None
) -> Interval | None:
    """95 % interval of the relative error; None where the measured time has none.

    What is open about the prediction and about the measurement is independent: half widths on ln t add in squares. A
    prediction without an interval adds nothing.
    """
    if measured_interval is None:
        return None
    low, high = predicted_interval or (predicted, predicted)
    up = np.hypot(np.log(high / predicted), np.log(measured / measured_interval[0]))
    down = np.hypot(np.log(predicted / low), np.log(measured_interval[1] / measured))
    ratio = predicted / measured
    return float(ratio * np.exp(-down) - 1), float(ratio * np.exp(up) - 1)


def repeat_errors(launch_medians: Sequence[float]) -> list[float]:
    """Of each launch |its time over the median of the others − 1|; empty for a single launch.

    What the best of predictions, another launch of the same thing, is wrong by.
    """
    times = list(launch_medians)
    if len(times) < 2:
        return []
    return [abs(time / float(np.median(times[:at] + times[at + 1 :])) - 1) for at, time in enumerate(times)]


def spread(errors: Sequence[float | None]) -> Spread:
    """errors: relative, of every cell and phase; None where not predicted."""
    known = np.array([error for error in errors if error is not None])
    if not len(known):
        return Spread(None, None, None, 0)
    sizes = np.abs(known)
    return Spread(float(np.median(sizes)), float(np.percentile(sizes, 90)), float(np.median(known)), len(known))


def ratio_to_repeat(
    errors: Sequence[Sequence[float]], repeats: Sequence[Sequence[float]], seed: int = 0
) -> tuple[float | None, Interval | None]:
    """Median |error| over the median repeat error, and its 95 % bootstrap interval over configurations.

    errors, repeats: of each configuration those of all its phases and launches. The ratio is None where there are none, or
    launches did not differ at all; the interval below two configurations.
    """
    pairs = [(np.abs(mine), np.asarray(again)) for mine, again in zip(errors, repeats) if len(mine) and len(again)]
    ratio = _ratio(pairs)
    if ratio is None or len(pairs) < 2:
        return ratio, None
    from scipy.stats import bootstrap

    def of(places: np.ndarray) -> float:
        return _ratio([pairs[int(place)] for place in places]) or np.nan

    found = bootstrap(
        (np.arange(len(pairs)),), of, n_resamples=RESAMPLES, confidence_level=CONFIDENCE, vectorized=False,
        method="percentile", random_state=np.random.default_rng(seed),
    )  # fmt: skip
    low, high = float(found.confidence_interval.low), float(found.confidence_interval.high)
    return ratio, (low, high) if np.isfinite([low, high]).all() else None


def _ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    if not pairs:
        return None
    repeat = float(np.median(np.concatenate([again for _, again in pairs])))
    return float(np.median(np.concatenate([mine for mine, _ in pairs]))) / repeat if repeat > 0 else None


def bounds(of: Spread, ratio: float | None) -> list[Bound]:
    """What a calibration must hold. of: the spread of its errors."""
    return [
        Bound("median_abs_rel_error / repeat_launch_error", MOST_RATIO, ratio),
        Bound("median_abs_rel_error", MOST_MEDIAN, of.median_abs),
        Bound("p90_abs_rel_error", MOST_P90, of.p90_abs),
    ]
