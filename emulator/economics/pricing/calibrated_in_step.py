"""What a step pays beyond isolated collectives, from a calibration's in-step laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from inferometer.emulator.calibrate.evaluate.in_step import STANDS_IN, FoundLaw, asked, outside
from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.economics.pricing.network import InStepOverhead, Sent
from inferometer.emulator.workload.program import Size

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


class CalibrationInStep(InStepOverhead):
    """The in-step laws of one calibration; key narrows their choice as that of a network's laws."""

    def __init__(self, calibration: Calibration, key: Mapping[str, Any] | None = None) -> None:
        self._laws = calibration.evaluator.in_step
        self._key = {name: value for name, value in (key or {}).items() if name != "timing"}

    def overhead_s(self, sent: Sequence[Sent]) -> list[Size | None]:
        """By the law and its residuals, at least 0; None where neither the collective nor all_reduce was timed there."""
        found: list[Size | None] = [None] * len(sent)
        groups: dict[tuple[str, int, int], list[int]] = {}
        for at, one in enumerate(sent):
            groups.setdefault((one.collective, one.ranks, one.nodes), []).append(at)
        for (collective, ranks, nodes), places in groups.items():
            law = self._find(collective, ranks, nodes)
            if law is None:
                continue
            stack = Stack([(sent[at].bytes, sent[at].compute_gap_s, sent[at].isolated_s) for at in places])
            for at, seconds in zip(places, stack.split(self._laws.overhead_s(law, collective, *stack.columns))):
                found[at] = seconds
        return found

    def notes(self, sent: Sequence[Sent]) -> list[str]:
        found: dict[str, None] = {}
        for one in sent:
            law, name = self._find(one.collective, one.ranks, one.nodes), one.collective
            if law is None:
                where = f"{one.ranks} ranks" + (f" of {one.nodes} nodes" if one.nodes > 1 else "")
                found[f"{name}: the in-step overhead on {where} was not measured, and is left out"] = None
                continue
            if law.stands_in:
                found[f"{name}: the in-step overhead of {STANDS_IN}, its own was not measured"] = None
            for limit in outside(law.law, *asked(name, one.bytes, one.compute_gap_s)):
                found[f"the in-step overhead of {name} is extrapolated in {limit}"] = None
        return list(found)

    def _find(self, collective: str, ranks: int, nodes: int) -> FoundLaw | None:
        return self._laws.find(collective, ranks, nodes, self._key)
