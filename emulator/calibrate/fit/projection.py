"""The projection onto the paper's terms: what its form makes of the same measurements, and the error it makes."""

from __future__ import annotations

from typing import Any

import numpy as np

from inferometer.emulator.calibrate.fit.held_out import relative_errors
from inferometer.emulator.calibrate.fit.intervals import Spread
from inferometer.emulator.calibrate.fit.points import Points
from inferometer.emulator.calibrate.fit.record import combination_records, parameter_records
from inferometer.emulator.calibrate.fit.robust import Fit

NAMES = {
    "base": "a",
    "per_local_rank": "b",
    "per_log2_node": "c",
    "intra_bw_GBs": "B_intra",
    "inter_bw_GBs": "B_inter",
}
NOTHING = Spread(None)


def paper_projection(projected: Fit, chosen: Fit, points: Points, over: Spread) -> dict[str, Any]:
    """The PaperProjection record: projected is the affine law fitted to the points, over its intervals."""
    parameters = parameter_records(projected, points, over, NOTHING)
    values: dict[str, float | None] = {}
    intervals: dict[str, tuple[float, float] | None] = {}
    reasons: dict[str, str] = {}
    for name, parameter in NAMES.items():
        record = parameters.get(parameter)
        if record is None:
            record = {"value": None, "ci95": None, "reason": "this collective has no such term"}
        values[name], intervals[name] = record["value"], record["ci95"]
        reason = record.get("reason") or record.get("ci95_reason")
        if reason is not None:
            reasons[name] = reason
    where = points.n, points.r, points.N
    mine, full = projected.predict_us(*where), chosen.predict_us(*where)
    errors = relative_errors(mine, points.us)
    return {
        "t_reduce_us": {name: values[name] for name in ("base", "per_local_rank", "per_log2_node")},
        "intra_bw_GBs": values["intra_bw_GBs"],
        "inter_bw_GBs": values["inter_bw_GBs"],
        "ci95": intervals,
        "reasons": reasons,
        "identifiable_combinations": combination_records(projected, points, over, NOTHING),
        "medape": float(np.median(errors)),
        "p90ape": float(np.quantile(errors, 0.9)),
        "maxape": float(errors.max()),
        "max_rel_dev_vs_full_model": float(np.abs(mine / full - 1).max()),
    }
