"""How sure a fit is: intervals over launches, and within them where there are too few launches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.fit.points import Points, weights_of, without_launch_effect
from inferometer.emulator.calibrate.fit.robust import Fit, fit_law, fit_times

MIN_LAUNCHES = 3
CONFIDENCE = 0.95
BOOTSTRAP_REFITS = 200
CELL_REFITS = 500
MIN_ITERATIONS = 8


@dataclass(frozen=True)
class Spread:
    """Intervals of a fit's quantities [k, 2], or why there are none; cov is their covariance on the scale named.

    on_log [k] says which intervals were made on the logarithm. dof: degrees of freedom. over: what was resampled.
    """

    intervals: Array | None
    reason: str | None = None
    cov: Array | None = None
    on_log: NDArray[np.bool_] | None = None
    dof: int | None = None
    over: Literal["launches", "cells"] = "launches"


def quantities(fit: Fit) -> Array:
    """What a fit estimates: its identifiable combinations, and the factor of a law that only scales the paper's."""
    return np.concatenate([fit.combinations, fit.free]) if fit.law.formula.constants == "scaled" else fit.combinations


def fits_without_each_launch(fit: Fit, points: Points) -> dict[int, Fit]:
    """The same law fitted without each launch in turn, but for launches without which the cells cannot bear it."""
    found: dict[int, Fit] = {}
    for launch in (int(one) for one in points.launches):
        rest = points.take(points.launch != launch)
        if len(rest) and fit.law.bears(rest.n, rest.r, rest.N):
            found[launch] = fit_law(fit.law, rest)
    return found


def spreads(
    fit: Fit, points: Points, without: dict[int, Fit], iterations_us: list[Array | None], seed: int
) -> tuple[Spread, Spread]:
    """The intervals of a fit: over launches (over cells, for imported times of too few launches), and within launches.

    The latter only where there are fewer than MIN_LAUNCHES launches.
    """
    over = over_launches(fit, points, without)
    if len(points.launches) >= MIN_LAUNCHES:
        return over, Spread(None)
    if all(times is None for times in iterations_us):
        return over_cells(fit, points, seed), Spread(None)
    return over, within_launches(fit, points, iterations_us, seed)


def over_launches(fit: Fit, points: Points, without: dict[int, Fit]) -> Spread:
    """95 % intervals by deleting one launch at a time.

    With L launches and estimates q_(l) without launch l: se² = (L−1)/L Σ (q_(l) − mean)², interval q ± t_{0.975, L−1}
    se, on ln q where q is clearly above 0, else (the interval on q reaches 0, or an estimate sits there) on q and cut
    off at 0: a logarithm would keep a parameter that is 0 out of its own interval. The launch is the experimental unit,
    so iterations never narrow it. In simulation it covers as a t-interval of separate fits per launch does, and it also
    stands where one launch lacks cells; a percentile bootstrap of 3 to 5 launches covers only 74 to 83 %.
    """
    if not len(fit.free):
        return Spread(None, "nothing was fitted")
    launches = [int(launch) for launch in points.launches]
    if len(launches) < MIN_LAUNCHES:
        return Spread(None, f"needs {MIN_LAUNCHES} launches, has {len(launches)}")
    if needed := [launch for launch in launches if launch not in without]:
        return Spread(None, f"with launch {needed[0]} left out, too few cells remain for this law")
    if not all(_same_combinations(other, fit) for other in without.values()):
        return Spread(None, "with one launch left out, the remaining cells determine less")
    others = np.array([quantities(other) for other in without.values()])
    intervals, cov, on_log = jackknife_interval(quantities(fit), others, _floors(fit))
    return Spread(intervals, None, cov, on_log, len(others) - 1)


