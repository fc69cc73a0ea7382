"""The program: what one rank of each pipeline stage does in one step, as a list that is priced here and executed there."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.operations import BEGIN as BEGIN
from inferometer.emulator.workload.operations import END as END
from inferometer.emulator.workload.operations import Collective as Collective
from inferometer.emulator.workload.operations import Compute as Compute
from inferometer.emulator.workload.operations import Op as Op
from inferometer.emulator.workload.operations import Pass as Pass
from inferometer.emulator.workload.operations import Segment as Segment
from inferometer.emulator.workload.operations import Size as Size
from inferometer.emulator.workload.operations import Stage as Stage
from inferometer.emulator.workload.operations import chain as chain
from inferometer.emulator.workload.operations import predecessors as predecessors
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Shape


@dataclass(frozen=True)
class Program:
    """One step of a model under a layout: each stage runs its list for each of micro_batches."""

    shape: Shape
    layout: Layout
    precision: Precision
    micro_batches: Size
    stages: tuple[Stage, ...]
    tokens: Size
    """New ones of a micro-batch, of the sequences whose attention a rank shares in."""
    sequences: Size = 0.0
    """Of a micro-batch that get a token, as tokens are counted."""

    def total(self, field: str, collective: str | None = None) -> Size:
        """Sum over stages and repeats, for one rank of each stage and one micro-batch.

        field: flop, weight_bytes, activation_bytes, kv_bytes or resident_bytes of computations; bytes of
        collectives, of one kind if collective names it.
        """
        total: Size = 0.0
        for stage in self.stages:
            for count, op in stage.counted():
                if collective is not None and getattr(op, "collective", None) != collective:
                    continue
                total = total + count * getattr(op, field, 0.0)
        return total


def logits_bytes(stage: Stage, precision: Precision) -> Size:
    """Of the logits from which a stage chooses tokens; 0 where it does not."""
    found: Size = 0.0
    for _, op in stage.counted():
        if isinstance(op, Compute) and op.name == "head.logits" and op.matmul is not None:
            found = op.matmul[0] * op.matmul[2] * precision.residual_bytes
        elif isinstance(op, Collective) and op.name == "head.gather":
            found = op.bytes
    return found
