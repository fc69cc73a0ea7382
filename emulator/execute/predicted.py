"""What the executed program should cost by an accelerator's figures, by a network's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferometer.emulator.economics.accelerator import Accelerator
from inferometer.emulator.economics.network import Network
from inferometer.emulator.economics.price import price
from inferometer.emulator.workload.program import Collective, Program

NO_COMPUTE_CALIBRATION = "compute terms are the accelerator's figures: the calibration has none of its own"


@dataclass(frozen=True)
class Priced:
    """Seconds of one step on one rank, means over stages."""

    network: str
    collective_s: dict[str, float]
    """By operation."""
    terms: dict[str, float]
    """As economics.price has them; empty without an accelerator."""
    note: str

    @property
    def network_s(self) -> float:
        return sum(self.collective_s.values())

    @property
    def compute_s(self) -> float | None:
        """None without an accelerator."""
        if not self.terms:
            return None
        return self.terms["kernel_s"] + max(self.terms["memory_s"], self.terms["arithmetic_s"])


def priced(program: Program, network: Network, accelerator: Accelerator | None) -> Priced:
    """The program's step, all its micro-batches. Raises InputError where the network knows a collective too little."""
    runs = float(program.micro_batches) / len(program.stages)
    collective: dict[str, float] = {}
    for stage in program.stages:
        for count, op in stage.counted():
            if isinstance(op, Collective):
                seconds = float(network.time(op.collective, op.bytes, op.ranks, op.nodes).total_s)
                collective[op.name] = collective.get(op.name, 0.0) + runs * count * seconds
    terms: dict[str, Any] = {}
    note = "compute terms: not predicted without --accelerator"
    if accelerator is not None:
        total, *others = price(program, accelerator, network)
        terms = {name: runs * float(value) for name, value in sum(others, total).as_dict().items()}
        note = NO_COMPUTE_CALIBRATION
    return Priced(network.name, collective, terms, note)
