"""What laws of computing say: the time of an operation, for numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.calibrate.computerecords import LINE_UNITS, ComputeLaw, knot

Array = NDArray[np.float64]


def matmul_us(law: ComputeLaw, rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, matrices: ArrayLike = 1.0) -> Array:
    """Time of rows × inner by inner × outer, the rows spread evenly over so many different matrices, in µs; these broadcast.

    Each matrix costs what its own rows do, at least one. Without rows or matrices nothing is done.
    """
    assert law.rows and law.elements
    rows, size, matrices = np.broadcast_arrays(
        *(np.asarray(v, dtype=float) for v in (rows, np.multiply(inner, outer), matrices))
    )
    each = np.maximum(rows / np.maximum(matrices, 1e-12), 1.0)
    table = np.array([[law.params[knot(r, e)].value for e in law.elements] for r in law.rows], dtype=float)
    us = np.exp(surface(np.log(law.rows), np.log(law.elements), np.log(table), np.log(each), np.log(np.maximum(size, 1.0))))
    return np.where((rows > 0) & (matrices > 0), matrices * us, 0.0)


def surface(x: Array, y: Array, z: Array, at_x: Array, at_y: Array) -> Array:
    """Bilinear in the table z [len(x), len(y)]. Beyond the last knots slope 1, before the first constant."""
    beyond = np.maximum(at_x - x[-1], 0.0) + np.maximum(at_y - y[-1], 0.0)
    i, u = _cell(x, at_x)
    j, v = _cell(y, at_y)
    low = z[i, j] * (1 - v) + z[i, j + 1] * v
    high = z[i + 1, j] * (1 - v) + z[i + 1, j + 1] * v
    return np.asarray(low * (1 - u) + high * u + beyond)


def _cell(knots: Array, at: Array) -> tuple[NDArray[np.intp], Array]:
    inside = np.clip(at, knots[0], knots[-1])
    index = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
    return index, (inside - knots[index]) / (knots[index + 1] - knots[index])


def line_us(law: ComputeLaw, sizes: Mapping[str, ArrayLike]) -> Array:
    """Time in µs of an operation of sizes activation_bytes, kv_bytes, flop (missing ones are 0); these broadcast."""
    total = np.asarray(law.params["o"].value, dtype=float)
    for name, (size, _, factor) in LINE_UNITS.items():
        value = law.params[name].value or 0.0  # none where it is not identified
        total = total + value * factor * np.asarray(sizes.get(size, 0.0), dtype=float)
    return np.asarray(total)
