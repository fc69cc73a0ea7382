"""Measured steps beside predicted ones, over the cells of a validation: by term, in total, all together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.fit.cell_summary import median_interval
from inferometer.emulator.validate.accounting import COMPUTE, Account, account
from inferometer.emulator.validate.forecast import CALIBRATION, TERMS, VARIANTS, Forecast
from inferometer.emulator.validate.prediction_errors import (
    Spread,
    bounds,
    error_interval,
    ratio_to_repeat,
    relative_error,
    repeat_errors,
    spread,
)
from inferometer.emulator.validate.records import Trace, traces
from inferometer.emulator.validate.settings import Emulation, Phase

GLUE = "glue between operations"


@dataclass(frozen=True)
class Beside:
    """us of a step, measured and predicted: means over ranks; None where not known."""

    measured_us: float | None
    predicted_us: float | None


@dataclass(frozen=True)
class Compared:
    """One phase of one cell."""

    cell: int
    """Its place in the plan."""
    words: str
    settings: dict[str, Any]
    phase: Phase
    ranks: int
    steps: int
    """Plain ones, of all launches."""
    measured_us: float
    """The median of the launches' medians of plain steps; of a step: the mean over ranks."""
    measured_ci95_us: tuple[float, float] | None
    launch_medians_us: list[float]
    repeat_errors: list[float]
    """Of each launch against the median of the others."""
    overhead: float | None
    """Instrumented over plain step: the terms are of instrumented ones."""
    predicted_us: dict[str, float | None]
    """By variant."""
    reasons: dict[str, str]
    """Of each variant that is not predicted: why."""
    rel_error: float | None
    """Of the calibration's prediction: predicted/measured − 1."""
    rel_error_ci95: tuple[float, float] | None
    terms: dict[str, Beside]
    operations: dict[str, Beside]
    """By name; collectives with waiting."""

    def error(self, variant: str) -> float | None:
        """Relative error of a variant."""
        predicted = self.predicted_us[variant]
        return None if predicted is None else relative_error(predicted, self.measured_us)


def compared(
    cell: Emulation, place: int, phase: Phase, launches: list[tuple[bool, list[Trace]]], forecasts: Mapping[str, Forecast]
) -> Compared:
    """launches: as records.traces has them, each with a plain step that counts. forecasts: by variant."""
    plain = [_plain_us(ranks) for _, ranks in launches]
    medians = [float(np.median(steps)) for steps in plain]
    measured, interval = float(np.median(medians)), median_interval(np.array(medians))
    predicted = {name: None if f.total_s is None else f.total_s * 1e6 for name, f in forecasts.items()}
    own, found = forecasts[CALIBRATION], account(phase, launches)
    total = predicted[CALIBRATION]
    error = ci95 = None
    if total is not None:
        around = None if own.interval_s is None else (own.interval_s[0] * 1e6, own.interval_s[1] * 1e6)
        error, ci95 = relative_error(total, measured), error_interval(total, around, measured, interval)
    return Compared(
        place, cell.words(), cell.model_dump(mode="json"), phase, cell.ranks, sum(map(len, plain)),
        measured, interval, medians, repeat_errors(medians), found.overhead,
        predicted, {name: f.reason for name, f in forecasts.items() if predicted[name] is None},
        error, ci95, _terms(found, own), _operations(found, own),
    )  # fmt: skip


def _plain_us(ranks: list[Trace]) -> np.ndarray:
    """Steps without clock readings inside, means over ranks."""
    counted = ~ranks[0].lead & ~ranks[0].instrumented
    return np.mean([(trace.end - trace.begin)[counted] for trace in ranks], axis=0) / 1e3


def _terms(found: Account, own: Forecast) -> dict[str, Beside]:
    measured: dict[str, float | None] = {
        kind: sum(row.mean_us for row in found.rows if row.kind == kind) for kind in COMPUTE
    }
    sent = [row for row in found.rows if row.kind not in COMPUTE]
    waits = [row.waiting_us for row in sent]
    waiting = None if None in waits else sum(wait or 0.0 for wait in waits)
    measured["network"] = None if waiting is None else sum(row.mean_us for row in sent) - waiting
    measured |= {"waiting": waiting, "glue": found.unattributed_us}
    return {name: Beside(measured[name], _us(own.terms[name])) for name in TERMS}


