"""A table of kernel times made from known laws, in the documented columns."""

from __future__ import annotations

from itertools import product

import numpy as np

DEVICE = {"device": "NVIDIA H200", "dtype": "bfloat16", "launch_mode": "graph"}
TRUTH = {"o": 3.0, "l": 0.4, "B": 4000.0, "F": 700_000.0, "q": 4.0}
HOST_US = 5.0
PASSES = {"add": (1.5, 3, 3000.0), "rms_norm": (4.0, 2, 2500.0)}
"""o in µs, bytes moved for each of a tensor's, GB/s."""


def matmul_us(rows, inner, outer):
    memory = 2 * (inner * outer + rows * (inner + outer)) / TRUTH["B"] / 1e3
    arithmetic = 2 * rows * inner * outer / TRUTH["F"] / 1e3
    roof = (memory ** TRUTH["q"] + arithmetic ** TRUTH["q"]) ** (1 / TRUTH["q"])
    return TRUTH["o"] + TRUTH["l"] * inner / 1024 + roof


def table(scatter=0.0, seed=0, **more):
    """Rows of a whole table. scatter: of ln us. more: further columns of every row."""
    rng = np.random.default_rng(seed)
    rows = []
    for m, inner, outer in product((1, 8, 64, 512, 4096), (1024, 4096, 8192), (1024, 6144, 28672)):
        size = {"rows": m, "inner": inner, "outer": outer}
        rows.append({"kind": "matmul", **size, "us": matmul_us(m, inner, outer)})
    heads = {"query_heads": 32, "kv_heads": 8, "head_dim": 128}
    for batch, context in product((1, 8, 64), (256, 2048, 16384)):
        us = 5 + 0.5 * np.log2(1 + context / 256) + batch * context * 4096 / 3.5e6
        rows.append({"kind": "attention", "op": "decode", "batch": batch, "context": context, **heads, "us": us})
    for batch, context in product((1, 4), (512, 2048, 8192)):
        us = 8 + 5 * context / 1024 + 4 * 32 * 128 * batch * context * (context + 1) / 2 / 5e8
        rows.append({"kind": "attention", "op": "prefill", "batch": batch, "context": context, **heads, "us": us})
    for (op, (o, moved, rate)), m in product(PASSES.items(), (1, 8, 64, 512, 4096)):
        rows.append({"kind": "stream", "op": op, "rows": m, "width": 4096, "us": o + moved * 2 * m * 4096 / rate / 1e3})
    rows.append({"kind": "null", "us": 1.0})
    made = [{**DEVICE, **row, "us": row["us"] * float(np.exp(scatter * rng.standard_normal())), **more} for row in rows]
    return [*made, {**DEVICE, "kind": "null", "launch_mode": "eager", "us": HOST_US, **more}]
