"""The step that a run repeats, as the one aggregator prices it, in means over ranks, as it is measured."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.pricing.step import StepTime, step_time
from inferometer.emulator.validate.settings import Configuration, Phase
from inferometer.emulator.workload.program import Collective

COMPUTED = ("matmul", "attention", "stream", "glue")
"""Kinds of computing."""
WAITED = ("network", "in_step", "pipeline", "uneven")
"""Kinds of what is no computing."""
NO_COMPUTE = "compute terms: not predicted without --accelerator or a calibration that has measured them"


@dataclass(frozen=True)
class Priced:
    """Seconds of one step, as means over ranks."""

    network: str
    processor: str | None
    by_op: dict[str, float]
    """By operation; of collectives with their in-step overhead. Without the glue between operations."""
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
        """Of all computations and the glue between them."""
        parts = [self.kinds[name] for name in COMPUTED]
        return None if None in parts else sum(part or 0.0 for part in parts)

    @property
    def total_s(self) -> float | None:
        """The step; None where a part of it is not predicted. An in-step overhead that was not measured is left out."""
        if self.compute_s is None:
            return None
        return self.compute_s + sum(self.kinds[name] or 0.0 for name in WAITED)


def priced_step(cell: Configuration, phase: Phase, prices: Prices, node_size: int) -> StepTime:
    """The time of the step that a phase repeats, on ranks that fill nodes of node_size.

    Routers whose weights are random, as the emulated ones are, do not spread their tokens evenly, nor one by one: all ranks
    wait for the one that gets most.

    Raises InputError where the network knows a collective too little, or the processor the precision.
    """
    return step_time(
        cell.program(phase, node_size),
        prices,
        concurrent_ranks=min(cell.ranks, node_size),
        rhythm="repeated" if phase == "decode" else "once",
        busiest=cell.program(phase, node_size, "alike"),
    )


def mean_over_ranks(step: StepTime) -> Priced:
    """A step as an emulation measures it. Its total_s is the mean over stages of when each has ended its part of the step.

    For decode steps that is when the step is done; in a prefill, stages before the last are done earlier.
    """
    by_op: dict[str, float] = {}
    kinds: dict[str, float] = dict.fromkeys((*COMPUTED, "network"), 0.0)
    overheads: list[float] = []
    # Each rank is in one stage, and runs that stage's list for every micro-batch.
    share = float(step.program.micro_batches) / len(step.stage_s)
    for priced in step.ops:
        op, runs = priced.op, share * float(priced.repeats)
        lead_s, more_s = float(priced.lead_s), priced.terms.get("in_step_s")
        own_s = runs * (float(priced.terms.total_s) - lead_s)
        kinds["glue"] += runs * lead_s
        if isinstance(op, Collective):
            if more_s is not None:
                overheads.append(runs * float(more_s))
            kinds["network"] += own_s - (0.0 if more_s is None else runs * float(more_s))
        else:
            kinds[op.kind] += own_s
            if op.kind == "glue":
                continue
        by_op[op.name] = by_op.get(op.name, 0.0) + own_s
    parts: dict[str, float | None] = dict(kinds)
    parts["in_step"] = sum(overheads) if overheads or not step.sent else None
    own_end = float(step.mean_end_s)
    parts["pipeline"] = own_end - share * sum(map(float, step.stage_s))
    parts["uneven"] = 0.0 if step.busiest is None else float(step.busiest.mean_end_s) - own_end
    processor = step.prices.processor
    if processor is None:
        parts |= dict.fromkeys((*COMPUTED, "pipeline", "uneven"))
    name = None if processor is None else processor.name
    return Priced(step.prices.network.name, name, by_op, parts, NO_COMPUTE if processor is None else "")
