"""What a roofline's time is multiplied by: a smooth surface over a few sizes, by the values at its knots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.compute_records import Correction, SizeAxis

#: Rows up to which a matmul has a kernel that wastes none, and those of a tile beyond.
FEW_ROWS, TILE_ROWS = 16, 64
#: Rows whose number is a multiple of this are aligned.
ALIGNED = 8
LEAST = 1e-9

Sizes = Mapping[str, Array]


def _tiles(sizes: Sizes) -> Array:
    rows = sizes["rows"]
    return np.where(rows <= FEW_ROWS, rows, np.ceil(rows / TILE_ROWS) * TILE_ROWS)


def _size(name: str) -> Callable[[Sizes], Array]:
    over, _, under = name.partition("/")
    if not under:
        return lambda sizes: sizes[over]
    return lambda sizes: sizes[over] / np.maximum(sizes[under], LEAST)


#: The axes by their names.
AXES: Mapping[SizeAxis, Callable[[Sizes], Array]] = MappingProxyType(
    {name: _tiles if name == "rows_64" else _size(name) for name in get_args(SizeAxis)}
)


@dataclass(frozen=True)
class ReadyCorrection:
    """A correction made ready. knots: logarithms; table: of the logarithms, by axis."""

    axes: tuple[SizeAxis, ...]
    knots: tuple[Array, ...]
    unaligned: bool
    table: Array

    @classmethod
    def of(cls, record: Correction) -> ReadyCorrection:
        knots = tuple(np.log(axis) for axis in record.knots)
        return cls(record.axes, knots, record.unaligned, np.reshape(record.values, [len(axis) for axis in knots]))

    def log(self, sizes: Sizes) -> Array:
        """The logarithm of the factor; sizes broadcast."""
        total: Array = np.zeros(())
        for corner, weight in corners(self.axes, self.knots, sizes):
            total = total + weight * self.table[corner]
        return np.where(unaligned(sizes["rows"]), total, 0.0) if self.unaligned else total


def corners(
    axes: Sequence[SizeAxis], knots: Sequence[Array], sizes: Sizes
) -> Iterator[tuple[tuple[NDArray[np.intp], ...], Array]]:
    """The indices of each of the knots around sizes, and its weight."""
    cells = []
    for name, axis in zip(axes, knots):
        inside = np.clip(np.log(np.maximum(AXES[name](sizes), LEAST)), axis[0], axis[-1])
        index = np.clip(np.searchsorted(axis, inside, side="right") - 1, 0, len(axis) - 2)
        cells.append((index, (inside - axis[index]) / (axis[index + 1] - axis[index])))
    for corner in product((0, 1), repeat=len(axes)):
        weight: Array = np.ones(())
        for up, (_, part) in zip(corner, cells):
            weight = weight * (part if up else 1 - part)
        yield tuple(index + up for up, (index, _) in zip(corner, cells)), weight


def unaligned(rows: ArrayLike) -> NDArray[np.bool_]:
    """Whether a matmul has so many rows that they fill no whole vectors."""
    rows = np.asarray(rows, dtype=float)
    return np.asarray((rows > FEW_ROWS) & (np.mod(rows, ALIGNED) != 0))


def factor(corrections: Sequence[ReadyCorrection], sizes: Mapping[str, ArrayLike]) -> Array:
    """What all of them together multiply a time by."""
    if not corrections:
        return np.ones(())
    known = {name: np.asarray(value, dtype=float) for name, value in sizes.items()}
    return np.exp(sum(one.log(known) for one in corrections))
