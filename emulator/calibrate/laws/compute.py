"""Compute laws as formulas: the time of an operation from its sizes, for numbers and arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.compute_records import LINE_UNITS, STREAMED_BYTES, ComputeLaw, knot

#: Mean rows of a routed matrix from which on it does not matter that some have more, others fewer.
MANY_ROWS = 8
COUNTS = np.arange(1.0, 4 * MANY_ROWS + 1)
#: Of which the error squares each time: enough for 15 digits from where it starts.
NEWTON_STEPS = 6


@dataclass(frozen=True)
class Surface:
    """A law's table of matmuls, made ready: t(rows, inner, outer) in µs. knots: logarithms by axis; table: of the times."""

    knots: tuple[Array, ...]
    table: Array

    @classmethod
    def of(cls, law: ComputeLaw) -> Surface:
        """Of a law of form surface."""
        assert law.rows and law.inner and law.outer
        knots = tuple(np.log(axis) for axis in (law.rows, law.inner, law.outer))
        times = np.array([law.params[knot(*sizes)].value for sizes in law.knots()], dtype=float)
        return cls(knots, np.log(times).reshape([len(axis) for axis in knots]))

    def us(self, rows: ArrayLike, inner: ArrayLike, outer: ArrayLike) -> Array:
        """Time of rows × inner by inner × outer, one matrix, in µs; these broadcast."""
        at = np.broadcast_arrays(*(np.asarray(size, dtype=float) for size in (rows, inner, outer)))
        return np.exp(surface(self.knots, self.table, [np.log(np.maximum(size, 1.0)) for size in at]))

    def matmul_us(
        self, rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, matrices: ArrayLike = 1.0, routed: ArrayLike = False
    ) -> Array:
        """Time of rows × inner by inner × outer, the rows spread over so many different matrices, in µs; these broadcast.

        Each matrix costs what its own rows do: the same number for each, at least one; or, routed, numbers as they fall to
        those that get any (chosen_shares). Two rows may take 1.7 times as long as one, and four 1.2 times as long as two, so
        that this is another time than that of the mean. Without rows or matrices nothing is done.
        By the surface alone, without the residuals of matmuls in models.
        """
        rows, inner, outer, matrices = np.broadcast_arrays(
            *(np.asarray(v, dtype=float) for v in (rows, inner, outer, matrices))
        )
        each = rows_each(rows, matrices)
        us = self.us(each, inner, outer)
        few = np.asarray(routed, dtype=bool) & (each < MANY_ROWS)
        if few.any():
            us = np.where(few, self._by_count(each, inner, outer).sum(axis=-1), us)
        return np.where((rows > 0) & (matrices > 0), matrices * us, 0.0)

    def place(
        self,
        rows: ArrayLike,
        inner: ArrayLike,
        outer: ArrayLike,
        matrices: ArrayLike,
        routed: ArrayLike,
        sharded: ArrayLike,
    ) -> dict[str, ArrayLike]:
        """What the residual of a matmul depends on, by the fields of MatmulResidual; these broadcast."""
        each = rows_each(rows, matrices)
        found: dict[str, ArrayLike] = {"rows": each, "inner": inner, "outer": outer, "grouped": np.asarray(matrices) != 1}
        return found | {"sharded": sharded, "several": self.several_share(each, inner, outer, routed)}

    def several_share(self, each: ArrayLike, inner: ArrayLike, outer: ArrayLike, routed: ArrayLike) -> Array:
        """The part of a matmul's time that matrices of two rows or more take; each: mean rows of a matrix."""
        each, inner, outer = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (each, inner, outer)))
        few = np.asarray(routed, dtype=bool) & (each < MANY_ROWS)
        found = np.clip(each - 1, 0.0, 1.0)
        if few.any():
            times = self._by_count(each, inner, outer)
            found = np.where(few, 1 - times[..., 0] / times.sum(axis=-1), found)
        return found

    def _by_count(self, each: Array, inner: Array, outer: Array) -> Array:
        """[…, COUNTS]: of a routed matrix's mean time, the parts of the numbers of rows that it may get."""
        return chosen_shares(each) * self.us(COUNTS, inner[..., None], outer[..., None])


def rows_each(rows: ArrayLike, matrices: ArrayLike) -> Array:
    """Mean rows of each of so many matrices that rows are spread over, at least one; these broadcast."""
    return np.maximum(np.asarray(rows, dtype=float) / np.maximum(matrices, 1e-12), 1.0)


def matmul_us(
    law: ComputeLaw,
    rows: ArrayLike,
    inner: ArrayLike,
    outer: ArrayLike,
    matrices: ArrayLike = 1.0,
    routed: ArrayLike = False,
) -> Array:
    """Surface.matmul_us of a law."""
    return Surface.of(law).matmul_us(rows, inner, outer, matrices, routed)


def chosen_shares(mean: ArrayLike) -> Array:
    """[…, COUNTS]: of the experts that are chosen at all, mean times each, the share that is chosen so many times.

    Many tokens choose a few of the experts each, so that how often one is chosen is near Poisson distributed around some λ;
    without those that nobody chose the mean is λ/(1 − exp(−λ)). Newton's method finds λ from above: it is at
    most the mean, and at most 2·(mean − 1).
    """
    each = np.maximum(np.asarray(mean, dtype=float), 1.0001)  # at 1 λ would be 0
    rate = np.minimum(each, 2 * (each - 1))
    for _ in range(NEWTON_STEPS):
        rate = rate - (rate + each * np.expm1(-rate)) / (1 - each * np.exp(-rate))
    logs = COUNTS * np.log(rate[..., None]) - np.cumsum(np.log(COUNTS))
    weights = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def surface(knots: Sequence[Array], table: Array, at: Sequence[Array]) -> Array:
    """Multilinear in the table [len(knots[0]), …]. Beyond the last knot of each axis slope 1, before the first constant."""
    cells = [_cell(axis, where) for axis, where in zip(knots, at)]
    total = sum(np.maximum(where - axis[-1], 0.0) for axis, where in zip(knots, at))
    for corner in product((0, 1), repeat=len(knots)):
        weight = np.prod([part if up else 1 - part for up, (_, part) in zip(corner, cells)], axis=0)
        total = total + weight * table[tuple(index + up for up, (index, _) in zip(corner, cells))]
    return np.asarray(total)


def _cell(knots: Array, at: Array) -> tuple[NDArray[np.intp], Array]:
    inside = np.clip(at, knots[0], knots[-1])
    index = np.clip(np.searchsorted(knots, inside, side="right") - 1, 0, len(knots) - 2)
    return index, (inside - knots[index]) / (knots[index + 1] - knots[index])


def line_columns(sizes: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """µs in one unit of each parameter of a line, for operations of sizes activation_bytes, kv_bytes, flop (missing: 0).

    Activations beyond STREAMED_BYTES are streamed.
    """
    known = {name: np.asarray(sizes.get(name, 0.0), dtype=float) for name in ("activation_bytes", "kv_bytes", "flop")}
    known["streamed_bytes"] = np.maximum(known["activation_bytes"] - STREAMED_BYTES, 0.0)
    columns = {name: factor * known[size] for name, (size, _, factor) in LINE_UNITS.items()}
    return {"o": np.ones_like(known["activation_bytes"]), **columns}


def line_us(law: ComputeLaw, sizes: Mapping[str, ArrayLike]) -> Array:
    """Time in µs of operations by a line; the sizes of line_columns broadcast. What is not identified adds nothing."""
    columns = line_columns(sizes).items()
    return np.asarray(sum((law.params[name].value or 0.0) * column for name, column in columns))
