"""Fit what a roofline's time is multiplied by: a smooth surface through what the roofline leaves over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.corrections import AXES, LEAST, corners, unaligned
from inferometer.emulator.calibrate.schema.compute_records import Correction, SizeAxis

#: Pull of each value towards its neighbours, and towards 0, in points.
SMOOTH, SMALL = 0.05, 0.01
#: Beyond this a point counts less; rounds of the weights.
OUTLIER, ROUNDS = 0.1, 4
#: Points for each value of a surface at least, so that it stays a law and no table.
POINTS = 2
DECIMALS = 2
ROWS = (1, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192, 32768)
TILES = (1, 8, 16, 64, 128, 192, 256, 320, 512, 768, 1024, 2048, 4096, 8192, 32768)
#: The factor between knots of the other axes.
RATIOS: Mapping[SizeAxis, float] = {
    "inner": 2.6, "outer": 2.6, "matrices": 3, "rows/matrices": 2.5, "weight_bytes/matrices": 4, "context": 4,
    "kv_bytes/context": 4, "flop/kv_bytes": 2, "activation_bytes/context": 4, "activation_bytes/kv_bytes": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Design:
    """Axes of one correction. coarse: what the ratios between its knots are multiplied by."""

    axes: tuple[SizeAxis, ...]
    unaligned: bool = False
    coarse: float = 1.0


Designs = tuple[Design, ...]
_DECODE: tuple[SizeAxis, ...] = ("context", "kv_bytes/context", "flop/kv_bytes")
_PREFILL: tuple[SizeAxis, ...] = ("context", "activation_bytes/context", "activation_bytes/kv_bytes")
_EXPERTS: tuple[SizeAxis, ...] = ("rows/matrices", "matrices", "weight_bytes/matrices")
#: The surfaces to try, by kind and op, beside none; coarse ones for few points.
CANDIDATES: Mapping[tuple[str, str | None], tuple[Designs, ...]] = {
    ("matmul", None): (
        (Design(("rows", "outer", "inner")),),
        (Design(("rows_64", "outer", "inner")), Design(("rows", "outer"), True, 4)),
    ),
    ("matmul", "experts"): tuple((Design(_EXPERTS, coarse=coarse),) for coarse in (1, 2)),
    ("attention", "decode"): tuple((Design(_DECODE, coarse=coarse),) for coarse in (1, 2)),
    ("attention", "prefill"): tuple((Design(_PREFILL, coarse=coarse),) for coarse in (0.85, 1.7)),
}
#: Finer ones, which take longer to fit: where the others miss a tenth of the shapes by more than this.
FINER_BEYOND = 0.18
FINER: Mapping[tuple[str, str | None], tuple[Designs, ...]] = {
    ("matmul", None): ((Design(("rows_64", "outer", "inner"), coarse=0.7), Design(("rows", "outer"), True, 4)),),
}


def words(designs: Designs) -> str | None:
    """For the list of what was tried."""
    return " and ".join(" × ".join(one.axes) for one in designs) or None


def bearable(designs: Designs, sizes: Mapping[str, Array]) -> bool:
    """Whether there are enough points for the values of the surfaces."""
    values = sum(int(np.prod([len(knots_of(axis, one, sizes)) for axis in one.axes])) for one in designs)
    return len(next(iter(sizes.values()))) >= POINTS * values


def knots_of(axis: SizeAxis, design: Design, sizes: Mapping[str, Array]) -> list[float]:
    """Between the smallest and the largest value, both included."""
    found = np.maximum(AXES[axis](sizes), LEAST)
    low, high = float(found.min()), float(found.max())
    if axis in ("rows", "rows_64") and not design.unaligned:
        inside = [float(one) for one in (ROWS if axis == "rows" else TILES) if low < one < high]
        return [low, *inside, high] if high > low else [low, 2 * low]
    if high <= low:
        return [low, 2 * low]
    ratio = max(1.5, RATIOS.get(axis, 2.0) * design.coarse)
    number = max(2, round(np.log(high / low) / np.log(ratio)) + 1)
    return [float(f"{one:.5g}") for one in np.geomspace(low, high, number)]


def fit_corrections(designs: Designs, sizes: Mapping[str, Array], log_ratio: Array) -> list[Correction]:
    """The corrections of ln(measured/roofline) [points], robust against single points; sizes by name [points]."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    knots = [[knots_of(axis, one, sizes) for axis in one.axes] for one in designs]
    parts = [_columns(one, axes, sizes) for one, axes in zip(designs, knots)]
    matrix = sparse.hstack(parts).tocsr()
    pull = sparse.block_diag([_pull([len(axis) for axis in axes]) for axes in knots])
    weights = np.ones(len(log_ratio))
    values: Array = np.zeros(matrix.shape[1])
    for _ in range(ROUNDS):
        weighted = matrix.T @ sparse.diags(weights)
        values = np.asarray(spsolve((weighted @ matrix + pull).tocsc(), weighted @ log_ratio))
        weights = 1 / np.sqrt(1 + ((log_ratio - matrix @ values) / OUTLIER) ** 2)
    found, at = [], 0
    for one, axes in zip(designs, knots):
        number = int(np.prod([len(axis) for axis in axes]))
        own = [round(float(value), DECIMALS) + 0.0 for value in values[at : at + number]]
        found.append(Correction(axes=one.axes, knots=axes, unaligned=one.unaligned, values=own))
        at += number
    return found


def _columns(design: Design, knots: Sequence[Sequence[float]], sizes: Mapping[str, Array]) -> Any:
    """[points, values]: the weight of each knot."""
    from scipy import sparse

    number = len(next(iter(sizes.values())))
    shape = [len(axis) for axis in knots]
    used = unaligned(sizes["rows"]) if design.unaligned else np.ones(number)
    points, columns, weights = [], [], []
    for corner, weight in corners(design.axes, [np.log(axis) for axis in knots], sizes):
        points.append(np.arange(number))
        columns.append(np.ravel_multi_index(corner, shape))
        weights.append(np.broadcast_to(weight, number) * used)
    flat = (np.concatenate(weights), (np.concatenate(points), np.concatenate(columns)))
    return sparse.csr_matrix(flat, shape=(number, int(np.prod(shape))))


def _pull(shape: Sequence[int]) -> Any:
    """[values, values]: of neighbouring knots towards each other, and of all towards 0."""
    from scipy import sparse

    number = int(np.prod(shape))
    index = np.arange(number).reshape(shape)
    total = SMALL * sparse.identity(number)
    for axis in range(len(shape)):
        along = np.moveaxis(index, axis, 0)
        low, high = along[:-1].ravel(), along[1:].ravel()
        ones = np.ones(len(low))
        at = np.concatenate([np.arange(len(low))] * 2)
        step = sparse.csr_matrix((np.concatenate([ones, -ones]), (at, np.concatenate([low, high]))), (len(low), number))
        total = total + SMOOTH * (step.T @ step)
    return total
