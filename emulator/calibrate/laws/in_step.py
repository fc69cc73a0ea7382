"""In-step laws as formulas: s = s0 + u·(compute gap) + v·n, what a collective costs in a step beyond its isolated time."""

from __future__ import annotations

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.in_step_records import UNITS, InStepLaw


def columns_us(n: Array, compute_gap_us: Array) -> dict[str, Array]:
    """µs in one unit of each parameter [m], for n bytes [m] after a compute gap [m]."""
    quantities = {"s0": np.ones_like(n), "u": compute_gap_us, "v": n}
    return {name: factor * quantities[name] for name, (_, factor) in UNITS.items()}


def overhead_us(law: InStepLaw, n: Array, compute_gap_us: Array) -> Array:
    """s in µs, at least 0; a parameter that is not identified adds nothing."""
    columns = columns_us(n, compute_gap_us)
    total = sum((law.params[name].value or 0.0) * column for name, column in columns.items())
    return np.asarray(np.maximum(total, 0.0))
