"""Queries of several sizes laid end to end, so that a law is asked once for all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.workload.program import Size


class Stack:
    """Rows of quantities, one row a query. The quantities of one row broadcast; rows may differ in shape.

    columns: for each quantity the values of all queries, flat. `split` gives an answer per query back, a float where all
    of a query's quantities are numbers.
    """

    def __init__(self, rows: Sequence[Sequence[Size]]) -> None:
        arrays = [value for row in rows for value in row if isinstance(value, np.ndarray)]
        self._shapes: list[tuple[int, ...]] | None = None
        self._counts: list[int] | int = 1
        self.columns: list[Array]
        if not arrays:
            self.columns = [np.array(column, dtype=float) for column in zip(*rows)]
        elif len({value.shape for value in arrays}) == 1:
            self.columns = self._alike(rows, arrays[0].shape)
        else:
            self._shapes = [np.broadcast_shapes(*(np.shape(value) for value in row)) for row in rows]
            self._counts = [int(np.prod(shape)) for shape in self._shapes]
            self.columns = [
                np.concatenate([np.broadcast_to(value, shape).ravel() for value, shape in zip(column, self._shapes)]).astype(
                    float
                )
                for column in zip(*rows)
            ]

    def _alike(self, rows: Sequence[Sequence[Size]], shape: tuple[int, ...]) -> list[Array]:
        """Where all arrays have one shape, every query is laid out in it; one of numbers alone is asked that many times."""
        self._shapes = [shape if any(isinstance(value, np.ndarray) for value in row) else () for row in rows]
        self._counts = int(np.prod(shape))
        whole = np.empty((len(rows[0]), len(rows), *shape))
        for column, values in zip(whole, zip(*rows)):
            for own, value in zip(column, values):
                own[...] = value
        return list(whole.reshape(len(rows[0]), -1))

    def spread(self, values: Sequence[float]) -> Array:
        """A value per query, flat as the columns are."""
        return np.array(values) if self._shapes is None else np.repeat(np.array(values), self._counts)

    def split(self, answer: Array) -> list[Size]:
        """answer, flat as the columns are, query by query."""
        if self._shapes is None:
            found: list[Size] = answer.tolist()
            return found
        if isinstance(self._counts, int):
            parts = answer.reshape(len(self._shapes), self._counts)
            return [own.reshape(shape) if shape else float(own[0]) for own, shape in zip(parts, self._shapes)]
        ends = np.cumsum(self._counts)
        return [part.reshape(shape) for part, shape in zip(np.split(answer, ends[:-1]), self._shapes)]
