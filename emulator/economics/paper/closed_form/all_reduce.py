"""The all-reduce of the paper's section 3, on its own: NCCL's tree under the LL protocol."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.workload.program import Size

US = 1e-6


def tree_latency_s(ranks: Size, nodes: Size) -> Size:
    """Seconds of an empty all-reduce: 6.8 µs + 1.2 µs (ranks / nodes − 1) + 10 µs log2 nodes (Erdil, eq. 23)."""
    law = paper_parameters("all_reduce")
    return US * (law["a"] + law["b"] * (ranks / nodes - 1) + law["c"] * np.log2(nodes))


def instance_reduce_s(gpus: Size, nodes: Size) -> Size:
    """t_reduce of an instance cut in two dimensions: √N_GPU ranks on √N_nodes nodes (Erdil, eq. 40)."""
    return tree_latency_s(np.sqrt(gpus), np.sqrt(nodes))


def bandwidth_s(bytes: Size, ranks: Size, algorithm_bytes_per_s: Size) -> Size:
    """Seconds that the bytes of an all-reduce take beyond its latency: X (R − 1) / (R W) (Erdil, eq. 24)."""
    return bytes * (ranks - 1) / (ranks * algorithm_bytes_per_s)
