"""Steps of a validation as several predictions have them: the calibration's, and what each part of it is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.prices import Prices, measured_prices
from inferometer.emulator.economics.pricing.step import StepTime
from inferometer.emulator.economics.pricing.terms import larger
from inferometer.emulator.economics.serving.uncertainty import deviations
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Backend, Scheduler
from inferometer.emulator.validate.accounting import COMPUTE
from inferometer.emulator.validate.predicted import Priced, mean_over_ranks, priced_step
from inferometer.emulator.validate.settings import Configuration, Phase
from inferometer.emulator.workload.program import Collective

TERMS = (*COMPUTE, "network", "waiting", "glue")
"""Of a step: computations by kind; collectives without waiting; waiting for other ranks; glue between operations."""
CALIBRATION = "calibration"
VARIANTS = (CALIBRATION, "paper constants", "pure roofline", "compute only", "communication only")
PAPER_LINKS = "h100-sxm"
LEAST_LAUNCHES = 3
UNDETERMINED = "the calibration does not determine the time of a collective"


@dataclass(frozen=True)
class Forecast:
    """One step, seconds as means over ranks. What is not predicted is None; where that is the total, reason says why."""

    total_s: float | None
    terms: dict[str, float | None]
    """By TERMS; waiting is None where in-step overhead was not measured, and is then no part of the total."""
    by_op: dict[str, float]
    """Of the operations by name, as far as they are predicted; of collectives with in-step overhead."""
    interval_s: tuple[float, float] | None = None
    """Of the total, 95 %; None: not known."""
    reason: str = ""


class Forecaster:
    """Predicts steps by one calibration, by those of its laws that are of the run's backend and scheduler.

    Where the calibration has not measured computing, totals are None.
    """

    def __init__(self, calibration: Calibration, backend: Backend, scheduler: Scheduler) -> None:
        self._calibration = calibration
        self._key = {"backend": backend, "scheduler": scheduler}
        self._prices_of: dict[tuple[int, str], Prices] = {}

    def predictions(self, cell: Configuration, phase: Phase) -> dict[str, Forecast]:
        """One step of the phase by each of VARIANTS.

        Raises InputError where the calibration lacks a collective, or has measured computing in other widths only.
        """
        prices = self._prices(cell, phase)
        step = priced_step(cell, phase, prices, cell.ranks)
        own = mean_over_ranks(step)
        constants = replace(prices, network=ConstantNetwork(load_accelerator(PAPER_LINKS)), in_step=None)
        by_constants = mean_over_ranks(priced_step(cell, phase, constants, cell.ranks))
        sent = _known(own.network_s + (own.kinds["in_step"] or 0.0))
        return {
            CALIBRATION: replace(_whole(own, step), interval_s=_interval(own, step)),
            "paper constants": _whole(by_constants, step),
            "pure roofline": _roofline(step),
            "compute only": Forecast(own.compute_s, {}, {}, reason=prices.no_compute),
            "communication only": Forecast(sent, {}, {}, reason="" if sent is not None else UNDETERMINED),
        }

    def notes(self, cell: Configuration, phase: Phase) -> list[str]:
        """In words, where a step leaves what the calibration has measured, or what stands in for what it has not."""
        return priced_step(cell, phase, self._prices(cell, phase), cell.ranks).notes

    def _prices(self, cell: Configuration, phase: Phase) -> Prices:
        key = cell.law_key(phase)
        known = cell.bits, str(key)
        if known not in self._prices_of:
            self._prices_of[known] = measured_prices(
                self._calibration, precision=cell.precision, key=self._key | key, as_machine=False
            )
        return self._prices_of[known]


def _whole(found: Priced, step: StepTime) -> Forecast:
    in_step, others = found.kinds["in_step"], sum(found.kinds[name] or 0.0 for name in ("pipeline", "uneven"))
    terms = {name: _known(found.kinds.get(name)) for name in TERMS}
    terms["waiting"] = None if in_step is None else _known(in_step + others)
    total = _known(found.total_s)
    sent = {priced.op.name for priced in step.ops if isinstance(priced.op, Collective)}
    by_op = {name: seconds for name, seconds in found.by_op.items() if found.processor or name in sent}
    return Forecast(total, terms, by_op, reason="" if total is not None else step.prices.no_compute or UNDETERMINED)


def _interval(found: Priced, step: StepTime) -> tuple[float, float] | None:
    """95 % of the total; None where a law says nothing of it."""
    total = _known(found.total_s)
    around = None if total is None else deviations(step)
    if total is None or around is None:
        return None
    # as factors: a time is never below 0, however little is known of it
    return total * float(np.exp(-around[0] / total)), total * float(np.exp(around[1] / total))


def _roofline(step: StepTime) -> Forecast:
    """Every computation at the best rates measured: its bytes or its FLOP, whichever takes longer. No network."""
    if step.prices.processor is None:
        return Forecast(None, {}, {}, reason=step.prices.no_compute)
    share = float(step.program.micro_batches) / len(step.stage_s)
    computed = [priced for priced in step.ops if "memory_s" in priced.terms]
    total = sum(share * float(p.repeats) * float(larger(p.terms["memory_s"], p.terms["arithmetic_s"])) for p in computed)
    return Forecast(total, {}, {})


def _known(seconds: float | None) -> float | None:
    return seconds if seconds is not None and np.isfinite(seconds) else None


def check_agreement(calibration: Calibration, where: str, backend: Backend, scheduler: Scheduler, threads: int) -> None:
    """Raise InputError where the calibration was not measured the way the run will be, in at least three launches.

    where: its file or name.
    """
    settings = calibration.method.get("settings")
    taken = [one for one in settings if isinstance(one, dict)] if isinstance(settings, list) else []
    for name, mine in (("backend", backend), ("scheduler", scheduler), ("threads", threads)):
        held = {str(one.get(name)) for one in taken} or {"unknown"}
        if str(mine) not in held:
            theirs = ", ".join(sorted(held))
            raise InputError(f"{where}: method.settings.{name}: measured with {name} {theirs}, this run has {name} {mine}")
    launches = calibration.method.get("launches")
    if not isinstance(launches, int) or launches < LEAST_LAUNCHES:
        raise InputError(
            f"{where}: method.launches: fitted from {launches or 'unknown'} launches, but {LEAST_LAUNCHES} needed"
        )
