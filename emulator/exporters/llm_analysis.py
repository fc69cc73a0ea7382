"""llm-analysis' gpu_configs/NAME.json: GB/s (1e9), latency in seconds.

Its tensor-parallel all_reduce (analysis.py) takes max(2·bytes·(tp − 1)/tp / intra bandwidth, minimum latency).
"""

from __future__ import annotations

import json

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors
from inferometer.emulator.exporters.ends import ends_of, one_layout
from inferometer.emulator.exporters.loss import Carried, Made, unplaced
from inferometer.emulator.exporters.query import Query, software

COLLECTIVE = "all_reduce"
#: Needed by the tool, unknown to a calibration of the network.
DATASHEET = ("mem_per_GPU_in_GB", "hbm_bandwidth_in_GB_per_sec", "peak_fp16_TFLOPS", "peak_i8_TFLOPS", "peak_i4_TFLOPS")


def write(query: Query, suffix: str) -> Made:
    """Latency at the smallest size, bandwidth at the largest, of one layout on one node. null: not known here."""
    model = query.law(query.collectives([COLLECTIVE])[0])
    layout = one_layout(query, model, one_node=True)
    ends = ends_of(model, layout)
    factor = float(bus_factors(COLLECTIVE, *layout)[0])
    bandwidth = factor * ends.last_bytes * 1e-3 / ends.last_us
    device, _ = software(query.calibration)
    across = model.paper_projection.inter_bw_GBs
    known = {
        "name": device or f"inferometer-{query.calibration.id[:8]}",
        "intra_node_bandwidth_in_GB_per_sec": float(f"{bandwidth:.9g}"),
        "intra_node_min_message_latency": float(f"{ends.first_us * 1e-6:.9g}"),
        "inter_node_bandwidth_in_GB_per_sec": across,
    }
    names = ("name", *DATASHEET[:2], *list(known)[1:3], *DATASHEET[2:], "inter_node_bandwidth_in_GB_per_sec")
    document = {name: known.get(name) for name in names}

    def times(n: Array, r: int, N: int) -> Array:
        return np.maximum(2 * n * (r - 1) / r * 1e-3 / bandwidth, ends.first_us)

    dropped = [
        f"rank and node counts: one latency, {ends.first_us:.4g} µs, of {layout[0]} ranks at {ends.first_bytes} bytes",
        "latency and transfer as a sum: the larger of the two is taken",
        *unplaced(model, {"a", "b", "c", "B_intra", "B_inter"}),
    ]
    if across is None:
        reason = model.paper_projection.reasons.get("inter_bw_GBs", "not determined")
        dropped.append(f"inter_node_bandwidth_in_GB_per_sec is null: {reason}")
    use = [
        f"fill in the null {', '.join(DATASHEET)} from the datasheet",
        "intra_node_memory_efficiency and inter_node_memory_efficiency must be 1: these bandwidths are measured ones",
    ]
    content = (json.dumps(document, indent=4, ensure_ascii=False, allow_nan=False) + "\n").encode()
    return Made(content, [Carried(model, times, "")], dropped, use, {})
