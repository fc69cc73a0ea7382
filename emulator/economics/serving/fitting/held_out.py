"""Held-out errors of a fit: what it says of points that it has not seen, by what was left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.engines.profile import Misfit
from inferometer.emulator.economics.serving.fitting.bills import Bills
from inferometer.emulator.economics.serving.fitting.fit import Fitted, Known, fit
from inferometer.emulator.economics.serving.fitting.served_times import served_times
from inferometer.emulator.economics.serving.points.record import ServedPoint

Left = Callable[[ServedPoint], object]
BY: Mapping[str, Left] = MappingProxyType(
    {
        "tp": lambda point: point.deployed.layout.gpus,
        "concurrency": lambda point: point.client.concurrency,
        "model": lambda point: point.deployed.model,
        "gpu": lambda point: point.deployed.accelerator,
    }
)
"""What is left out at a time; tp: every deployment on as many GPUs."""
FEWEST = 3
"""Points of a version that its own parameters are fitted from; fewer leave those of all versions."""
TIGHTER = 0.8
"""Standard deviations of a version's parameters around those of all versions, as a share of the priors'."""


@dataclass(frozen=True)
class HeldOut:
    """ln(measured/predicted) of each point, predicted without it; NaN where nothing else was left to fit."""

    tpot: Array
    ttft: Array

    def misfit(self, of: str, values: Array) -> Misfit | None:
        known = values[np.isfinite(values)]
        if len(known) < FEWEST:
            return None
        low, high = np.quantile(known, (0.025, 0.975))
        size = np.abs(known)
        return Misfit(of, len(known), float(np.median(size)), float(np.quantile(size, 0.9)), float(low), float(high))

    def misfits(self, of: str) -> dict[str, Misfit]:
        found = {"tpot": self.misfit(of, self.tpot), "ttft": self.misfit(of, self.ttft)}
        return {name: misfit for name, misfit in found.items() if misfit is not None}


def fit_version(bills: Bills, scheduler: Scheduler, version: str | None, pooled: Fitted, known: Known) -> Fitted:
    """One version's parameters, around those of all versions; those of the first token as free as before any point."""
    rows = of_version(bills, version)
    if rows.sum() < FEWEST:
        return pooled
    return fit(bills.taken(rows), scheduler, around(pooled, known))


def around(pooled: Fitted, known: Known) -> Known:
    """What all versions say of one of them."""
    tighter = known.tighter(TIGHTER, pooled.values)
    free = {name: known.log_sd[name] for name in ("request_s", "token_s")}
    return Known(pooled.values, {**tighter.log_sd, **free})


def of_version(bills: Bills, version: str | None) -> NDArray[np.bool_]:
    return np.array([point.deployed.version == version for point in bills.points])


def held_out(
    bills: Bills, scheduler: Scheduler, by: Left, known: Known | None = None, *, everywhere: bool = False
) -> HeldOut:
    """Predict every point from a fit without those of its version that share what is left out (everywhere: of any version).

    A version of which nothing else is left is predicted by all other versions.
    """
    known = known or Known.nothing()
    tpot, ttft = (np.full(len(bills.points), np.nan) for _ in range(2))
    measured = np.log([1e-3 * (point.tpot_ms or np.nan) for point in bills.points])
    first = np.log([1e-3 * (point.ttft_ms or np.nan) for point in bills.points])
    for asked, trained in _splits(bills, by, everywhere):
        if not trained.any():
            continue
        rest = bills.taken(trained)
        pooled = fit(rest, scheduler, known)
        version = next(point.deployed.version for point, here in zip(bills.points, asked) if here)
        found = fit_version(rest, scheduler, version, pooled, known)
        served = served_times(bills.taken(asked), scheduler, found.values)
        tpot[asked] = measured[asked] - np.log(served.tpot_s)
        ttft[asked] = first[asked] - np.log(served.ttft_s)
    return HeldOut(tpot, ttft)


def _splits(bills: Bills, by: Left, everywhere: bool) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """(asked, trained) rows."""
    versions = np.array([str(point.deployed.version) for point in bills.points])
    values = np.array([str(by(point)) for point in bills.points])
    for version, value in sorted(set(zip(versions.tolist(), values.tolist()))):
        asked = (versions == version) & (values == value)
        yield asked, ~(values == value) if everywhere else ~asked
