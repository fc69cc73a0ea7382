"""How measurements depart from a law of few terms, interpolated to sizes near them.

ln(measured / law) is a Gaussian process (Rasmussen & Williams 2006, ch. 2): near a measurement its mean follows that, far
away it goes to 0 and the law stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array

Kernel = tuple[float, tuple[float, ...]]
"""A standard deviation of ln, and its length scale for each feature."""


#: Prior correlation between the residuals of calls with one row (matrix–vector kernels) and with several (matrix–matrix).
ROW_CORRELATION = 0.2


class Departure:
    """The departure as a function of some features.

    at [points, features], ratios [points]: measured over law; noise: the standard deviation of one ratio, on ln. several
    [points] or a number: the share of its work on several rows at once, 0 to 1. Without any point the ratio is 1
    everywhere.
    """

    def __init__(
        self, at: Array, ratios: ArrayLike, kernels: Sequence[Kernel], noise: float, several: ArrayLike = 1.0
    ) -> None:
        self._at, self._kernels = at, kernels
        self._several = np.broadcast_to(np.asarray(several, dtype=float), len(at))
        covariance = self._covariance(at, self._several) + noise**2 * np.eye(len(at))
        self._weights = np.linalg.solve(covariance, np.log(np.asarray(ratios, dtype=float)))

    def ratio(self, at: Array, several: ArrayLike = 1.0) -> Array:
        """[…, features], several […] → […]"""
        return np.asarray(np.exp(self._covariance(at, np.asarray(several, dtype=float)) @ self._weights))

    def _covariance(self, at: Array, several: Array) -> Array:
        """[…, features], […] → […, points]"""
        distance = at[..., None, :] - self._at
        parts = (s**2 * np.exp(-((distance / np.array(lengths)) ** 2).sum(axis=-1) / 2) for s, lengths in self._kernels)
        mine, theirs = several[..., None], self._several
        same = mine * theirs + (1 - mine) * (1 - theirs)
        return np.asarray(sum(parts) * (ROW_CORRELATION + (1 - ROW_CORRELATION) * same))


def features(*values: ArrayLike) -> Array:
    """[…, values], of numbers and arrays that broadcast."""
    return np.stack(np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values)), axis=-1)
