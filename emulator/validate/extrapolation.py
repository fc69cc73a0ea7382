"""How far a validation reaches: the step of a scaled shape beside that of the whole model, by the same terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.forecast import CALIBRATION, Forecaster
from inferometer.emulator.validate.settings import Configuration, Phase

PHASE: Phase = "decode"


def extrapolations(cells: Iterable[Configuration], forecaster: Forecaster) -> list[dict[str, Any]]:
    """For each model, under the layout, batch and context of its cell with the most ranks: both shapes' decode step.

    Times in us, means over ranks; memory in bytes of the fullest rank.
    """
    widest: dict[str, Configuration] = {}
    for cell in cells:
        if cell.model not in widest or cell.ranks > widest[cell.model].ranks:
            widest[cell.model] = cell
    return [_both(cell, forecaster) for cell in widest.values()]


def _both(cell: Configuration, forecaster: Forecaster) -> dict[str, Any]:
    full = cell.model_copy(update={"scale": 1.0, "layers": None})
    return {
        "model": cell.model,
        "phase": PHASE,
        "layout": cell.layout.describe(),
        "batch": cell.batch,
        "context": cell.context,
        "scaled": _of(cell, forecaster),
        "full": _of(full, forecaster),
    }


def _of(cell: Configuration, forecaster: Forecaster) -> dict[str, Any]:
    try:
        forecast = forecaster.predictions(cell, PHASE)[CALIBRATION]
        need = cell.resident()
    except InputError as error:  # a layout that divides the scaled shape only
        return {"shape": cell.words(), "predicted_us": None, "reason": str(error)}
    total = forecast.total_s
    return {
        "shape": cell.words(),
        "predicted_us": None if total is None else total * 1e6,
        "terms_us": {name: None if s is None else s * 1e6 for name, s in forecast.terms.items()},
        "weights_bytes": float(need.weights_bytes),
        "kv_bytes": float(need.kv_bytes),
        "notes": forecaster.notes(cell, PHASE),
        "reason": forecast.reason or None,
    }