def jackknife_interval(q: Array, others: Array, lower: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Intervals [k, 2] of estimates q [k] from those without each launch, others [L, k], as `over_launches` makes them.

    Also their covariance [k, k] and which of them [k] were made on the logarithm. lower: bounds [k]; only 0 cuts off.
    """
    from scipy.special import stdtrit

    count = len(others)
    quantile = stdtrit(count - 1, 0.5 + CONFIDENCE / 2)
    reach = quantile * np.sqrt(np.diag(_jackknife(others)))
    on_log = (others > 0).all(axis=0) & (q > reach)
    scaled = np.where(on_log, np.log(np.where(on_log, others, 1.0)), others)
    cov = _jackknife(scaled)
    half = quantile * np.sqrt(np.diag(cov))
    centre = np.where(on_log, np.log(np.where(on_log, q, 1.0)), q)
    low, high = centre - half, centre + half
    floor = np.where(lower == 0, 0.0, -np.inf)
    low = np.where(on_log, np.exp(np.where(on_log, low, 0.0)), np.maximum(low, floor))
    high = np.where(on_log, np.exp(np.where(on_log, high, 0.0)), high)
    return np.column_stack([low, high]), cov, on_log


def within_launches(fit: Fit, points: Points, iterations_us: list[Array | None], seed: int) -> Spread:
    """95 % percentile intervals from resampling iterations within each launch: NOT what another launch would give.

    iterations_us [m]: the iteration times behind each point. Blocks of about n^(1/3) consecutive iterations are drawn,
    so that slow drifts stay together; the launch median and the fit are then redone.
    """
    if not len(fit.free):
        return Spread(None, "nothing was fitted")
    known = [times for times in iterations_us if times is not None and len(times) >= MIN_ITERATIONS]
    if len(known) < len(iterations_us):
        return Spread(None, f"some cells have no iteration times, or fewer than {MIN_ITERATIONS}")
    rng = np.random.default_rng(seed)
    medians = np.column_stack([_block_medians(times, rng) for times in known])
    keep = np.isfinite(medians).all(axis=1) & (medians > 0).all(axis=1)
    drawn = []
    for us in medians[keep]:
        redrawn = replace(points, us=us)
        drawn.append(quantities(fit_law(fit.law, redrawn, near=fit.free)))
    tail = (1 - CONFIDENCE) / 2
    return Spread(np.quantile(np.array(drawn), [tail, 1 - tail], axis=0).T)


def over_cells(fit: Fit, points: Points, seed: int, refits: int = CELL_REFITS) -> Spread:
    """95 % percentile intervals from resampling launches, then the cells of each (ranks, nodes), and fitting again.

    For times without iterations and too few launches (imported logs). It says how well the cells determine the
    parameters if the law holds up to the scatter about it; another launch may differ by more. Refits start at the fit.
    """
    if not len(fit.free):
        return Spread(None, "nothing was fitted")
    if len(np.unique(points.cell)) <= len(fit.free) + 1:
        return Spread(None, "hardly more cells than parameters")
    drawn = bootstrap(fit, points, seed, refits)
    if len(drawn) < refits / 2:
        return Spread(None, "most resampled launches hold hardly more cells than parameters")
    tail = (1 - CONFIDENCE) / 2
    on_log = (drawn > 0).all(axis=0) & (quantities(fit) > 0)
    scaled = np.where(on_log, np.log(np.where(on_log, drawn, 1.0)), drawn)
    cov = np.atleast_2d(np.cov(scaled, rowvar=False))
    dof = len(np.unique(points.cell)) - len(fit.free)
    return Spread(np.quantile(drawn, [tail, 1 - tail], axis=0).T, None, cov, on_log, dof, "cells")


def bootstrap(fit: Fit, points: Points, seed: int, refits: int) -> Array:
    """Estimates [≤ refits, k] from samples: launches drawn with replacement, then cells within their topology.

    Samples of no more cells than parameters are left out.
    """
    rng = np.random.default_rng(seed)
    us, weights = without_launch_effect(points), weights_of(points)
    problem = fit.law.problem(fit.design, points.n, points.r, points.N)
    launch = np.unique(points.launch, return_inverse=True)[1]
    cells, cell = np.unique(points.cell, return_inverse=True)
    first = np.unique(points.cell, return_index=True)[1]
    topology = np.unique(np.column_stack([points.r, points.N])[first], axis=0, return_inverse=True)[1].ravel()
    members = [np.flatnonzero(topology == one) for one in range(topology.max() + 1)]
    found = []
    for _ in range(refits):
        launches = np.bincount(rng.integers(0, launch.max() + 1, launch.max() + 1), minlength=launch.max() + 1)
        picked = np.concatenate([rng.choice(member, len(member)) for member in members])
        times = launches[launch] * np.bincount(picked, minlength=len(cells))[cell]
        keep = times > 0
        if len(np.unique(cell[keep])) <= len(fit.free):  # a launch of few cells, drawn alone, determines nothing
            continue
        refit = fit_times(fit.law, fit.design, problem.take(keep), us[keep], (weights * times)[keep], near=fit.free)
        found.append(quantities(refit))
    return np.array(found)


def _jackknife(others: Array) -> Array:
    """Covariance [k, k] from delete-one estimates [L, k]: (L−1)/L Σ (q_(l) − mean)(q_(l) − mean)ᵀ."""
    centred = others - others.mean(axis=0)
    return np.asarray((len(others) - 1) / len(others) * centred.T @ centred)


def _same_combinations(one: Fit, other: Fit) -> bool:
    return one.design.pivots == other.design.pivots and np.allclose(one.design.combinations, other.design.combinations)


def _floors(fit: Fit) -> Array:
    lower = fit.design.lower_bounds()
    return np.concatenate([lower, np.zeros(len(fit.free))]) if fit.law.formula.constants == "scaled" else lower


def _block_medians(times: Array, rng: np.random.Generator) -> Array:
    """Medians [BOOTSTRAP_REFITS] of circular block bootstrap samples of times."""
    n = len(times)
    block = max(1, round(n ** (1 / 3)))
    starts = rng.integers(0, n, size=(BOOTSTRAP_REFITS, -(-n // block)))
    index = (starts[:, :, None] + np.arange(block)).reshape(BOOTSTRAP_REFITS, -1)[:, :n] % n
    return np.asarray(np.median(np.asarray(times, dtype=float)[index], axis=1))
