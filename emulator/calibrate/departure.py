"""How measurements depart from a law of few terms, carried over to what lies near them.

ln(measured / law) is taken as a Gaussian process (Rasmussen & Williams 2006, ch. 2): next to what was seen its mean follows
that, far away it goes to 0 and the law stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Kernel = tuple[float, tuple[float, ...]]
"""A standard deviation of ln, and over which length of each feature it is alike."""


class Departure:
    """The departure as a function of some features.

    at [points, features], ratios [points]: measured over law; noise: what one of them is uncertain by, on ln. Without any
    point the ratio is 1 everywhere.
    """

    def __init__(self, at: Array, ratios: ArrayLike, kernels: Sequence[Kernel], noise: float) -> None:
        self._at, self._kernels = at, kernels
        covariance = self._covariance(at) + noise**2 * np.eye(len(at))
        self._weights = np.linalg.solve(covariance, np.log(np.asarray(ratios, dtype=float)))

    def ratio(self, at: Array) -> Array:
        """[…, features] → […]"""
        return np.asarray(np.exp(self._covariance(at) @ self._weights))

    def _covariance(self, at: Array) -> Array:
        """[…, features] → […, points]"""
        apart = at[..., None, :] - self._at
        parts = (s**2 * np.exp(-((apart / np.array(lengths)) ** 2).sum(axis=-1) / 2) for s, lengths in self._kernels)
        return np.asarray(sum(parts))


def features(*values: ArrayLike) -> Array:
    """[…, values], of numbers and arrays that broadcast."""
    return np.stack(np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values)), axis=-1)
