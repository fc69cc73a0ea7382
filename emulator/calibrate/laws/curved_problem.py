"""The least-squares problem of a law that bends: its time, its analytic derivatives, where to start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.problem import NonNegative

#: Free parameters are logarithms; at or below this the parameter is 0.
LOG_OF_ZERO = -50.0
#: A parameter that explains less than this share of every cell's time is 0.
NEGLIGIBLE = 1e-4
#: The smooth transition's exponent: below, two terms would add up to more than ten times either; above it is a maximum.
MIN_Q, MAX_Q = 0.3, 12.0
#: How many places between sizes are tried for a change of protocol, and how many protocols at least may share them.
SPLITS = 5
STARTS_OF_Q = ((1.0,), (0.6,), (2.0,))
TINY_US = 1e-12


@dataclass(frozen=True)
class Branches:
    """The time of m cells from estimates e [K]: latencies in µs, 1/B in ns/byte, then q or jump and threshold.

    sizes [m]; latency [m, k] and groups of [m, k]: what the k combinations of one protocol multiply, the groups of
    bandwidths overlapping; index [P, k]: where in e each protocol finds them; linear: how many estimates are linear.
    """

    sizes: Array
    latency: Array
    groups: tuple[Array, ...]
    index: NDArray[np.int64]
    linear: int
    smooth: bool
    jump: bool

    def take(self, keep: NDArray[np.bool_]) -> Branches:
        """Those of the cells."""
        groups = tuple(group[keep] for group in self.groups)
        return replace(self, sizes=self.sizes[keep], latency=self.latency[keep], groups=groups)

    def time_us(self, e: Array) -> Array:
        """Times [m] in µs; of several sets of estimates e [K, s], times [s, m]."""
        times = []
        for own in e[self.index]:
            latency, transfer = (self.latency @ own).T, (self.groups[0] @ own).T
            for group in self.groups[1:]:
                transfer = np.maximum(transfer, (group @ own).T)
            if self.smooth:
                q = np.clip(e[self.linear], MIN_Q, MAX_Q)[..., None]
                _, _, top, one, two = _shares(latency, transfer, q)
                times.append(top * (one + two) ** (1 / q))
            else:
                times.append(latency + transfer)
        best = times[0] if len(times) == 1 else np.min(times, axis=0)
        if self.jump:
            best = best + e[self.linear, ..., None] * (self.sizes > e[self.linear + 1, ..., None])
        return np.asarray(best)

    def jacobian(self, e: Array) -> Array:
        """Derivatives [m, K] of the times; those by the threshold are 0."""
        found = [self._branch(e, p) for p in range(len(self.index))]
        winner = np.argmin([time for time, *_ in found], axis=0)
        J = np.zeros((len(self.sizes), len(e)))
        for p, (_, slope, by_q) in enumerate(found):
            at = winner == p
            J[np.ix_(at, self.index[p])] = slope[at]
            if self.smooth:
                J[at, self.linear] = by_q[at]
        if self.jump:
            J[:, self.linear] = self.sizes > e[self.linear + 1]
        return J

    def winners(self, e: Array) -> NDArray[np.int64]:
        """Which protocol [m] is the fastest."""
        return np.asarray(np.argmin([self._branch(e, p)[0] for p in range(len(self.index))], axis=0))

    def _branch(self, e: Array, p: int) -> tuple[Array, Array, Array]:
        """Time [m] of one protocol, its slopes [m, k], and its slope by q [m]."""
        own = e[self.index[p]]
        latency = self.latency @ own
        transfers = [group @ own for group in self.groups]
        chosen = self.groups[0]
        transfer = transfers[0]
        for group, time in zip(self.groups[1:], transfers[1:]):
            chosen = np.where((time > transfer)[:, None], group, chosen)
            transfer = np.maximum(transfer, time)
        if not self.smooth:
            return latency + transfer, self.latency + chosen, np.zeros(0)
        q = min(max(e[self.linear], MIN_Q), MAX_Q)
        L, W, top, one, two = _shares(latency, transfer, q)
        time = top * (one + two) ** (1 / q)
        slope = self.latency * ((L / time) ** (q - 1))[:, None] + chosen * ((W / time) ** (q - 1))[:, None]
        total = one + two
        by_q = time * ((one * np.log(L / top) + two * np.log(W / top)) / (q * total) - np.log(total) / q**2)
        return time, slope, by_q


def _shares(latency: Array, transfer: Array, q: Array | float) -> tuple[Array, Array, Array, Array, Array]:
    """Both parts in µs, each above 0; the larger of them; each part over the larger one, to the power q."""
    L, W = np.maximum(latency, TINY_US), np.maximum(transfer, TINY_US)
    top = np.maximum(L, W)
    return L, W, top, (L / top) ** q, (W / top) ** q


@dataclass(frozen=True)
class CurvedProblem:
    """Free parameters are the logarithms of increments ≥ 0 (increments [linear, linear] adds them up) and extras."""

    branches: Branches
    increments: Array
    extras: int
    smooth: bool

    @property
    def lower(self) -> Array:
        return np.full(len(self.increments) + self.extras, -np.inf)

    def time_us(self, free: Array) -> Array:
        return self.branches.time_us(self._estimates(free))

    def jacobian(self, free: Array) -> Array:
        J = self.branches.jacobian(self._estimates(free))
        linear = len(self.increments)
        return np.asarray(np.hstack([J[:, :linear] @ self.increments, J[:, linear:]]) * self._values(free))

    def take(self, keep: NDArray[np.bool_]) -> CurvedProblem:
        return replace(self, branches=self.branches.take(keep))

    def settle(self, free: Array, us: Array) -> Array:
        """free with parameters that explain nothing of any cell at 0, and q within its limits."""
        share = (np.abs(self.jacobian(free)) / us[:, None]).max(axis=0)
        linear = np.arange(len(free)) < len(self.increments)
        settled = np.where(linear & (share < NEGLIGIBLE), LOG_OF_ZERO, np.maximum(free, LOG_OF_ZERO))
        if self.smooth:
            settled[-1] = np.log(min(max(np.exp(free[-1]), MIN_Q), MAX_Q))
        return settled

    def starts(self, us: Array, weights: Array, solve: NonNegative) -> list[Array]:
        """Linear fits of the sizes between every few places where protocols may change, or of all of them."""
        if self.branches.jump:
            return self._threshold_starts(us, weights, solve)
        found = []
        for cuts in combinations(self._places(), len(self.branches.index) - 1):
            edges = [-np.inf, *cuts, np.inf]
            parts = [(self.branches.sizes > low) & (self.branches.sizes <= high) for low, high in pairwise(edges)]
            linear = [self._linear(us, weights, part, solve) for part in parts]
            found += [self._start(linear, np.array(q)) for q in (STARTS_OF_Q if self.smooth else ((),))]
        return found

    def _places(self) -> Array:
        """Places between sizes, at least two sizes from either end, at most SPLITS of them."""
        sizes = np.unique(self.branches.sizes[self.branches.sizes > 0])
        between = np.sqrt(sizes[1:-2] * sizes[2:-1])
        return between[np.unique(np.linspace(0, len(between) - 1, min(SPLITS, len(between))).round().astype(int))]

    def _threshold_starts(self, us: Array, weights: Array, solve: NonNegative) -> list[Array]:
        """A start for each place between sizes: the jump there and the linear law, the best first."""
        sizes = np.unique(self.branches.sizes[self.branches.sizes > 0])
        Z = self.branches.latency + self.branches.groups[0]
        found = []
        for place in np.sqrt(sizes[1:-2] * sizes[2:-1]):
            columns = np.column_stack([Z, self.branches.sizes > place])
            scale = np.maximum(np.abs(columns).max(axis=0), 1e-300)
            phi, miss = solve(columns / scale * (np.sqrt(weights) / us)[:, None], np.sqrt(weights))
            found.append((miss, self._start([phi[:-1] / scale[:-1]], np.array([max(phi[-1], 0.05 * us.min()), place]))))
        return [start for _, start in sorted(found, key=lambda pair: pair[0])][:SPLITS]

    def _linear(self, us: Array, weights: Array, part: NDArray[np.bool_], solve: NonNegative) -> Array:
        """Non-negative least squares [k] of the relative error of some cells."""
        Z = (self.branches.latency + sum(self.branches.groups))[part]
        scale = np.maximum(np.abs(Z).max(axis=0, initial=0.0), 1e-300)
        root = np.sqrt(weights[part])
        return np.asarray(solve(Z / scale * (root / us[part])[:, None], root)[0] / scale)

    def _start(self, parts: list[Array], extras: Array) -> Array:
        """The free parameters nearest to one linear fit per protocol, each increment a little above 0."""
        linear = len(self.increments)
        wanted = np.zeros(linear)
        count = np.zeros(linear)
        for p, phi in enumerate(parts):
            np.add.at(wanted, self.branches.index[p], phi)
            np.add.at(count, self.branches.index[p], 1.0)
        wanted = wanted / np.maximum(count, 1.0)
        increments = np.linalg.solve(self.increments, wanted)
        rising = np.abs(self.increments @ np.abs(wanted))
        typical = 1.0 / np.maximum(np.abs(self.branches.latency + sum(self.branches.groups)).max(axis=0), 1e-300)
        floor = np.maximum(0.05 * rising, 1e-6 * self._spread(typical))
        return np.log(np.concatenate([np.maximum(increments, floor), extras]))

    def _spread(self, per_combination: Array) -> Array:
        """A value per combination [k] as one per linear estimate."""
        found = np.zeros(len(self.increments))
        for row in self.branches.index:
            found[row] = per_combination
        return found

    def _estimates(self, free: Array) -> Array:
        value = self._values(free)
        linear = len(self.increments)
        return np.concatenate([self.increments @ value[:linear], value[linear:]])

    def _values(self, free: Array) -> Array:
        return np.asarray(np.exp(np.clip(free, LOG_OF_ZERO, -LOG_OF_ZERO)))
