"""What the executed program should take, operation by operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.price import InStepOverhead, price, priced_ops
from inferometer.emulator.economics.pricing.processor import ComputeTime, Processor, State
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Collective, Compute, Program, Size

WAITED = ("network", "in_step", "pipeline", "uneven")
"""Kinds of what is no computing."""
NO_COMPUTE = "compute terms: not predicted without --accelerator or a calibration that has measured them"


@dataclass(frozen=True)
class Priced:
    """Seconds of one step, as means over ranks."""

    network: str
    processor: str | None
    by_op: dict[str, float]
    """By operation; of collectives with their in-step overhead. Without what lies between operations."""
    kinds: dict[str, float | None]
    """matmul, attention, stream, glue (None without a processor); network, isolated; in_step (None where not measured);
    pipeline, what a rank waits for other stages, and uneven, what it waits for the rank that got most tokens (None without a
    processor)."""
    note: str

    @property
    def network_s(self) -> float:
        return self.kinds["network"] or 0.0

    @property
    def compute_s(self) -> float | None:
        """Of all computations and what lies between them."""
        parts = [self.kinds[name] for name in ("matmul", "attention", "stream", "glue")]
        return None if None in parts else sum(part or 0.0 for part in parts)

    @property
    def total_s(self) -> float | None:
        """The step; None where a part of it is not predicted. A in-step overhead that was not measured is left out."""
        if self.compute_s is None:
            return None
        return self.compute_s + sum(self.kinds[name] or 0.0 for name in WAITED)


def predicted(
    program: Program,
    network: Network,
    processor: Processor | None,
    in_step: InStepOverhead | None = None,
    *,
    concurrent_ranks: int = 1,
    repeated: bool = True,
    uneven: Program | None = None,
) -> Priced:
    """The program's step with all its micro-batches. concurrent_ranks: ranks of a node that compute at the same time.

    repeated: the step follows others like it and needs the tokens they chose (decode), so that each stage takes as long as
    the whole round; else (prefill) a stage is done when it has handed on its last micro-batch. uneven: the same step of the
    ranks that get most tokens, which the others wait for.

    Raises InputError where the network knows a collective too little, or the processor the precision.
    """
    device = processor or _Unknown()
    by_op: dict[str, float] = {}
    kinds: dict[str, float] = dict.fromkeys(("matmul", "attention", "stream", "glue", "network"), 0.0)
    in_step_laws: list[float] = []
    stage_s: list[float] = []
    micro_batches = float(program.micro_batches)
    share = micro_batches / len(program.stages)  # means over ranks: each of them is in one stage
    for stage in program.stages:
        seconds = 0.0
        for priced in priced_ops(program, stage, device, network, concurrent_ranks, in_step):
            lead, total = float(priced.lead_s), float(priced.terms.total_s)
            seconds += total
            kinds["glue"] += share * lead
            if priced.op is None:
                continue
            by_op[priced.op.name] = by_op.get(priced.op.name, 0.0) + share * (total - lead)
            if isinstance(priced.op, Compute):
                kinds[priced.op.kind] += share * (total - lead)
                continue
            more = priced.terms.in_step_s
            if more is not None:
                in_step_laws.append(share * float(more))
            kinds["network"] += share * (total - float(more or 0.0))
        stage_s.append(seconds)
    parts: dict[str, float | None] = dict(kinds)
    sent = any(isinstance(op, Collective) for stage in program.stages for op in stage)
    parts["in_step"] = sum(in_step_laws) if in_step_laws or not sent else None
    span_s = _span(stage_s, micro_batches, repeated)
    parts["pipeline"] = span_s - share * sum(stage_s)
    parts["uneven"] = 0.0
    if uneven is not None and uneven != program:
        most_s = [float(terms.total_s) for terms in price(uneven, device, network, concurrent_ranks, in_step)]
        parts["uneven"] = _span(most_s, micro_batches, repeated) - span_s
    if processor is None:
        parts |= dict.fromkeys(("matmul", "attention", "stream", "glue", "pipeline", "uneven"))
    return Priced(
        network.name, None if processor is None else processor.name, by_op, parts, NO_COMPUTE if processor is None else ""
    )


def _span(stage_s: Sequence[float], micro_batches: float, repeated: bool) -> float:
    """Mean over stages of the time from a step's begin to its end on the stage; stage_s: of one micro-batch."""
    if repeated:
        # A micro-batch's next token needs the last stage of its previous one, and a stage serves all of them in turn.
        return max(sum(stage_s), micro_batches * max(stage_s))
    ends = [sum(stage_s[: k + 1]) + (micro_batches - 1) * max(stage_s[: k + 1]) for k in range(len(stage_s))]
    return sum(ends) / len(ends)


class _Unknown:
    """A processor of which nothing is known: computing is left out."""

    name = "unknown"

    def time(self, op: Compute, precision: Precision, state: State, after: Sequence[str]) -> ComputeTime:
        return ComputeTime(0.0, 0.0, 0.0)

    def begin_s(self, precision: Precision, state: State) -> Size:
        return 0.0

    def end_s(self, logits_bytes: Size, precision: Precision, state: State, after: Sequence[str]) -> Size:
        return 0.0
