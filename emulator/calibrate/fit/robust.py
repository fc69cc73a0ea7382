"""The robust fit of one law to the points of one key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.fit.points import Points, weights_of, without_launch_effect
from inferometer.emulator.calibrate.laws.design import Design
from inferometer.emulator.calibrate.laws.linear import Law
from inferometer.emulator.calibrate.laws.problem import Problem

RESIDUAL = "log"
LOSS = "soft_l1"
#: Residuals (relative errors) beyond this count linearly instead of squared.
F_SCALE = 0.05
#: Of many starts those that miss least are tried, for so many evaluations; those that look best by then go on.
TRIED = 6
FIRST_LOOK = 12
FINALISTS = 2
MAX_EVALUATIONS = 200
#: A step or a gain below this is none: far below what any measurement resolves.
TOLERANCE = 1e-7


@dataclass(frozen=True)
class Fit:
    """A fitted law: free [k'] as optimised, combinations [rank] (µs, ns/byte for 1/B), cost of the robust loss."""

    law: Law
    design: Design
    free: Array
    combinations: Array
    cost: float

    def predict_us(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs, NaN where the design never measured the direction asked for."""
        return self.law.predict_us(self.design, self.combinations, n, r, N)

    def bic(self, cells: int) -> float:
        """Bayesian information criterion on the robust cost of cells, which count once however often launched."""
        variance = max(2 * self.cost / F_SCALE**2, 1e-300)
        return float(cells * np.log(variance / cells) + len(self.free) * np.log(cells))


def fit_law(law: Law, points: Points, *, starts: int | None = None, near: Array | None = None) -> Fit:
    """Fit law to points: least squares of ln(model/measured), soft-L1 loss, parameters ≥ 0.

    Minimises Σ_i w_i ρ(ln t(φ)_i − ln y_i) with ρ(e) = 2 f² (√(1 + e²/f²) − 1), f = F_SCALE, w from weights_of and y
    from without_launch_effect. starts: how many of the law's own start values are tried, all if None; near: a start
    value that replaces them.
    """
    design = law.design(points.n, points.r, points.N)
    problem = law.problem(design, points.n, points.r, points.N)
    return fit_times(law, design, problem, without_launch_effect(points), weights_of(points), starts=starts, near=near)


def fit_times(
    law: Law,
    design: Design,
    problem: Problem,
    us: Array,
    weights: Array,
    *,
    starts: int | None = None,
    near: Array | None = None,
) -> Fit:
    """What fit_law does, for times us [m] and weights [m] of cells with a given design and problem."""
    from scipy.optimize import nnls

    objective = _Objective(problem, np.log(us), np.sqrt(weights))
    tried = [near] if near is not None else sorted(problem.starts(us, weights, nnls)[:starts], key=objective.cost)[:TRIED]
    look = FIRST_LOOK if len(tried) > FINALISTS else MAX_EVALUATIONS
    solved = sorted((_solve(objective, start, us, look) for start in tried), key=lambda pair: pair[0])
    if look < MAX_EVALUATIONS:
        finals = [_solve(objective, free, us, MAX_EVALUATIONS) for _, free in solved[:FINALISTS]]
        solved = sorted(finals, key=lambda pair: pair[0])
    cost, free = solved[0]
    return Fit(law, design, free, law.combinations(design, free), cost)


@dataclass(frozen=True)
class _Objective:
    """The robust cost as a plain sum of squares, so that any least-squares solver minimises it.

    With s(e) = e √(2/(1 + √(1 + e²/f²))), s² is ρ(e): the loss becomes part of the residual, smooth and with a known
    derivative.
    """

    problem: Problem
    log_us: Array
    root_weights: Array

    def residual(self, free: Array) -> Array:
        error = self._error(free)
        root = np.sqrt(1 + (error / F_SCALE) ** 2)
        return np.asarray(self.root_weights * error * np.sqrt(2 / (1 + root)))

    def jacobian(self, free: Array) -> Array:
        error = self._error(free)
        root = np.sqrt(1 + (error / F_SCALE) ** 2)
        slope = self.root_weights * np.sqrt((1 + root) / 2) / root
        return np.asarray(self.problem.jacobian(free) * (slope / self._time(free))[:, None])

    def cost(self, free: Array) -> float:
        return float((self.residual(free) ** 2).sum() / 2)

    def _time(self, free: Array) -> Array:
        floor_us = 1e-6 * np.exp(self.log_us.min())  # keeps the logarithm finite while a step explores
        return np.maximum(self.problem.time_us(free), floor_us)

    def _error(self, free: Array) -> Array:
        return np.asarray(np.log(self._time(free)) - self.log_us)


def _solve(objective: _Objective, start: Array, us: Array, evaluations: int) -> tuple[float, Array]:
    """The cost and the free parameters [k] of a minimum near start.

    Without bounds first, which is faster; with them where that leaves them. (MINPACK's method would be faster still, but
    its last bits depend on where its memory happens to lie, and then the same samples do not give the same file.)
    """
    from scipy.optimize import least_squares

    problem = objective.problem
    if not len(start):
        return objective.cost(start), start
    lower = problem.lower
    # In units in which a parameter of 1 explains a whole cell, so that one trust region fits all.
    unit = np.median(us) / np.maximum(np.abs(problem.jacobian(start)).max(axis=0), 1e-300)
    bounded = np.isfinite(lower)
    begin = np.where(bounded, np.maximum(start, np.where(bounded, lower, 0.0) + 1e-3 * unit), start)
    scale = np.maximum(begin, 1e-3 * unit) if bounded.any() else np.ones(len(begin))
    options = {"jac": objective.jacobian, "x_scale": scale, "max_nfev": evaluations, "ftol": TOLERANCE, "xtol": TOLERANCE}
    free = least_squares(objective.residual, begin, **options).x
    if (free < lower).any():
        free = least_squares(objective.residual, begin, bounds=(lower, np.inf), **options).x
    free = problem.settle(free, us)
    return objective.cost(free), free
