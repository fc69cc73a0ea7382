"""Steps of a validation as several predictions have them: the calibration's, and what each part of it is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.processor import State
from inferometer.emulator.economics.serving.uncertainty import beyond, deviations
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Backend, Scheduler
from inferometer.emulator.validate.accounting import COMPUTE
from inferometer.emulator.validate.predicted import Priced, predicted
from inferometer.emulator.validate.settings import Configuration, Phase
from inferometer.emulator.workload.program import Collective, Compute, Program

TERMS = (*COMPUTE, "network", "waiting", "glue")
"""Of a step: computations by kind; collectives without waiting; waiting for other ranks; what lies between operations."""
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
        self._calibration, self._backend, self._scheduler = calibration, backend, scheduler
        self._key = {"backend": backend, "scheduler": scheduler}
        self._networks: dict[int, CalibrationNetwork] = {}
        self._in_step = CalibrationInStep(calibration, self._key)
        self._processor: CalibrationProcessor | None = None
        self._no_compute = ""
        try:
            self._processor = CalibrationProcessor(calibration, self._key)
        except InputError as error:
            self._no_compute = str(error)

    def predictions(self, cell: Configuration, phase: Phase) -> dict[str, Forecast]:
        """One step of the phase by each of VARIANTS.

        Raises InputError where the calibration lacks a collective, or has measured computing in other widths only.
        """
        program = cell.program(phase, cell.ranks)
        # Routers whose weights are random, as the emulated ones are, do not spread their tokens evenly, nor one by one.
        uneven = cell.program(phase, cell.ranks, "alike")
        how: dict[str, Any] = {"concurrent_ranks": cell.ranks, "repeated": phase == "decode", "uneven": uneven}
        own = predicted(program, self._network(cell.bits), self._processor, self._in_step, **how)
        paper = ConstantNetwork(load_accelerator(PAPER_LINKS))
        sent = _known(own.network_s + (own.kinds["in_step"] or 0.0))
        return {
            CALIBRATION: replace(self._whole(own, program), interval_s=self._interval(own, program, cell)),
            "paper constants": self._whole(predicted(program, paper, self._processor, **how), program),
            "pure roofline": self._roofline(program, cell.ranks),
            "compute only": Forecast(own.compute_s, {}, {}, reason=self._no_compute),
            "communication only": Forecast(sent, {}, {}, reason="" if sent is not None else UNDETERMINED),
        }

    def notes(self, cell: Configuration, phase: Phase) -> list[str]:
        """In words, where a step leaves what the calibration has measured, or what stands in for what it has not."""
        fresh = Forecaster(self._calibration, self._backend, self._scheduler)
        network, program = fresh._network(cell.bits), cell.program(phase, cell.ranks)
        uneven = cell.program(phase, cell.ranks, "alike")
        predicted(program, network, fresh._processor, fresh._in_step, concurrent_ranks=cell.ranks, uneven=uneven)
        computed = fresh._processor.notes if fresh._processor else {}
        return list(beyond(program, network) | computed | fresh._in_step.notes)

    def _network(self, bits: int) -> CalibrationNetwork:
        if bits not in self._networks:
            self._networks[bits] = CalibrationNetwork(self._calibration, bits=bits, key=self._key)
        return self._networks[bits]

    def _whole(self, found: Priced, program: Program) -> Forecast:
        in_step, others = found.kinds["in_step"], sum(found.kinds[name] or 0.0 for name in ("pipeline", "uneven"))
        terms = {name: _known(found.kinds.get(name)) for name in TERMS}
        terms["waiting"] = None if in_step is None else _known(in_step + others)
        total = _known(found.total_s)
        sent = {op.name for stage in program.stages for op in stage if isinstance(op, Collective)}
        by_op = {name: seconds for name, seconds in found.by_op.items() if self._processor or name in sent}
        return Forecast(total, terms, by_op, reason="" if total is not None else self._no_compute or UNDETERMINED)

    def _interval(self, found: Priced, program: Program, cell: Configuration) -> tuple[float, float] | None:
        """95 % of the total; None where a law says nothing of it."""
        total = _known(found.total_s)
        if total is None:
            return None
        around, _ = deviations(program, self._network(cell.bits), self._processor, cell.ranks, found.compute_s or 0.0)
        if around is None:
            return None
        # as factors: a time is never below 0, however little is known of it
        return total * float(np.exp(-around[0] / total)), total * float(np.exp(around[1] / total))

    def _roofline(self, program: Program, concurrent_ranks: int) -> Forecast:
        """Every computation at the best rates measured: its bytes or its FLOP, whichever takes longer. No network."""
        if self._processor is None:
            return Forecast(None, {}, {}, reason=self._no_compute)
        share = float(program.micro_batches) / len(program.stages)
        total = 0.0
        for stage in program.stages:
            for count, op in stage.counted():
                if isinstance(op, Compute):
                    time = self._processor.time(op, program.precision, State(concurrent_ranks), ())
                    total += share * count * float(np.maximum(time.memory_s, time.arithmetic_s))
        return Forecast(total, {}, {})


def _known(seconds: float | None) -> float | None:
    return seconds if seconds is not None and np.isfinite(seconds) else None


def check_agreement(calibration: Calibration, where: str, backend: Backend, scheduler: Scheduler, threads: int) -> None:
    """Raise InputError where the calibration was not measured the way the run will be, in at least three launches.

    where: its file or name.
    """
    settings = calibration.method.get("settings")
    taken = [its for its in settings if isinstance(its, dict)] if isinstance(settings, list) else []
    for name, mine in (("backend", backend), ("scheduler", scheduler), ("threads", threads)):
        held = {str(its.get(name)) for its in taken} or {"unknown"}
        if str(mine) not in held:
            theirs = ", ".join(sorted(held))
            raise InputError(f"{where}: method.settings.{name}: measured with {name} {theirs}, this run has {name} {mine}")
    launches = calibration.method.get("launches")
    if not isinstance(launches, int) or launches < LEAST_LAUNCHES:
        raise InputError(
            f"{where}: method.launches: fitted from {launches or 'unknown'} launches, but {LEAST_LAUNCHES} needed"
        )