def _operations(found: Account, own: Forecast) -> dict[str, Beside]:
    measured: dict[str, float] = {}
    for row in found.rows:
        measured[row.name] = measured.get(row.name, 0.0) + row.mean_us
    operations = {name: Beside(us, _us(own.by_op.get(name))) for name, us in measured.items()}
    return operations | {GLUE: Beside(found.unattributed_us, _us(own.terms["glue"]))}


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


# -- all cells together ------------------------------------------------------------------------------------------------


def overall(rows: Sequence[Compared], seed: int = 0) -> dict[str, Any]:
    """The numbers that a validation is known by; null where nothing was predicted. Errors are fractions."""
    spreads = {name: spread([row.error(name) for row in rows]) for name in VARIANTS}
    own = spreads[CALIBRATION]
    cells: dict[int, list[Compared]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    errors = [[row.rel_error for row in phases if row.rel_error is not None] for phases in cells.values()]
    repeats = [[error for row in phases for error in row.repeat_errors] for phases in cells.values()]
    ratio, interval = ratio_to_repeat(errors, repeats, seed)
    again = [error for errors_of in repeats for error in errors_of]
    return {
        "cells": len(cells),
        "rows": len(rows),
        "median_abs_rel_error": own.median_abs,
        "p90_abs_rel_error": own.p90_abs,
        "repeat_launch_error": float(np.median(again)) if again else None,
        "ratio_to_repeat": ratio,
        "ratio_to_repeat_ci95": interval,
        "variants": {name: _variant(errors_of, rows, name) for name, errors_of in spreads.items()},
        "bounds": [asdict(bound) | {"held": bound.held} for bound in bounds(own, ratio)],
    }


def _variant(found: Spread, rows: Sequence[Compared], name: str) -> dict[str, Any]:
    reasons = dict.fromkeys(row.reasons[name] for row in rows if name in row.reasons)
    return {
        "median_abs_rel_error": found.median_abs,
        "p90_abs_rel_error": found.p90_abs,
        "median_rel_error": found.median,
        "rows": found.count,
        "not_predicted": "; ".join(reasons) or None,
    }


def missed(rows: Iterable[Compared]) -> list[dict[str, Any]]:
    """Operations by what the calibration misses of them, most first; shares of the measured step, means over rows.

    difference: predicted − measured with its sign; missed: without it. What is not predicted is missed altogether.
    """
    shares: dict[str, list[tuple[float, float | None]]] = {}
    count = 0
    for row in rows:
        count += 1
        step = sum(beside.measured_us or 0.0 for beside in row.operations.values())
        for name, beside in row.operations.items():
            predicted = None if beside.predicted_us is None else beside.predicted_us / step
            shares.setdefault(name, []).append(((beside.measured_us or 0.0) / step, predicted))
    found = []
    for name, pairs in shares.items():
        known = all(predicted is not None for _, predicted in pairs)
        off = [(predicted or 0.0) - measured for measured, predicted in pairs]
        found.append(
            {
                "operation": name,
                "measured_share": sum(measured for measured, _ in pairs) / count,
                "predicted_share": sum(predicted or 0.0 for _, predicted in pairs) / count if known else None,
                "difference": sum(off) / count if known else None,
                "missed": sum(map(abs, off)) / count,
            }
        )
    return sorted(found, key=lambda entry: -entry["missed"])


def rows_of(records: Sequence[dict[str, Any]], cell: int, phase: Phase) -> list[tuple[bool, list[Trace]]]:
    """The launches of a cell's phase that have plain steps to count."""
    launches = traces(records, phase, cell)
    return [(clock, ranks) for clock, ranks in launches if (~ranks[0].lead & ~ranks[0].instrumented).any()]
