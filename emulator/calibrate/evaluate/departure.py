"""How measurements depart from a law of few terms, carried over to what lies near them.

ln(measured / law) is taken as a Gaussian process (Rasmussen & Williams 2006, ch. 2): next to what was seen its mean follows
that, far away it goes to 0 and the law stands alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array

Kernel = tuple[float, tuple[float, ...]]
"""A standard deviation of ln, and over which length of each feature it is alike."""


#: How far the ratios of one row and of several go together: another kernel is at work (a matrix times a vector), copies fall
#: away.
ALIKE = 0.2


class Departure:
    """The departure as a function of some features.

    at [points, features], ratios [points]: measured over law; noise: what one of them is uncertain by, on ln. several
    [points] or a number: how much of it is work on several rows at once, 0 to 1; the rest is on single ones. Without any
    point the ratio is 1 everywhere.
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
        step_breakdown = at[..., None, :] - self._at
        parts = (
            s**2 * np.exp(-((step_breakdown / np.array(lengths)) ** 2).sum(axis=-1) / 2) for s, lengths in self._kernels
        )
        mine, theirs = several[..., None], self._several
        same = mine * theirs + (1 - mine) * (1 - theirs)
        return np.asarray(sum(parts) * (ALIKE + (1 - ALIKE) * same))


def features(*values: ArrayLike) -> Array:
    """[…, values], of numbers and arrays that broadcast."""
    return np.stack(np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values)), axis=-1)
