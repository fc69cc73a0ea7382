"""In which order cells tell most: each next one narrows the predicted times of all cells the most for the time it takes.

A time's logarithm is taken to be that of the plain law, whose parameters may be anything within a factor of a few, plus a
smooth departure from it over sizes, ranks and nodes (a threshold, another protocol, other fabric), plus the noise of a cell.
How far each cell's time is known then depends on which cells are measured, not on what they show: a Gaussian process, of
which the cell is taken that lessens the summed variance most per second. The Jacobian of the law stands in the prior.
(Chaloner and Verdinelli 1995, §2: A-optimal design; Krause, Singh and Guestrin 2008: chosen greedily.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.forms import law_of
from inferometer.emulator.calibrate.laws.linear import AFFINE
from inferometer.emulator.measure.plan import Cell

TYPICAL = {"a": 100.0, "b": 50.0, "c": 100.0, "B_intra": 1.0, "B_inter": 1.0}
"""µs and GB/s: of gloo on a processor, within the factor below on other networks."""
PARAMETER_SD = 1.5
"""Of a parameter's logarithm: a factor of 4.5."""
DEPARTURE_SD = 0.3
REACH = (2.0, 0.7, 0.7)
"""Doublings of bytes, ranks and nodes over which departures resemble each other."""
NOISE_SD = 0.1
"""Of a cell's median, from launch to launch."""
MOST = 200
"""Cells of one key that are weighed against each other."""
ITERATIONS, OVERHEAD_S = 25, 0.15
"""What a cell takes: so many operations, each after a barrier that takes about as long, and the ranks' agreement on it."""


def by_information(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, tier after tier; in each tier the most telling first, given all that stand before it.

    Of every key (collective, dtype, timing, groups, compute gap) the first cell is one of the most ranks. Cells of a key
    beyond MOST come last in their tier, as they are given: what they tell is little, and to find out takes long.
    """
    of_key: dict[tuple[str, str, str, str, float], list[Cell]] = {}
    for cell in cells:
        of_key.setdefault(_key(cell), []).append(cell)
    keys = {key: _Known(mine[:MOST]) for key, mine in of_key.items()}
    late = [cell for mine in of_key.values() for cell in mine[MOST:]]
    found: list[Cell] = []
    for tier in sorted({cell.tier for cell in cells}):
        left = {key: known.indices(tier) for key, known in keys.items()}
        while any(left.values()):
            best = max((key for key in left if left[key]), key=lambda key: keys[key].best(left[key])[0])
            _, at = keys[best].best(left[best])
            keys[best].measure(at)
            left[best].remove(at)
            found.append(keys[best].cells[at])
        found += [cell for cell in late if cell.tier == tier]
    return found


def expected_s(cell: Cell) -> float:
    """What a cell takes in one launch, about."""
    n, r, N = (np.array([value], dtype=float) for value in (cell.requested_bytes, cell.ranks, cell.nodes))
    return float(_seconds(prior(cell.collective, n, r, N)[1] + cell.compute_gap_us)[0])


def _seconds(time_us: Array) -> Array:
    return np.asarray(OVERHEAD_S + 2 * ITERATIONS * time_us * 1e-6)


def _key(cell: Cell) -> tuple[str, str, str, str, float]:
    return cell.collective, cell.dtype, cell.timing, cell.groups, cell.compute_gap_us


class _Known:
    """What is known of the cells of one key: the covariance of their times' logarithms."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = list(cells)
        n, r, N = (np.array(values, dtype=float) for values in zip(*((c.requested_bytes, c.ranks, c.nodes) for c in cells)))
        self._covariance, time_us = prior(cells[0].collective, n, r, N)
        self._seconds = _seconds(time_us)
        self._widest = r == r.max()
        self._any = False

    def indices(self, tier: int) -> list[int]:
        return [at for at, cell in enumerate(self.cells) if cell.tier == tier]

    def best(self, indices: Sequence[int]) -> tuple[float, int]:
        """How much variance per second the best of these takes away, and which it is."""
        wide = [at for at in indices if self._widest[at]]
        at = np.array(wide if wide and not self._any else indices)
        gain = (self._covariance[:, at] ** 2).sum(axis=0) / (self._covariance[at, at] + NOISE_SD**2) / self._seconds[at]
        return float(gain.max()), int(at[int(np.argmax(gain))])

    def measure(self, at: int) -> None:
        column = self._covariance[:, at]
        self._covariance = self._covariance - np.outer(column, column) / (column[at] + NOISE_SD**2)
        self._any = True


def prior(collective: str, n: Array, r: Array, N: Array) -> tuple[Array, Array]:
    """Covariance [m, m] of the logarithms of the times of m cells before any is measured, and typical times [m] in µs."""
    law = law_of(AFFINE, collective).base
    parts = law.columns(n, r, N) * law.theta({term.name: TYPICAL[term.name] for term in law.terms})
    time_us = np.maximum(parts.sum(axis=1), 1.0)
    shares = PARAMETER_SD * parts / time_us[:, None]  # d ln t / d ln θ
    places = np.column_stack([np.log2(np.maximum(n, 1)), np.log2(r), np.log2(N)]) / REACH
    distance = ((places[:, None, :] - places[None, :, :]) ** 2).sum(axis=2)
    return shares @ shares.T + DEPARTURE_SD**2 * np.exp(-distance / 2), time_us
