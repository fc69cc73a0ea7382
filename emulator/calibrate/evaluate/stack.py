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
        self._shapes: list[tuple[int, ...]] | None = None
        self.columns: list[Array]
        if not any(isinstance(value, np.ndarray) for row in rows for value in row):
            self.columns = [np.array(column, dtype=float) for column in zip(*rows)]
            return
        self._shapes = [np.broadcast_shapes(*(np.shape(value) for value in row)) for row in rows]
        self.columns = [
            np.concatenate([np.broadcast_to(value, shape).ravel() for value, shape in zip(column, self._shapes)]).astype(
                float
            )
            for column in zip(*rows)
        ]

    def split(self, answer: Array) -> list[Size]:
        """answer, flat as the columns are, query by query."""
        if self._shapes is None:
            found: list[Size] = answer.tolist()
            return found
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(answer, ends[:-1]), self._shapes)]
