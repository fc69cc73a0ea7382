"""A step as an engine runs it: which kernels its operations are, by which collectives experts exchange."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferometer.emulator.workload.operations import Collective, Compute, Op, Segment, Stage
from inferometer.emulator.workload.program import Program

REPLACED = frozenset({"moe.counts", "moe.dispatch", "moe.combine", "moe.reduce"})
"""Collectives that a replicated exchange does without: every rank has all tokens, and adds up what its experts made."""


@dataclass(frozen=True)
class Kernels:
    """How many kernels an engine launches for an operation beside the operation's own.

    attention: rotary positions, norms of heads, the write into the cache; activation: behind the first matmul of a
    feed-forward; router: top-k, its softmax, the sorting of tokens by expert; experts: behind the grouped matmuls, their
    weighted sum; quantise: before a matmul of fewer than 16 bits, a part of one where it is fused with what is before.
    """

    attention: float = 2.0
    activation: float = 1.0
    router: float = 4.0
    experts: float = 2.0
    quantise: float = 0.5

    def of(self, op: Compute) -> float:
        """The operation's own included."""
        if op.kind == "attention":
            return 1.0 + self.attention
        if op.name == "moe.router":
            return 1.0 + self.router
        if op.name == "moe.down":
            return 1.0 + self.experts
        further = self.activation if any(one.kind in ("gated", "activated") for one in op.passes) else 0.0
        narrow = op.kind == "matmul" and op.bits is not None and op.bits < 16
        return 1.0 + further + (self.quantise if narrow else 0.0)


@dataclass(frozen=True)
class Host:
    """graph_sequences: the largest batch whose decode step an engine launches as one CUDA graph; larger ones, and steps with
    prompts in them, it launches kernel by kernel, ahead of the device where it can."""

    graph_sequences: int = 512


def as_engine(program: Program) -> Program:
    """The program with the exchange of experts as engines make it: no counts ahead of it, for which a host would wait. Where
    attention is cut over all ranks, every rank has all tokens, computes what its experts have to do, and one all_reduce adds
    up the parts."""
    layout = program.layout
    if layout.ep == 1:
        return program
    replaced = {"moe.counts"} if layout.attention == "data" else REPLACED
    ranks = layout.ranks("tensor")
    made: dict[int, tuple[Op, ...]] = {}

    def exchanged(segment: Segment) -> Segment:
        if id(segment.ops) not in made:
            kept: list[Op] = []
            for op in segment.ops:
                if layout.attention == "tensor" and op.name == "moe.gather" and isinstance(op, Collective):
                    kept.append(replace(op, name="moe.reduce", collective="all_reduce", axis="tensor", ranks=ranks))
                elif op.name not in replaced:
                    kept.append(op)
            made[id(segment.ops)] = tuple(kept)
        return replace(segment, ops=made[id(segment.ops)])

    stages = tuple(Stage(stage.index, tuple(map(exchanged, stage.segments))) for stage in program.stages)
    return replace(program, stages=stages)
