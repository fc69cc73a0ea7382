"""What an optimiser sees of a law: the times of some cells and their derivatives by the law's free parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array

#: Non-negative least squares: x ≥ 0 [k] that minimises |A x − b|, and that norm, of A [m, k] and b [m]. The fit brings it.
NonNegative = Callable[[Array, Array], tuple[Array, float]]
#: A parameter whose term is below this share of the time in every cell sits at its bound, 0.
AT_BOUND_SHARE = 1e-6


class Problem(Protocol):
    """Times of m cells as a function of k free parameters."""

    @property
    def lower(self) -> Array:
        """Lower bounds [k]."""
        ...

    def time_us(self, free: Array) -> Array:
        """Times [m] in µs."""
        ...

    def jacobian(self, free: Array) -> Array:
        """Their derivatives [m, k]."""
        ...

    def take(self, keep: NDArray[np.bool_]) -> Problem:
        """The problem of those cells alone."""
        ...

    def settle(self, free: Array, us: Array) -> Array:
        """free with parameters that explain nothing of any cell's time us [m] put at their bound."""
        ...

    def starts(self, us: Array, weights: Array, solve: NonNegative) -> list[Array]:
        """Start values for the times us [m] and weights [m], the most promising first."""
        ...


@dataclass(frozen=True)
class LinearProblem:
    """t = Z·φ with φ ≥ lower."""

    Z: Array
    lower: Array

    def time_us(self, free: Array) -> Array:
        return np.asarray(self.Z @ free)

    def jacobian(self, free: Array) -> Array:
        return self.Z

    def take(self, keep: NDArray[np.bool_]) -> LinearProblem:
        return LinearProblem(self.Z[keep], self.lower)

    def settle(self, free: Array, us: Array) -> Array:
        share = (np.abs(self.Z * free) / us[:, None]).max(axis=0)
        return np.where((self.lower == 0) & (share < AT_BOUND_SHARE), 0.0, free)

    def starts(self, us: Array, weights: Array, solve: NonNegative) -> list[Array]:
        """Non-negative least squares of the relative error without its worst quarter; it is near enough to the only
        minimum that matters."""
        scale = np.abs(self.Z).max(axis=0)
        relative = self.Z / scale * (np.sqrt(weights) / us)[:, None]
        first = solve(relative, np.sqrt(weights))[0] / scale
        miss = np.abs(self.time_us(first) / us - 1)
        keep = miss <= np.quantile(miss, 0.75)
        return [solve(relative[keep], np.sqrt(weights[keep]))[0] / scale]


@dataclass(frozen=True)
class FixedProblem:
    """Nothing to fit: the times are given."""

    base_us: Array

    @property
    def lower(self) -> Array:
        return np.zeros(0)

    def time_us(self, free: Array) -> Array:
        return self.base_us

    def jacobian(self, free: Array) -> Array:
        return np.zeros((len(self.base_us), 0))

    def take(self, keep: NDArray[np.bool_]) -> FixedProblem:
        return FixedProblem(self.base_us[keep])

    def settle(self, free: Array, us: Array) -> Array:
        return free

    def starts(self, us: Array, weights: Array, solve: NonNegative) -> list[Array]:
        return [np.zeros(0)]
