"""The paper's constants as JSON: what the *inference economics* notebook takes for t_reduce and for bandwidth.

Erdil 2025, eq. 23, 39, 40. The notebook writes latency as base + m·(local·(r/N − 1) + node·log2 N), m = 2 for an
all_reduce and 1 for others, so it takes the two slopes per pass.
"""

from __future__ import annotations

import json

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, passes_of
from inferometer.emulator.calibrate.laws.linear import AFFINE, with_parts
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.exporters.loss import Carried, Made, Times, unplaced
from inferometer.emulator.exporters.query import Query

FORMULA = (
    "t_us = base + per_local_rank*(ranks/nodes - 1) + per_log2_node*log2(nodes)"
    " + 1e-3*bytes*(k_intra/intra_bw_GBs + k_inter/inter_bw_GBs)"
)
KEPT = {"a", "b", "c", "B_intra", "B_inter"}


def write(query: Query, suffix: str) -> Made:
    """The projection of one law, all_reduce unless the key says otherwise. null: not determined, with the reason."""
    model = query.law(query.key.get("collective", "all_reduce"))
    projection, collective = model.paper_projection, model.target.collective
    latency = projection.t_reduce_us.model_dump()
    passes = passes_of(collective)
    slopes = {name: latency[name] for name in ("per_local_rank", "per_log2_node")}
    document = {
        "t_reduce_us": latency,
        "intra_bw_GBs": projection.intra_bw_GBs,
        "inter_bw_GBs": projection.inter_bw_GBs,
        "formula": FORMULA,
        "notebook": {
            "passes": passes,
            "base_us": latency["base"],
            **{f"{name}_per_pass_us": None if v is None else v / passes for name, v in slopes.items()},
        },
        "ci95": projection.ci95,
        "reasons": projection.reasons,
        "identifiable_combinations": [
            {"expr": c.expr, "value": c.value, "unit": c.unit, "ci95": c.ci95} for c in projection.identifiable_combinations
        ],
        "key": model.target.model_dump(),
        "calibration": query.calibration.id,
    }
    dropped = unplaced(model, KEPT)
    if with_parts(model.formula, constants="fitted") != AFFINE:
        dropped.append(f"the law '{model.form}': its place takes the affine law fitted to the same cells")
    dropped += [f"{name} is null: {reason}" for name, reason in projection.reasons.items() if _value(model, name) is None]
    use = [
        "bandwidths are bus bandwidths as measured: the notebook's protocol fractions (0.5, 0.95, 1) must be 1, and one "
        "protocol must stand for its three",
        "a null bandwidth stands for no term; the notebook overlaps the two transfers (max), eq. 39 adds them, as here",
    ]
    silent = "a latency that is not determined counts here"
    content = (json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    return Made(content, [Carried(model, _times(model), silent)], dropped, use, {})


def _value(model: NetworkLaw, name: str) -> float | None:
    projection = model.paper_projection
    return getattr(projection if hasattr(projection, name) else projection.t_reduce_us, name)


def _times(model: NetworkLaw) -> Times:
    projection, collective = model.paper_projection, model.target.collective
    latency = projection.t_reduce_us

    def times(n: Array, r: int, N: int) -> Array:
        us = np.full(n.shape, np.nan if latency.base is None else latency.base)
        for slope, count in ((latency.per_local_rank, r / N - 1), (latency.per_log2_node, np.log2(N))):
            us += 0.0 if count == 0 else np.nan if slope is None else slope * count
        factors = bus_factors(collective, np.asarray(float(r)), np.asarray(float(N)))
        for factor, bandwidth in zip(factors, (projection.intra_bw_GBs, projection.inter_bw_GBs)):
            us += 0.0 if bandwidth is None else factor * n * 1e-3 / bandwidth
        return us

    return times
