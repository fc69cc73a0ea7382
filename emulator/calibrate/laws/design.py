"""Which parameters of a linear law a set of measured cells determines, before anything is fitted.

A design matrix X [cells, parameters] determines a combination v·θ exactly if v lies in the row space of X. The reduced
row echelon form R of that space lists the simplest such combinations: X = X[:, pivots] · R, so fitting the pivot
columns fits the combinations R·θ themselves. A row of R that is a unit vector is a parameter by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array

#: Singular values below this fraction of the largest count as zero. Columns are scaled to 1, so that what is left to
#: round-off is about 1e-15; a real design's smallest is above 1e-7 (two sizes in 64 MiB that differ by 64 bytes).
RANK_TOLERANCE = 1e-9
#: How closely a query must lie in the row space. A file keeps nine digits.
SPAN_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Design:
    """The row space of a design matrix.

    names [p]; pivots: indices of the k pivot columns; combinations [k, p]: the identifiable combinations, with 1 at
    the pivot; condition: of the pivot columns scaled to unit length, None where there is none; zero: parameters whose
    column is 0 in every cell.
    """

    names: tuple[str, ...]
    pivots: tuple[int, ...]
    combinations: Array
    condition: float | None
    zero: frozenset[str]

    @property
    def rank(self) -> int:
        return len(self.pivots)

    @property
    def identified(self) -> dict[str, int]:
        """Parameters that are identifiable by themselves, with their row of combinations."""
        alone = {i: np.flatnonzero(row) for i, row in enumerate(self.combinations)}
        return {self.names[at[0]]: i for i, at in alone.items() if len(at) == 1}

    def coefficients(self, row: int) -> dict[str, float]:
        """One combination as parameter name to coefficient, without zeros."""
        return {name: float(v) for name, v in zip(self.names, self.combinations[row]) if v != 0}

    def lower_bounds(self) -> Array:
        """Lower bounds [k] of the combinations that follow from θ ≥ 0: 0, or −inf where a coefficient is negative."""
        return np.where((self.combinations < 0).any(axis=1), -np.inf, 0.0)

    def spans(self, X: Array) -> NDArray[np.bool_]:
        """Whether each row of X [m, p] lies in the row space: whether the cells determine that time."""
        w = self.coordinates(X)
        others, R, absolute = self._others
        error = np.abs(X[:, others] - w @ R)
        size = np.abs(X[:, others]) + np.abs(w) @ absolute
        return np.asarray((error <= SPAN_TOLERANCE * size).all(axis=1))

    @cached_property
    def _others(self) -> tuple[list[int], Array, Array]:
        """The columns that are no pivots (those agree by definition), their combinations, these without signs."""
        others = [j for j in range(len(self.names)) if j not in self.pivots]
        R = self.combinations[:, others]
        return others, R, np.abs(R)

    def coordinates(self, X: Array) -> Array:
        """Rows X [m, p] in terms of the combinations [m, k], for rows in the row space."""
        return X[:, list(self.pivots)]


def identify(X: Array, names: Sequence[str]) -> Design:
    """The row space of X [cells, parameters]: its rank by singular values, its combinations by Gauss-Jordan.

    Pivots are taken from the left, so an earlier parameter stands for a merged combination (a + 3b, not b + a/3).
    """
    scale = np.abs(X).max(axis=0, initial=0.0)
    zero = frozenset(name for name, s in zip(names, scale) if s == 0)
    scale = np.where(scale > 0, scale, 1.0)
    scaled = np.unique(X / scale, axis=0)
    _, singular, Vt = np.linalg.svd(scaled, full_matrices=False)
    rank = int((singular > RANK_TOLERANCE * singular[0]).sum()) if singular.size and singular[0] > 0 else 0
    pivots, R = _reduced_row_echelon(Vt[:rank])
    physical = R * scale / scale[list(pivots)][:, None]
    return Design(tuple(names), pivots, physical, _condition(scaled[:, list(pivots)]), zero)


def _reduced_row_echelon(rows: Array) -> tuple[tuple[int, ...], Array]:
    """Gauss-Jordan elimination of linearly independent, orthonormal rows [k, p], pivots from the left."""
    R = rows.copy()
    pivots: list[int] = []
    for column in range(R.shape[1]):
        top = len(pivots)
        if top == len(R):
            break
        best = top + int(np.argmax(np.abs(R[top:, column])))
        if abs(R[best, column]) < 1e-8:
            continue
        R[[top, best]] = R[[best, top]]
        R[top] /= R[top, column]
        others = np.arange(len(R)) != top
        R[others] -= R[others, column][:, None] * R[top]
        pivots.append(column)
    R = np.where(np.abs(R) < 1e-8, 0.0, R)
    R[np.arange(len(pivots)), pivots] = 1.0
    return tuple(pivots), R


def _condition(Z: Array) -> float | None:
    if not Z.size:
        return None
    singular = np.linalg.svd(Z / np.linalg.norm(Z, axis=0), compute_uv=False)
    return float(singular[0] / singular[-1])
