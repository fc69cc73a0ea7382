"""An engine's profile from served points: all versions together, then each version around them, with held-out errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from inferometer.emulator.economics.serving.engines.parameters import NAMES, PRIORS, Status
from inferometer.emulator.economics.serving.engines.profile import Parameter, Profile
from inferometer.emulator.economics.serving.fitting.bills import Bills, bills_of
from inferometer.emulator.economics.serving.fitting.fit import Fitted, Known, fit
from inferometer.emulator.economics.serving.fitting.held_out import BY, HeldOut, fit_version, held_out, of_version
from inferometer.emulator.economics.serving.points.record import ServedPoint
from inferometer.emulator.errors import InputError

FEWEST_POINTS = 5
"""Of an engine, below which nothing is fitted."""


@dataclass(frozen=True)
class EngineFit:
    """profiles: one for each version, then that of all; left_out: held-out errors by what was left out; unusable: points not
    fitted, with their problems; undetermined: parameters that no point determines, and why."""

    profiles: list[Profile]
    bills: Bills
    left_out: dict[str, HeldOut]
    unusable: list[ServedPoint]
    undetermined: dict[str, str]

    @property
    def pooled(self) -> Profile:
        return self.profiles[-1]


def fit_engine(points: Sequence[ServedPoint], base: Profile, *, source: str, by: Sequence[str] = tuple(BY)) -> EngineFit:
    """The profile of base's engine from its points; base gives the scheduler, the kernels, the calibrations, the flags.

    Raises InputError where too few points are usable, with the first problem.
    """
    mine = [point for point in points if point.deployed.engine == base.engine]
    usable = [point for point in mine if point.usable and point.tpot_ms is not None]
    if len(usable) < FEWEST_POINTS:
        why = next((f": {point.problems[0]}" for point in mine if point.problems), "")
        raise InputError(f"{len(usable)} usable points of {base.engine} with a TPOT, {FEWEST_POINTS} are needed{why}")
    bills = bills_of(usable, base)
    known = Known.nothing()
    pooled = fit(bills, base.scheduler, known)
    left_out = {name: held_out(bills, base.scheduler, BY[name], everywhere=name == "model") for name in by}
    profiles = []
    versions = sorted({point.deployed.version for point in bills.points if point.deployed.version is not None})
    for version in versions:
        rows = of_version(bills, version)
        found = fit_version(bills, base.scheduler, version, pooled, known)
        errors = left_out.get("tp")
        own = None if errors is None else HeldOut(errors.tpot[rows], errors.ttft[rows])
        count = int(rows.sum())
        profiles.append(_profile(base, found, f"=={version}", f"{count} points of {source}", own or errors, errors, known))
    everything = left_out.get("model") or left_out.get("tp")
    profiles.append(
        _profile(base, pooled, "*", f"{len(bills.points)} points of {source}", everything, left_out.get("tp"), known)
    )
    unusable = [point for point in mine if not point.usable]
    return EngineFit(profiles, bills, left_out, unusable, dict(_undetermined(bills, pooled)))


def _profile(
    base: Profile, found: Fitted, versions: str, source: str, own: HeldOut | None, every: HeldOut | None, known: Known
) -> Profile:
    parameters = {}
    for at, name in enumerate(NAMES):
        wide = 1.96 * float(np.sqrt(found.covariance[at, at]))
        value = found.values[name]
        status: Status = "fitted" if found.determined[name] else "prior"
        parameters[name] = Parameter(value, value * float(np.exp(-wide)), value * float(np.exp(wide)), status, source)
    misfit = {} if own is None else own.misfits("tp")
    if every is not None:
        misfit = {**every.misfits("tp, all versions"), **misfit}
    covariance = tuple(tuple(float(value) for value in row) for row in found.covariance)
    return replace(base, versions=versions, parameters=parameters, covariance=covariance, misfit=misfit)


def _undetermined(bills: Bills, found: Fitted) -> Iterator[tuple[str, str]]:
    """Parameters that the points say nothing new of, and what would."""
    features = bills.features
    tp = {point.deployed.layout.gpus for point in bills.points}
    reasons = {
        "expert_weight_rate": (bool(features.routed.any()), "no point is of a model with experts"),
        "expert_rate": (bool(features.routed.any()), "no point is of a model with experts"),
        "reduce_scale": (len(bills.isolated_s) > 0, "no point is of more than one GPU"),
        "reduce_s": (len(bills.isolated_s) > 0, "no point is of more than one GPU"),
        "request_s": (any(point.client.arrival == "closed" for point in bills.points), "no point says how requests arrive"),
        "token_s": (any(point.client.arrival == "closed" for point in bills.points), "no point says how requests arrive"),
    }
    for name in NAMES:
        measured, words = reasons.get(name, (True, ""))
        if not measured:
            yield name, words
        elif not found.determined[name]:
            more = "more models" if name in ("step_s", "kernel_s") else "more TP degrees" if len(tp) < 3 else "more loads"
            yield name, f"the points do not separate it from the others: {PRIORS[name].meaning}; {more} would"
