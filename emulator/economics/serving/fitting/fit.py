"""Fit an engine's parameters to served points: robust, with what is known before as a prior, intervals over runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.engines.parameters import FIRST_TOKEN, NAMES, PRIORS
from inferometer.emulator.economics.serving.fitting.bills import Bills
from inferometer.emulator.economics.serving.fitting.served_times import served_times

TPOT_SD, TTFT_SD = 0.06, 0.15
"""Of one point's logarithm: repeated runs differ by 2 to 5 % (tests/verify), the rest is what no parameter describes."""
SLOWER_HOSTS = (2.0, 4.0)
"""Of eager_s, times its prior."""
BOUND = 3.0
"""Of a parameter, in logarithms from its prior."""
DETERMINED = 0.6
"""A parameter whose standard deviation falls below this share of its prior's counts as fitted."""


@dataclass(frozen=True)
class Known:
    """What is known before a fit: values and the standard deviations of their logarithms."""

    values: Mapping[str, float]
    log_sd: Mapping[str, float]

    @classmethod
    def nothing(cls) -> Known:
        return cls({name: p.value for name, p in PRIORS.items()}, {name: p.log_sd for name, p in PRIORS.items()})

    def tighter(self, factor: float, values: Mapping[str, float]) -> Known:
        """The same around other values, with standard deviations by a factor smaller."""
        return Known(values, {name: factor * sd for name, sd in self.log_sd.items()})


@dataclass(frozen=True)
class Fitted:
    """values: by name; covariance: of their logarithms, in the order of NAMES; determined: by the points, not the prior."""

    values: dict[str, float]
    covariance: Array
    determined: dict[str, bool]


def fit(bills: Bills, scheduler: Scheduler, known: Known | None = None) -> Fitted:
    """The parameters that explain the points best; those that no point says anything of stay at what is known.

    TPOT determines what steps cost; what a first token takes beyond its steps follows from TTFT alone.
    """
    from scipy.optimize import least_squares

    known = known or Known.nothing()
    measured = np.log([1e-3 * (point.tpot_ms or np.nan) for point in bills.points])
    first = np.log([1e-3 * (point.ttft_ms or np.nan) for point in bills.points])
    steps = [name for name in NAMES if name not in FIRST_TOKEN]
    values = dict(known.values)

    def moved(names: Sequence[str], x: Array) -> dict[str, float]:
        return values | {name: known.values[name] * float(np.exp(by)) for name, by in zip(names, x)}

    def of_steps(x: Array) -> Array:
        predicted = served_times(bills, scheduler, moved(steps, x)).tpot_s
        return np.concatenate([robust((measured - np.log(predicted)) / TPOT_SD), x / _sds(known, steps)])

    found = least_squares(of_steps, np.zeros(len(steps)), bounds=(-BOUND, BOUND), x_scale=0.1, max_nfev=60)
    for factor in SLOWER_HOSTS:  # a host that is never behind the device leaves no trace: begin again with a slower one
        start = np.array(found.x)
        start[steps.index("eager_s")] = np.log(factor)
        if np.square(of_steps(start)).sum() < 2 * found.cost:
            found = least_squares(of_steps, start, bounds=(-BOUND, BOUND), x_scale=0.1, max_nfev=60)
    values = moved(steps, found.x)
    covariance = np.diag([known.log_sd[name] ** 2 for name in NAMES])
    at = [NAMES.index(name) for name in steps]
    covariance[np.ix_(at, at)] = spread(found.jac, found.fun, _clusters(bills), _sds(known, steps))
    served = served_times(bills, scheduler, values)
    if np.isfinite(first - np.log(served.ttft_s)).any():
        use = np.isfinite(first) & np.isfinite(served.ttft_s)

        def of_first(x: Array) -> Array:
            predicted = served_times(bills, scheduler, moved(FIRST_TOKEN, x)).ttft_s
            return np.concatenate([robust((first - np.log(predicted))[use] / TTFT_SD), x / _sds(known, FIRST_TOKEN)])

        found = least_squares(of_first, np.zeros(len(FIRST_TOKEN)), bounds=(-BOUND, BOUND), x_scale=0.1, max_nfev=60)
        values = moved(FIRST_TOKEN, found.x)
        at = [NAMES.index(name) for name in FIRST_TOKEN]
        covariance[np.ix_(at, at)] = spread(found.jac, found.fun, _clusters(bills)[use], _sds(known, FIRST_TOKEN))
    determined = {
        name: bool(np.sqrt(covariance[place, place]) < DETERMINED * known.log_sd[name]) for place, name in enumerate(NAMES)
    }
    return Fitted(values, covariance, determined)


def robust(standard: Array) -> Array:
    """Residuals whose squares grow linearly beyond one standard deviation (soft l1)."""
    found: Array = np.sign(standard) * np.sqrt(2 * (np.sqrt(1 + standard**2) - 1))
    return found


def _sds(known: Known, names: Sequence[str]) -> Array:
    return np.array([known.log_sd[name] for name in names])


def _clusters(bills: Bills) -> NDArray[np.intp]:
    """Points of one deployment are one run of a benchmark: they err together."""
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(point.deployed, len(numbers)) for point in bills.points])


def spread(jacobian: Array, residuals: Array, clusters: NDArray[np.intp], prior_sd: Array) -> Array:
    """The covariance of estimates whose residuals err together within clusters: H⁻¹ (Σ g gᵀ + prior) H⁻¹."""
    size = jacobian.shape[1]
    hessian = jacobian.T @ jacobian
    meat = np.diag(1 / prior_sd**2)
    data, errors = jacobian[:-size], residuals[:-size]
    for cluster in np.unique(clusters):
        gradient = data[clusters == cluster].T @ errors[clusters == cluster]
        meat += np.outer(gradient, gradient)
    inverse = np.linalg.inv(hessian)
    found: Array = inverse @ meat @ inverse
    return found
