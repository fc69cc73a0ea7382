"""The numbers a fit works on: one point per cell and launch, with its weight and its launch's common factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array

if TYPE_CHECKING:
    import pandas as pd

Index = NDArray[np.int64]

MIN_REPLICATES = 3
#: Launches of a cell that differ by less than this many typical distances are alike.
REACH = 3.0
#: Differences of 2 % are never called far, however well the other cells agree.
TYPICAL_FLOOR = 0.02
#: Launches differ by 5 to 10 % on a machine of one's own: less is never far.
TYPICAL_LAUNCH = 0.07
#: Launches whose differences say what is typical.
ENOUGH = 5


@dataclass(frozen=True)
class Points:
    """n bytes, r ranks, N nodes, launch, cell (index of the distinct (n, r, N)), us: the time in µs, and trust: the
    weight that the cell's other launches leave it (see `trust_of`); all [m]."""

    n: Array
    r: Array
    N: Array
    launch: Index
    cell: Index
    us: Array
    trust: Array

    def __len__(self) -> int:
        return len(self.us)

    def take(self, mask: NDArray[np.bool_]) -> Points:
        """The points where mask [m] holds."""
        return Points(*(getattr(self, name)[mask] for name in ("n", "r", "N", "launch", "cell", "us", "trust")))

    @property
    def launches(self) -> Index:
        return np.unique(self.launch)


def points_of(rows: pd.DataFrame) -> Points:
    """Points from usable rows of one key (inferometer.emulator.calibrate.schema.keys.usable_rows)."""
    n, r, N, us = (rows[name].to_numpy(dtype=float) for name in ("bytes", "ranks", "nodes", "us"))
    cell = np.unique(np.column_stack([r, N, n]), axis=0, return_inverse=True)[1].ravel()
    alike = Points(n, r, N, rows["launch"].to_numpy(dtype=np.int64), cell.astype(np.int64), us, np.ones(len(us)))
    return replace(alike, trust=trust_of(alike))


def trust_of(points: Points) -> Array:
    """Weights [m]: 1, but falling as 1/distance² for a point far from the other launches of its own cell.

    Distance: |ln us − the cell's median|, launch effects taken out, in units of REACH typical distances. A gross outlier
    is known by its own replicates, whatever the law is; the robust loss alone would still be pulled, since such times
    are always too long. It needs three launches of a cell, and nothing is thrown away.
    """
    log_us = np.log(without_launch_effect(points))
    distance = np.zeros(len(points))
    for cell in np.unique(points.cell):
        at = points.cell == cell
        if at.sum() >= MIN_REPLICATES:
            distance[at] = np.abs(log_us[at] - np.median(log_us[at]))
    residuals = distance[distance > 0]  # of every odd number of launches one is the median itself
    if not len(residuals):
        return np.ones(len(points))
    limit = REACH * max(1.4826 * float(np.median(residuals)), TYPICAL_FLOOR)
    return np.where(distance > limit, (limit / np.maximum(distance, limit)) ** 2, 1.0)


def weights_of(points: Points) -> Array:
    """Weights [m] with mean 1: equal for each (ranks, nodes), and within it for each octave of size, times the trust.

    Otherwise a sweep that is dense where messages are small would fit the small messages only.
    """
    octave = np.floor(np.log2(np.maximum(points.n, 0.5)))
    topologies, topology = np.unique(np.column_stack([points.r, points.N]), axis=0, return_inverse=True)
    bins, bin_ = np.unique(np.column_stack([topology.ravel(), octave]), axis=0, return_inverse=True)
    octaves_of_topology = np.bincount(bins[:, 0].astype(int), minlength=len(topologies))
    weights = 1.0 / (octaves_of_topology[topology.ravel()] * np.bincount(bin_.ravel())[bin_.ravel()])
    weights = weights * points.trust
    return np.asarray(weights * len(points) / weights.sum())


def without_launch_effect(points: Points) -> Array:
    """Times [m] in µs with each launch's common factor taken out, and their centre left in (`centre_of_launches`).

    ln us_il = cell_i + u_l + e_il, fitted by medians (Tukey's median polish, two rounds) whatever the law is. A process
    launch shifts all its cells together (placement, frequency, neighbours). Left in, that shift hides the outliers of
    a cell and a robust fit would follow the majority of the launches; taken out, their mean is kept, and an
    interval over launches sees it in full. Cells measured in one launch only say nothing about u.
    """
    launches, at = np.unique(points.launch, return_inverse=True)
    if len(launches) < 2:
        return points.us
    cells, row = np.unique(points.cell, return_inverse=True)
    log_us = np.log(points.us)
    table = np.full((len(cells), len(launches)), np.nan)
    table[row, at] = log_us
    table = table[np.isfinite(table).sum(axis=1) >= 2]
    median = np.median if np.isfinite(table).all() else np.nanmedian
    effect = np.zeros(len(launches))
    if not len(table) or np.isnan(table).all(axis=0).any():
        return points.us
    for _ in range(2):
        cell = median(table - effect, axis=1)
        effect = np.asarray(median(table - cell[:, None], axis=0))
    return np.asarray(np.exp(log_us - (effect - centre_of_launches(effect))[at]))


def cell_means(points: Points) -> tuple[Array, Array]:
    """Of each cell, in their order, the mean of ln us over launches and the variance of that mean by chance [cells].

    The launches' common factors are taken out, points count by their trust; cells of a single launch say nothing of chance
    and get the mean variance of the others (0 if there are none).
    """
    log_us = np.log(without_launch_effect(points))
    _, cell, count = np.unique(points.cell, return_inverse=True, return_counts=True)
    weight = np.bincount(cell, points.trust)
    mean = np.bincount(cell, points.trust * log_us) / weight
    squares = np.bincount(cell, points.trust * (log_us - mean[cell]) ** 2) / weight
    several = count > 1
    variance = squares / np.maximum(count - 1, 1)
    return mean, np.where(several, variance, variance[several].mean() if several.any() else 0.0)


def centre_of_launches(effect: Array) -> float:
    """The mean of the launches' factors [launches] (ln), in which a launch far from the others hardly counts.

    Its weight falls as 1/distance² beyond REACH typical distances from the median: something else had the machine while it
    ran. What is typical, fewer than ENOUGH launches do not say; of two, nobody knows which was disturbed.
    """
    if len(effect) < MIN_REPLICATES:
        return float(effect.mean())
    distance = np.abs(effect - np.median(effect))
    typical = 1.4826 * float(np.median(distance)) if len(effect) >= ENOUGH else 0.0
    limit = REACH * max(typical, TYPICAL_LAUNCH)
    return float(np.average(effect, weights=(limit / np.maximum(distance, limit)) ** 2))
