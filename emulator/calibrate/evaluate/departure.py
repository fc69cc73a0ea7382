"""How measurements depart from a law of few terms, interpolated to sizes near them.

ln(measured / law) is a Gaussian process (Rasmussen & Williams 2006, ch. 2): near a measurement its mean follows that, far
away it goes to 0 and the law stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array

#: Pairs of a question and a measurement that are worked on together: their features stay in a core's caches.
PAIRS = 1 << 14
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
        self.at, self.kernels = at, kernels
        self.several = np.broadcast_to(np.asarray(several, dtype=float), len(at))
        pairs = covariance(at[:, None, :] - at, self.several[:, None], self.several, kernels)
        self.weights = np.linalg.solve(pairs + noise**2 * np.eye(len(at)), np.log(np.asarray(ratios, dtype=float)))
        self._alone = Departures([self])

    def ratio(self, at: Array, several: ArrayLike = 1.0) -> Array:
        """[…, features], several […] → […]"""
        shape = at.shape[:-1]
        flat = np.broadcast_to(np.asarray(several, dtype=float), shape).ravel()
        which = np.zeros(len(flat), dtype=np.intp)
        return self._alone.ratio(which, at.reshape(-1, at.shape[-1]), flat).reshape(shape)


class Departures:
    """Departures with the same kernels, asked together. None: of one whose ratio is 1 everywhere."""

    def __init__(self, each: Sequence[Departure | None]) -> None:
        known = [one for one in each if one is not None]
        self._count = np.array([0 if one is None else len(one.at) for one in each], dtype=np.intp)
        self._first = np.cumsum(self._count) - self._count
        if known:
            self._kernels = known[0].kernels
            self._at = np.concatenate([one.at for one in known])
            self._several = np.concatenate([one.several for one in known])
            self._weights = np.concatenate([one.weights for one in known])

    def ratio(self, which: NDArray[np.intp], at: Array, several: Array) -> Array:
        """Of each question [m]: the departure that it asks, its features [m, features], several [m]."""
        found = np.ones(len(which))
        count = self._count[which]
        asked = np.flatnonzero(count)
        for part in _parts(count[asked], PAIRS):
            here = asked[part]
            pairs = count[here]
            ends = np.cumsum(pairs)
            question = np.repeat(np.arange(len(here)), pairs)
            point = np.arange(ends[-1]) + np.repeat(self._first[which[here]] - ends + pairs, pairs)
            distance = at[here][question] - self._at[point]
            known = covariance(distance, several[here][question], self._several[point], self._kernels)
            found[here] = np.exp(np.add.reduceat(known * self._weights[point], ends - pairs))
        return found


def covariance(distance: Array, mine: Array, theirs: Array, kernels: Sequence[Kernel]) -> Array:
    """Of ln of two ratios […], by the distances […, features] between them and the share of several rows of each."""
    total: Array | float = 0.0
    for s, lengths in kernels:
        total = total + s**2 * np.exp(-((distance / np.array(lengths)) ** 2).sum(axis=-1) / 2)
    same = mine * theirs + (1 - mine) * (1 - theirs)
    return np.asarray(total * (ROW_CORRELATION + (1 - ROW_CORRELATION) * same))


def _parts(counts: NDArray[np.intp], most: int) -> Iterator[slice]:
    """Runs of elements whose counts add up to no more than most, of one at least."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + most, side="right")))
        yield slice(start, stop)
        start = stop


def features(*values: ArrayLike) -> Array:
    """[…, values], of numbers and arrays that broadcast."""
    return np.stack(np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in values)), axis=-1)
