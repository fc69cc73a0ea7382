"""The face a law shows the optimiser: a time and its derivative in the law's free parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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

    def starts(self, us: Array, weights: Array) -> list[Array]:
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

    def starts(self, us: Array, weights: Array) -> list[Array]:
        """Non-negative least squares of the relative error, the same without its worst quarter, and equal shares."""
        from scipy.optimize import nnls

        scale = np.abs(self.Z).max(axis=0)
        relative = self.Z / scale * (np.sqrt(weights) / us)[:, None]
        first = nnls(relative, np.sqrt(weights))[0] / scale
        miss = np.abs(self.time_us(first) / us - 1)
        keep = miss <= np.quantile(miss, 0.75)
        trimmed = nnls(relative[keep], np.sqrt(weights[keep]))[0] / scale
        shares = np.array([np.min(us[z > 0] / z[z > 0], initial=np.inf) for z in self.Z.T]) / self.Z.shape[1]
        return [first, trimmed, np.where(np.isfinite(shares), shares, 0.0)]


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

    def starts(self, us: Array, weights: Array) -> list[Array]:
        return [np.zeros(0)]
