"""What every law of computing says of its parameters and of its errors."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.aliases import Array, Document
from inferometer.emulator.calibrate.fit.intervals import MIN_LAUNCHES, jackknife_interval


def intervals_of(values: Array, others: Array | None) -> tuple[list[tuple[float, float] | None], str | None]:
    """The 95 % intervals over launches (calibrate.intervals), or none of them and why."""
    if others is None or len(others) < MIN_LAUNCHES:
        return [None] * len(values), f"needs {MIN_LAUNCHES} launches, has {0 if others is None else len(others)}"
    intervals, _, _ = jackknife_interval(values, others, np.zeros(len(values)))
    return [(float(low), float(high)) for low, high in intervals], None


def parameter(
    value: float | None,
    unit: str,
    interval: tuple[float, float] | None,
    reason: str | None,
    *,
    at_bound: bool = False,
) -> Document:
    """A Parameter record. reason: why it has no value, or no interval."""
    document: Document = {"value": value, "unit": unit, "ci95": interval, "source": "fit"}
    if value is None:
        return document | {"status": "not_identified", "reason": reason, "ci95_reason": reason}
    if at_bound:
        return document | {
            "status": "at_bound",
            "ci95": None,
            "ci95_reason": "at its bound",
            "reason": "adds nothing anywhere",
        }
    return document | {"status": "fitted", "ci95_reason": reason, "ci95_over": None if interval is None else "launches"}


def relative_errors(predicted: Array, measured: Array) -> Document:
    """A HeldOutError record."""
    if not len(measured):
        return {"median": None, "p90": None, "n": 0, "reason": "too few probes to leave one out"}
    errors = np.abs(predicted / measured - 1)
    return {"median": float(np.median(errors)), "p90": float(np.percentile(errors, 90)), "n": len(errors)}
