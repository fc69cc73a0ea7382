"""The rank mesh: every process group is a slice of one array of rank numbers.

A mesh of 8 ranks with the axes ``pp=2, tp=4`` is the array ``[[0 1 2 3] [4 5 6 7]]``; the tensor-parallel groups are its
rows, the pipeline groups its columns. (The idea is picotron's; see also torch's DeviceMesh.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class RankMesh:
    """Ranks laid out over named axes.

    ``grid``: int array, one dim per axis, each entry a world rank, no rank twice.
    ``axes``: the name of each dim of ``grid``, outermost first.

    Raises ``ValueError`` where names and dims disagree or a rank stands twice.
    """

    grid: np.ndarray
    axes: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.grid.ndim != len(self.axes) or len(set(self.axes)) != len(self.axes):
            raise ValueError(f"a grid of {self.grid.ndim} dims needs as many different axis names, not {self.axes}")
        if len(np.unique(self.grid)) != self.grid.size:
            raise ValueError(f"a rank stands twice in the mesh {self.grid.tolist()}")

    @classmethod
    def of(cls, degrees: Mapping[str, int], ranks: int | Sequence[int]) -> RankMesh:
        """Lay ``ranks`` (a count, or a list of world ranks) over the axes of ``degrees``, the last axis fastest."""
        members = list(range(ranks)) if isinstance(ranks, int) else list(ranks)
        size = prod(degrees.values())
        if min(degrees.values(), default=1) < 1 or size != len(members):
            spelt = "·".join(degrees) or "nothing"
            raise ValueError(f"{spelt} = {'·'.join(map(str, degrees.values()))} = {size} but there are {len(members)} ranks")
        return cls(np.array(members).reshape(tuple(degrees.values())), tuple(degrees))

    @property
    def size(self) -> int:
        return int(self.grid.size)

    def degree(self, *axes: str) -> int:
        """Ranks along the named axes together."""
        return prod(self.grid.shape[self._dim(axis)] for axis in axes)

    def groups(self, *axes: str) -> list[tuple[int, ...]]:
        """The groups that vary along ``axes`` while every other axis stays: they are disjoint and cover the mesh."""
        inner = [self._dim(axis) for axis in axes]
        outer = [dim for dim in range(self.grid.ndim) if dim not in inner]
        slices = self.grid.transpose(outer + inner).reshape(-1, self.degree(*axes))
        return [tuple(int(rank) for rank in row) for row in slices]

    def group_of(self, rank: int, *axes: str) -> tuple[int, ...]:
        """The one group along ``axes`` that holds ``rank``. Raises ``ValueError`` for a rank outside the mesh."""
        for group in self.groups(*axes):
            if rank in group:
                return group
        raise ValueError(f"rank {rank} is not in {self}")

    def coordinates(self, rank: int) -> dict[str, int]:
        """Where ``rank`` stands on each axis. Raises ``ValueError`` for a rank outside the mesh."""
        found = np.argwhere(self.grid == rank)
        if len(found) == 0:
            raise ValueError(f"rank {rank} is not in {self}")
        return dict(zip(self.axes, (int(index) for index in found[0])))

    def _dim(self, axis: str) -> int:
        if axis not in self.axes:
            raise ValueError(f"the mesh has no axis {axis!r}, only {', '.join(self.axes)}")
        return self.axes.index(axis)

    def __str__(self) -> str:
        return "-".join(f"{axis}({degree})" for axis, degree in zip(self.axes, self.grid.shape))


def powers_of_two(limit: int) -> Iterator[int]:
    """1, 2, 4 … up to ``limit``."""
    value = 1
    while value <= limit:
        yield value
        value *= 2
