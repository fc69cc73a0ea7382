"""The robust fit of one law to the points of one key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.calibrate.design import Design
from inferometer.emulator.calibrate.laws import Law
from inferometer.emulator.calibrate.points import Points, weights_of, without_launch_effect
from inferometer.emulator.calibrate.problem import Problem

Array = NDArray[np.float64]

RESIDUAL = "log"
LOSS = "soft_l1"
#: Residuals (relative errors) beyond this count linearly instead of squared.
F_SCALE = 0.05
#: A parameter whose term is below this share of the time in every cell sits at its bound, 0.
AT_BOUND_SHARE = 1e-6


@dataclass(frozen=True)
class Fit:
    """A fitted law: free [k'] as optimised, combinations [rank] (µs, or ns/byte for 1/B), cost of the robust loss."""

    law: Law
    design: Design
    free: Array
    combinations: Array
    cost: float

    def predict_us(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs, NaN where the design never measured the direction asked for."""
        return self.law.predict_us(self.design, self.combinations, n, r, N)


def fit_law(law: Law, points: Points, *, starts: int = 1, near: Array | None = None) -> Fit:
    """Fit law to points: least squares of ln(model/measured), soft-L1 loss, parameters ≥ 0.

    Minimises Σ_i w_i ρ(ln t(φ)_i − ln y_i) with ρ(e) = 2 f² (√(1 + e²/f²) − 1), f = F_SCALE, w from weights_of and y
    from without_launch_effect. starts: how many of the law's own start values are tried; near: a start value that
    replaces them.
    """
    us = without_launch_effect(points)
    weights = weights_of(points)
    design = law.design(points.n, points.r, points.N)
    problem = law.problem(design, points.n, points.r, points.N)
    candidates = [near] if near is not None else problem.starts(us, weights)[:starts]
    solved = [_solve(problem, start, us, weights) for start in candidates]
    cost, free = min(solved, key=lambda pair: pair[0])
    return Fit(law, design, free, law.combinations(design, free), cost)


def _solve(problem: Problem, start: Array, us: Array, weights: Array) -> tuple[float, Array]:
    from scipy.optimize import least_squares

    log_us = np.log(us)
    floor_us = 1e-6 * us.min()  # keeps the logarithm finite while a step explores

    def residual(free: Array) -> Array:
        return np.asarray(np.log(np.maximum(problem.time_us(free), floor_us)) - log_us)

    def jacobian(free: Array) -> Array:
        time = np.maximum(problem.time_us(free), floor_us)
        return np.asarray(problem.jacobian(free) / time[:, None])

    def weighted_soft_l1(z: Array) -> Array:
        root = np.sqrt(1 + z)
        return np.stack([2 * weights * (root - 1), weights / root, -0.5 * weights / root**3])

    if not len(start):
        return float(F_SCALE**2 * weighted_soft_l1((residual(start) / F_SCALE) ** 2)[0].sum() / 2), start
    # In units in which a parameter of 1 explains a whole cell, so that one trust region fits all.
    unit = np.median(us) / np.maximum(np.abs(problem.jacobian(start)).max(axis=0), 1e-300)
    begin = np.maximum(start, np.where(np.isfinite(problem.lower), problem.lower + 1e-3 * unit, start))
    result = least_squares(
        residual,
        begin,
        jac=jacobian,
        bounds=(problem.lower, np.inf),
        x_scale=np.maximum(begin, 1e-3 * unit),
        loss=weighted_soft_l1,
        f_scale=F_SCALE,
        max_nfev=200,
    )
    free = result.x
    share = (np.abs(problem.jacobian(free) * free) / us[:, None]).max(axis=0)
    free = np.where((problem.lower == 0) & (share < AT_BOUND_SHARE), 0.0, free)
    return float(result.cost), free
