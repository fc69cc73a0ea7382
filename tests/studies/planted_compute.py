"""A table of probes made from known laws of computing."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from inferometer.emulator.samples.probe_table import PROBE_COLUMNS

ROWS = [1, 2, 4, 8, 16, 32, 64, 256, 1024]
INNER, OUTER = [128, 512, 2048], [128, 512, 4096]
LARGEST = INNER[-1] * OUTER[-1]
LINES = {
    "attention": {"o": 100.0, "activation_bytes": 1e-3, "kv_bytes": 1e-4, "flop": 1e-5},
    "stream": {"o": 30.0, "activation_bytes": 2e-4, "kv_bytes": 0.0, "flop": 0.0},
}
BETWEEN = {"ffn.down": (40.0, 3e-4), "ffn.norm": (10.0, 1e-4)}
"""On the way from ffn.up to these: µs and µs per byte of what enters."""


def matmul_us(rows: float, elements: float) -> float:
    """A dispatch, then whichever is slowest: streaming, packing (from two rows on), arithmetic."""
    packed = 4.5e-4 if rows > 1.5 else 2.5e-4
    return 5.0 + elements * (packed**4 + (2 * rows / 2e5) ** 4) ** 0.25


def line_us(op: str, sizes: dict[str, float]) -> float:
    return LINES[op]["o"] + sum(LINES[op][name] * value for name, value in sizes.items())


def probes(
    *, noise: float, launches: int = 3, seed: int = 0, concurrent_ranks: int = 1, slower: float = 1.0, dtype: str = "float32"
) -> pd.DataFrame:
    """Rows as measure.probe_table has them; every launch is off by a factor of its own, of standard deviation noise."""
    rng = np.random.default_rng(seed)
    about = {
        "backend": "gloo",
        "device": "cpu",
        "launch_mode": "host",
        "dtype": dtype,
        "scheduler": "rr",
        "threads": 1,
        "concurrent_ranks": concurrent_ranks,
    }
    rows = []
    for launch in range(launches):
        off = slower * np.exp(noise * rng.standard_normal())
        for row in [*_grid(), *_models()]:
            row |= {"us": row["us"] * off}
            rows.append(
                {
                    **about,
                    "model": "planted",
                    "sharded": False,
                    "tokens": 0.0,
                    "launch": launch,
                    "n": 20,
                    "working_set_bytes": 2**27,
                    **row,
                }
            )
    return pd.DataFrame(rows, columns=list(PROBE_COLUMNS)).fillna(
        dict.fromkeys(
            ("tokens", "rows", "inner", "outer", "matrices", "routed", "activation_bytes", "kv_bytes", "flop"), 0.0
        )
    )


def _grid() -> list[dict]:
    found = []
    for inner, outer in product(INNER, OUTER):
        for rows in ROWS:
            sizes = {"rows": rows, "inner": inner, "outer": outer, "matrices": 1.0, "weight_bytes": 4 * inner * outer}
            sizes |= {"flop": 2 * rows * inner * outer, "activation_bytes": 4 * rows * (inner + outer)}
            us = matmul_us(rows, inner * outer)
            found.append(
                {
                    "probe": f"{rows}x{inner}x{outer}",
                    "op": "matmul",
                    "kind": "matmul",
                    **sizes,
                    "us": us,
                    "between_us": np.nan,
                }
            )
    return found


def _models() -> list[dict]:
    found = []
    for batch in (1, 6, 48):
        for context in (100, 600, 1500):
            probe = {"probe": f"model {batch} {context}"}
            sizes = {"activation_bytes": 4e3 * batch, "kv_bytes": 1e3 * batch * context, "flop": 2e3 * batch * context**1.5}
            core = {"op": "attention.core", "kind": "attention", **sizes}
            found.append({**probe, **core, "us": line_us("attention", sizes)})
            moved = {"activation_bytes": 8e3 * batch}
            found.append({**probe, "op": "ffn.norm", "kind": "stream", **moved, "us": line_us("stream", moved)})
            inner, outer = 900, 500
            down = {"op": "ffn.down", "kind": "matmul", "rows": batch, "inner": inner, "outer": outer, "matrices": 1.0}
            found.append({**probe, **down, **moved, "us": matmul_us(batch, inner * outer)})
            for name, (o, per_byte) in BETWEEN.items():
                us = o + per_byte * moved["activation_bytes"]
                found.append({**probe, "op": name, "predecessors": "ffn.up", "kind": "glue", **moved, "us": us})
    return found
