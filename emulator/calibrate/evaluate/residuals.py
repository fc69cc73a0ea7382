"""How operations of models depart from the law of their kind.

A surface is coarse between its knots (widths that are no powers of two take other times), and a matmul in a model finds
other caches than one that is repeated. A line has few terms, and covers operations of several kinds (attention with grouped
heads, with latent ones).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.departure import Departure, Kernel, features
from inferometer.emulator.calibrate.schema.compute_records import RESIDUAL_SIZES, ComputeLaw, MatmulResidual, SizesResidual

#: Over ln rows, ln inner, ln outer, from one matrix to several (experts, heads), from a whole model to a sharded one: one
#: for what is common to many, one for what is particular.
MATMULS: tuple[Kernel, ...] = (
    (0.1, (float(np.log(16)), float(np.log(16)), float(np.log(16)), 2.0, 2.0)),
    (0.2, (float(np.log(3)), float(np.log(1.5)), float(np.log(1.5)), 1.0, 1.0)),
)
#: Over ln of RESIDUAL_SIZES. Glue before experts differs from model to model, with the number of experts. What runs once a
#: step is slower the more tokens the step has: its data are no longer in the caches.
SIZES: tuple[Kernel, ...] = ((0.2, tuple(float(np.log(16 if name == "tokens" else 2)) for name in RESIDUAL_SIZES)),)
#: Standard deviation of one residual, on ln.
NOISE_MATMUL, NOISE_SIZES = 0.03, 0.05


class MatmulInModel:
    """Measured over predicted of one surface's matmuls, as a function; 1 everywhere without residuals."""

    def __init__(self, residuals: Sequence[MatmulResidual]) -> None:
        names = ("rows", "inner", "outer", "grouped", "sharded", "several")
        *at, several = (np.array([getattr(one, name) for one in residuals], dtype=float) for name in names)
        self._departure = Departure(_matmul_at(*at), [one.ratio for one in residuals], MATMULS, NOISE_MATMUL, several)

    def ratio(
        self, rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, grouped: ArrayLike, sharded: ArrayLike, several: ArrayLike
    ) -> Array:
        """Time in a model over time by the surface. As MatmulResidual has them; these broadcast."""
        return self._departure.ratio(_matmul_at(rows, inner, outer, grouped, sharded), several)


def _matmul_at(rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, grouped: ArrayLike, sharded: ArrayLike) -> Array:
    logs = (np.log(np.maximum(size, 1.0)) for size in (rows, inner, outer))
    return features(*logs, grouped, sharded)


class SizesInModel:
    """Measured over predicted of one line's operations, as a function of their sizes."""

    def __init__(self, residuals: Sequence[SizesResidual]) -> None:
        sizes = {name: np.array([getattr(one, name) for one in residuals]) for name in RESIDUAL_SIZES}
        self.departure = Departure(
            sizes_at(sizes), [one.ratio for one in residuals], SIZES, NOISE_SIZES, steps_of_several(sizes["tokens"])
        )

    def ratio(self, **sizes: ArrayLike) -> Array:
        """Time in a model over time by the line, by RESIDUAL_SIZES; missing ones are 0. These broadcast."""
        return self.departure.ratio(sizes_at(sizes), steps_of_several(sizes.get("tokens", 0.0)))


def sizes_at(sizes: Mapping[str, ArrayLike]) -> Array:
    return features(*(np.log(np.maximum(sizes.get(name, 0.0), 1.0)) for name in RESIDUAL_SIZES))


def steps_of_several(tokens: ArrayLike) -> Array:
    """1 for a step of more than one token."""
    return (np.asarray(tokens, dtype=float) > 1).astype(float)


def matmul_residuals(law: ComputeLaw) -> MatmulInModel | None:
    """None of a law without residuals."""
    residuals = [one for one in law.residuals or () if isinstance(one, MatmulResidual)]
    return MatmulInModel(residuals) if residuals else None


def size_residuals(law: ComputeLaw) -> SizesInModel | None:
    """None of a law without residuals."""
    residuals = [one for one in law.residuals or () if isinstance(one, SizesResidual)]
    return SizesInModel(residuals) if residuals else None
