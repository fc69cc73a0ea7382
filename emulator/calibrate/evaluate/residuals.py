"""How operations of models depart from the law of their kind.

A surface says little of what lies between its knots (widths that are no powers of two take other times), and a matmul in a
model finds other caches than one that is repeated. A line has few terms, and serves operations of several makes (attention
with grouped heads, with latent ones).
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
#: Over ln of RESIDUAL_SIZES. What is done on the way to experts differs from make to make, and goes with their number.
#: What comes once a step, and goes with sizes of its own, is slower the more tokens a step has: caches have forgotten it.
SIZES: tuple[Kernel, ...] = ((0.2, tuple(float(np.log(16 if name == "tokens" else 2)) for name in RESIDUAL_SIZES)),)
#: Of one that was seen, on ln.
NOISE_MATMUL, NOISE_SIZES = 0.03, 0.05


class MatmulInModel:
    """The departure as a function. seen: of one surface; without any it is 1 everywhere."""

    def __init__(self, residuals: Sequence[MatmulResidual]) -> None:
        names = ("rows", "inner", "outer", "grouped", "sharded", "several")
        *at, several = (np.array([getattr(its, name) for its in residuals], dtype=float) for name in names)
        self._departure = Departure(_matmul_at(*at), [its.ratio for its in residuals], MATMULS, NOISE_MATMUL, several)

    def ratio(
        self, rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, grouped: ArrayLike, sharded: ArrayLike, several: ArrayLike
    ) -> Array:
        """Time in a model over time by the surface. As MatmulResidual has them; these broadcast."""
        return self._departure.ratio(_matmul_at(rows, inner, outer, grouped, sharded), several)


def _matmul_at(rows: ArrayLike, inner: ArrayLike, outer: ArrayLike, grouped: ArrayLike, sharded: ArrayLike) -> Array:
    logs = (np.log(np.maximum(its, 1.0)) for its in (rows, inner, outer))
    return features(*logs, grouped, sharded)


class SizesInModel:
    """The same of a line."""

    def __init__(self, residuals: Sequence[SizesResidual]) -> None:
        sizes = {name: np.array([getattr(its, name) for its in residuals]) for name in RESIDUAL_SIZES}
        self._departure = Departure(
            _sizes_at(sizes), [its.ratio for its in residuals], SIZES, NOISE_SIZES, _several(sizes["tokens"])
        )

    def ratio(self, **sizes: ArrayLike) -> Array:
        """Time in a model over time by the line, by RESIDUAL_SIZES; missing ones are 0. These broadcast."""
        return self._departure.ratio(_sizes_at(sizes), _several(sizes.get("tokens", 0.0)))


def _sizes_at(sizes: Mapping[str, ArrayLike]) -> Array:
    return features(*(np.log(np.maximum(sizes.get(name, 0.0), 1.0)) for name in RESIDUAL_SIZES))


def _several(tokens: ArrayLike) -> Array:
    """1 for a step of more than one token."""
    return (np.asarray(tokens, dtype=float) > 1).astype(float)


def matmul_residuals(law: ComputeLaw) -> MatmulInModel | None:
    """None of a law that has seen none."""
    residuals = [its for its in law.residuals or () if isinstance(its, MatmulResidual)]
    return MatmulInModel(residuals) if residuals else None


def size_residuals(law: ComputeLaw) -> SizesInModel | None:
    """None of a law that has seen none."""
    residuals = [its for its in law.residuals or () if isinstance(its, SizesResidual)]
    return SizesInModel(residuals) if residuals else None
