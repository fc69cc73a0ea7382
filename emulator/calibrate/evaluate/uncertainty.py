"""The 95 % interval of a predicted time: what the parameters leave open, how far the law missed, how far one asks beyond."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.predict import Itself, among, predictor
from inferometer.emulator.calibrate.evaluate.student import t_quantile
from inferometer.emulator.calibrate.schema.network_records import Domain, NetworkLaw

STEP = 1e-4
#: Where no rank or node count could be left out, nobody knows how the law extrapolates over it: twice the known error.
UNTESTED = 2.0


def half_width(model: NetworkLaw, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
    """h, so that the 95 % interval of a time t is [t e^−h, t e^h]; NaN where the model does not determine t.

    The time is the mean over launches, as serving for long sees it; a single launch differs from it by more. h is the
    root of the sum of squares of `deviations`.
    """
    return norm(deviations(model, n, r, N))


def norm(deviations: Array) -> Array:
    """The root of the sum of squares over the first axis."""
    return np.asarray(np.sqrt((deviations**2).sum(axis=0)))


def deviations(model: NetworkLaw, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
    """What leaves ln t open, source by source [1 + k, …]: the 95 % half widths of sources that err independently.

    First the law itself, by the 95th percentile of its held-out |ln| errors: over sizes inside what was measured; the
    larger of that and the one over rank counts (node counts) at others, times 1 + the distance in doublings beyond the
    measured sizes, ranks per node and nodes. It errs by itself at each rank and node count.

    Then the k directions of the estimates' covariance, each with the sign of what it does to t: times of one law move
    together by them, or against each other (by the delta method; no rows without a covariance). Estimates near 0, whose
    covariance is on the linear scale, move the time by their own deviation: up to t (1 + d), and down to what is left of t
    with them at their lower limits; the root of the squares is the larger of the two distances in ln t, NaN where nothing
    is left.
    """
    shape = np.broadcast_shapes(np.shape(n), np.shape(r), np.shape(N))
    n_, r_, N_ = (np.ravel(np.broadcast_to(np.asarray(v, dtype=float), shape)) for v in (n, r, N))
    rows = np.concatenate([_law(model, n_, r_, N_)[None], _parameters(model, n_, r_, N_)])
    return rows.reshape(len(rows), *shape)


def directions(model: NetworkLaw) -> list[float]:
    """Degrees of freedom of each of the k directions of `deviations`; inf where there is no covariance."""
    if model.cov is None or "scale" in model.params:
        return [inf]
    return [float(model.cov.dof)] * len(model.cov.order)


def _parameters(model: NetworkLaw, n: Array, r: Array, N: Array) -> Array:
    known = predictor(model)
    time_us = known.at(n, r, N)
    if model.cov is None or "scale" in model.params:
        return np.where(np.isnan(time_us(known.combinations)), np.nan, 0.0)[None]
    spread = _spread(Itself(model))
    time, lowered, *moved = time_us(spread.sets)
    slopes = np.zeros((len(known.combinations), len(n)))
    for k, moved_us in zip(spread.moves, moved):
        ratio = moved_us / time
        slopes[k] = (ratio - 1) / spread.reach[k] if spread.linear[k] else np.log(ratio) / np.log1p(STEP)
    found = spread.quantile * spread.root.T @ slopes
    if not spread.linear.any():
        return np.asarray(found)
    on_log = spread.quantile * norm(spread.root.T @ np.where(spread.linear[:, None], 0.0, slopes))
    whole = norm(found)
    low = np.maximum(1 - whole, lowered / time * np.exp(-on_log))
    with np.errstate(divide="ignore", invalid="ignore"):
        bounded = np.maximum(np.log1p(whole), np.where(low > 0, -np.log(low), np.nan))
        longer = np.where(whole > 0, bounded / whole, np.where(np.isnan(bounded), np.nan, 1.0))
    return np.where((slopes[spread.linear] != 0).any(axis=0), longer, 1.0) * found


@dataclass(frozen=True, eq=False)
class _Spread:
    """A record's covariance ready for use: all that does not depend on the times asked for.

    root [k, k]: R with R Rᵀ the covariance; reach [k]: half the 95 % interval of each estimate; linear [k]: whether that is
    of the estimate itself, not of its logarithm. sets [k, 2 + moves]: the estimates; those on the linear scale at their
    lower limits; then, for each of moves, the estimates with that one moved.
    """

    root: Array
    quantile: float
    reach: Array
    linear: NDArray[np.bool_]
    moves: list[int]
    sets: Array


@lru_cache(maxsize=1024)
def _spread(of: Itself) -> _Spread:
    known, covariance = predictor(of.record), of.record.cov
    assert covariance is not None
    matrix, quantile = np.array(covariance.matrix), t_quantile(covariance.dof)
    reach = quantile * np.sqrt(np.maximum(np.diag(matrix), 0.0))
    linear = np.array([scale == "linear" for scale in covariance.scale])
    combinations, terms = known.combinations, known.law.terms
    additive = np.array([terms[pivot].unit in ("us", "GB/s") for pivot in known.design.pivots])
    lowest = np.maximum(combinations - reach, known.design.lower_bounds())
    # On the linear scale over the whole reach, since a law may bend where an estimate is near 0.
    to = np.where(linear, combinations + reach, combinations * (1 + STEP))
    moves = np.flatnonzero(np.where(linear, reach > 0, combinations > 0)).tolist()
    sets = np.tile(combinations[:, None], 2 + len(moves))
    sets[:, 1] = np.where(linear & additive, lowest, combinations)
    sets[moves, np.arange(2, sets.shape[1])] = to[moves]
    values, vectors = np.linalg.eigh(matrix)
    return _Spread(vectors * np.sqrt(np.maximum(values, 0.0)), quantile, reach, linear, moves, sets)


def _law(model: NetworkLaw, n: Array, r: Array, N: Array) -> Array:
    if model.fit is None or model.fit.spread is None:  # nobody knows how far published constants miss
        return np.full(len(n), np.nan)
    domain, spread = model.domain, model.fit.spread
    base = np.full(len(n), spread.sizes if spread.sizes is not None else UNTESTED * spread.sample)
    elsewhere = (
        (~among(r, domain.ranks) | _beyond_local(domain, r / N), spread.ranks),
        (~among(N, domain.nodes), spread.nodes),
    )
    for other, known in elsewhere:
        base = np.where(other, np.maximum(base, known if known is not None else UNTESTED * base), base)
    return np.asarray(base * (1 + doublings_beyond(domain, n, r, N)))


def doublings_beyond(domain: Domain, n: Array, r: Array, N: Array) -> Array:
    """How many doublings the queries lie outside the domain, summed over sizes, ranks per node and nodes."""
    total = _doublings(np.maximum(n, 1), max(domain.bytes[0], 1), max(domain.bytes[1], 1))
    total = total + _doublings(r / N, min(domain.ranks_per_node), max(domain.ranks_per_node))
    return total + _doublings(N, min(domain.nodes), max(domain.nodes))


def _beyond_local(domain: Domain, local: Array) -> NDArray[np.bool_]:
    return np.asarray((local < min(domain.ranks_per_node)) | (local > max(domain.ranks_per_node)))


def _doublings(values: Array, low: float, high: float) -> Array:
    return np.asarray(np.maximum(np.log2(values / high), 0.0) + np.maximum(np.log2(low / values), 0.0))
