"""Price a program: what each stage's list of operations costs on a processor and a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.processor import ComputeTime, Processor, State
from inferometer.emulator.workload.program import Collective, Compute, Op, Program, Size, Stage, logits_bytes, predecessors


@dataclass(frozen=True)
class Terms:
    """The terms of a step's time, in seconds: token latency = kernels + network + max(memory, arithmetic).

    Where they are measured, two more: in_step_s, what collectives take in a step beyond their isolated time; compute_s, what
    computations really take beyond kernel_s, which then counts instead of the larger of memory and arithmetic.
    """

    kernel_s: Size = 0.0
    network_latency_s: Size = 0.0
    network_bandwidth_s: Size = 0.0
    memory_s: Size = 0.0
    arithmetic_s: Size = 0.0
    in_step_s: Size | None = None
    compute_s: Size | None = None

    @property
    def total_s(self) -> Size:
        roof = np.maximum(self.memory_s, self.arithmetic_s) if self.compute_s is None else self.compute_s
        in_step = 0.0 if self.in_step_s is None else self.in_step_s
        return self.kernel_s + self.network_latency_s + self.network_bandwidth_s + in_step + roof

    def __add__(self, other: Terms) -> Terms:
        sums: dict[str, Any] = {f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(Terms)}
        return Terms(**sums)

    def as_dict(self) -> dict[str, Any]:
        """The terms by name, those that are measured only where they are."""
        values = {field.name: getattr(self, field.name) for field in fields(Terms)}
        return {name: value for name, value in values.items() if value is not None}


def _sum(one: Size | None, other: Size | None) -> Size | None:
    return other if one is None else one if other is None else one + other


class InStepOverhead(Protocol):
    """What collectives take in a step beyond their isolated time."""

    def in_step_s(
        self, collective: str, bytes: Size, ranks: int, nodes: int, compute_gap_s: Size, isolated_s: Size
    ) -> Size | None:
        """Seconds beyond isolated_s; compute_gap_s: of computing since the last collective. None: nothing is known."""
        ...


def price(
    program: Program, processor: Processor, network: Network, concurrent_ranks: int, in_step: InStepOverhead | None = None
) -> list[Terms]:
    """The terms of each stage for one micro-batch. concurrent_ranks: ranks of a node that compute at the same time.

    Every computation is one kernel: kernel_s is not hidden by the work of the one before. Each collective costs what the
    network says for its own kind, bytes, ranks, nodes, and, where it is known, its in-step overhead for its compute gap.
    """
    stages = (priced_ops(program, stage, processor, network, concurrent_ranks, in_step) for stage in program.stages)
    return [sum((priced.terms for priced in ops), Terms()) for ops in stages]


@dataclass(frozen=True)
class PricedOp:
    """An operation, or (None) what lies around all of a step's, with the terms of all its runs in one micro-batch.

    lead_s, part of terms.kernel_s: what is done on the way to it.
    """

    op: Op | None
    terms: Terms
    lead_s: Size = 0.0


def priced_ops(
    program: Program,
    stage: Stage,
    processor: Processor,
    network: Network,
    concurrent_ranks: int,
    in_step: InStepOverhead | None = None,
) -> Iterator[PricedOp]:
    """One stage's operations for one micro-batch, in the order of execution. Arguments as of `price`."""
    precision = program.precision
    step_breakdown: Size = 0.0
    state = State(concurrent_ranks, any(isinstance(op, Collective) and op.axis != "pp" for op in stage), program.tokens)
    previous: list[str] = []
    for segment in stage.segments:
        end = _previous(previous, segment.ops)
        # Of a run of layers, all but the first follow their like.
        previous = end if segment.repeat > 1 else previous
        times: list[ComputeTime | None] = []
        for op in segment.ops:
            times.append(processor.time(op, precision, state, previous) if isinstance(op, Compute) else None)
            previous = _previous(previous, [op])
        previous = end
        busy = [0.0 if time is None else time.total_s for time in times]
        ends_at = max((at for at, time in enumerate(times) if time is None), default=-1)
        since = step_breakdown if ends_at < 0 or segment.repeat == 1 else sum(busy[ends_at + 1 :], 0.0)
        for op, time, seconds in zip(segment.ops, times, busy):
            since = since + seconds
            if isinstance(op, Collective):
                yield PricedOp(op, times_over(segment.repeat, _collective(op, network, in_step, since)))
                since = 0.0
            else:
                assert time is not None
                terms = Terms(
                    time.lead_s + time.kernel_s,
                    memory_s=time.memory_s,
                    arithmetic_s=time.arithmetic_s,
                    compute_s=time.roof_s,
                )
                yield PricedOp(op, times_over(segment.repeat, terms), segment.repeat * time.lead_s)
        step_breakdown = step_breakdown + segment.repeat * sum(busy, 0.0) if ends_at < 0 else since
    around = processor.begin_s(precision, state) / program.micro_batches
    around = around + processor.end_s(logits_bytes(stage, precision), precision, state, previous)
    yield PricedOp(None, Terms(around), around)


def _previous(previous: Sequence[str], ops: Sequence[Op]) -> list[str]:
    """The last computation and the collectives since, ops after come."""
    for op in ops:
        previous = predecessors(previous, op.name, computes=isinstance(op, Compute))
    return list(previous)


def times_over(count: int, terms: Terms) -> Terms:
    """The terms of so many runs."""
    return Terms(**{name: count * value for name, value in terms.as_dict().items()})


def _collective(op: Collective, network: Network, in_step: InStepOverhead | None, compute_gap_s: Size) -> Terms:
    time = network.time(op.collective, op.bytes, op.ranks, op.nodes)
    isolated_s = time.latency_s + time.bandwidth_s
    more = (
        None
        if in_step is None
        else in_step.in_step_s(op.collective, op.bytes, op.ranks, op.nodes, compute_gap_s, isolated_s)
    )
    return Terms(network_latency_s=time.latency_s, network_bandwidth_s=time.bandwidth_s, in_step_s=more)
