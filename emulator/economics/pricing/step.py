"""A step's time: the one place where operations are priced and stages combined.

Operations run one after the other, so a stage takes the sum of its operations' times, each the larger of what its memory
traffic and its arithmetic take: `stage_s` in itemised.py adds them. `ends` combines the stages. `predict`, `frontier`,
`emulate` and `validate` all have their steps' times from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.economics.pricing.itemised import Itemised
from inferometer.emulator.economics.pricing.network import CollectiveTime, Network, Sent
from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.pricing.processor import ComputeTime
from inferometer.emulator.economics.pricing.terms import Terms, larger
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.program import Collective, Op, Program, Size

Rhythm = Literal["repeated", "once", "through"]
"""How micro-batches follow each other: repeated, each step needs the tokens that the one before chose (decode); once, the
micro-batches run through the stages one behind the other (prefill); through, nothing waits for anything."""


@dataclass(frozen=True)
class PricedOp:
    """An operation of one stage. Glue before the first and after the last is an operation too (Compute of kind glue)."""

    stage: int
    op: Op
    repeats: Size
    """In one micro-batch; 1/micro-batches of what is done once a step."""
    terms: Terms
    """Of one run."""
    lead_s: Size
    """Of one run, a part of terms["kernel_s"]: what an engine does between the operation before and this one."""


@dataclass(frozen=True)
class StepTime:
    """A step of one replica with all its micro-batches.

    stage_s: what each stage takes for one micro-batch. ends_s: the time from a step's begin to its end on each stage.
    busiest: the same step of the ranks that get the most tokens, for which the others wait; None where tokens are spread
    evenly or the program is of the busiest ranks itself.
    """

    bill: Itemised
    prices: Prices
    stage_s: tuple[Size, ...]
    ends_s: tuple[Size, ...]
    busiest: StepTime | None = None

    @property
    def program(self) -> Program:
        return self.bill.program

    @property
    def sent(self) -> Sequence[Sent]:
        """Every different collective where it stands in the step."""
        return self.bill.sent

    @cached_property
    def ops(self) -> tuple[PricedOp, ...]:
        """Of one micro-batch in the order of execution, stage by stage."""
        priced = {key: list(self.bill.priced(key)) for key in self.bill.runs}
        return tuple(PricedOp(stage, *one) for stage, key in enumerate(self.bill.keys) for one in priced[key])

    @cached_property
    def stages(self) -> tuple[Terms, ...]:
        """The terms of each stage for one micro-batch."""
        found = tuple(Terms() for _ in self.stage_s)
        for priced in self.ops:
            found[priced.stage].add(priced.terms, priced.repeats)
        return found

    @cached_property
    def terms(self) -> Terms:
        """Of one micro-batch on its way through all stages."""
        total = Terms.nothing()
        for stage in self.stages:
            total.add(stage)
        return total

    @property
    def total_s(self) -> Size:
        """When the step is done: its end on the last stage, of the busiest ranks."""
        return (self.busiest or self).ends_s[-1]

    @property
    def pipeline_s(self) -> Size:
        """What waiting for other stages and micro-batches adds to the terms."""
        return self.ends_s[-1] - sum(self.stage_s[1:], self.stage_s[0])

    @property
    def uneven_s(self) -> Size:
        """What waiting for the busiest ranks adds."""
        return self.total_s - self.ends_s[-1]

    @property
    def mean_end_s(self) -> Size:
        """Mean over stages of the step's end, of the ranks whose program this is."""
        return sum(self.ends_s[1:], self.ends_s[0]) / len(self.ends_s)

    @property
    def notes(self) -> list[str]:
        """What to know of this time, in words, each once: where it leaves what was measured, what stands in."""
        own = dict.fromkeys(self._network_notes())
        if self.prices.processor is not None:
            own |= dict.fromkeys(self.prices.processor.notes(self.bill.calls, self.program.precision))
        if self.prices.in_step is not None:
            own |= dict.fromkeys(self.prices.in_step.notes(self.sent))
        return list(own | dict.fromkeys(self.busiest.notes if self.busiest else ()))

    def _network_notes(self) -> Iterator[str]:
        if self.prices.computing:
            yield self.prices.computing
        if self.sent and self.prices.mismatch:
            yield self.prices.mismatch
        for one in self.sent:
            yield from self.prices.network.notes(one.collective, one.bytes, one.ranks, one.nodes)


def step_time(
    program: Program,
    prices: Prices,
    *,
    concurrent_ranks: int = 1,
    rhythm: Rhythm = "repeated",
    busiest: Program | None = None,
) -> StepTime:
    """The time of a program's step. concurrent_ranks: ranks of a node that compute at the same time.

    busiest: the program of the ranks that get the most tokens, where program is that of the mean.

    Raises InputError where the network or the processor knows nothing of what it needs.
    """
    programs = [program] if busiest is None or busiest == program else [program, busiest]
    found = step_times(programs, prices, [concurrent_ranks] * len(programs), rhythm)
    steps = [_priced(step) for step in found]
    return steps[0] if len(steps) == 1 else replace(steps[0], busiest=steps[1])


def over_network(step: StepTime, network: Network, rhythm: Rhythm = "repeated") -> StepTime:
    """A step's time over another network, without in-step overheads: what was computed is not priced again.

    Raises InputError where the network knows nothing of what the step needs.
    """
    prices = replace(step.prices, network=network, in_step=None)
    return _priced(step_times([step.program], prices, [step.bill.concurrent_ranks], rhythm, step.bill.computed)[0])


def step_times(
    programs: Sequence[Program],
    prices: Prices,
    concurrent_ranks: Sequence[int],
    rhythm: Rhythm = "repeated",
    computed: Sequence[ComputeTime] | None = None,
) -> list[StepTime | InputError]:
    """`step_time` of many programs at once, or why one cannot be priced: each law is asked once for all of them.

    computed: the times of all calls, program by program, where they are known.
    """
    bills = [Itemised(program, ranks) for program, ranks in zip(programs, concurrent_ranks)]
    calls = [call for bill in bills for call in bill.calls]
    if computed is None:
        processor = prices.processor
        computed = processor.times(calls, programs[0].precision) if processor else [ComputeTime(Terms())] * len(calls)
    isolated = _isolated([op for bill in bills for op in bill.collectives], prices)
    at_call = at_op = 0
    for bill in bills:
        bill.computed = computed[at_call : at_call + len(bill.calls)]
        bill.isolated = isolated[at_op : at_op + len(bill.collectives)]
        at_call, at_op = at_call + len(bill.calls), at_op + len(bill.collectives)
    known = [bill for bill in bills if bill.error is None]
    for bill in known:
        bill.send()
    overheads: list[Size | None] = [None] * sum(len(bill.sent) for bill in known)
    if prices.in_step is not None:
        overheads = prices.in_step.overhead_s([sent for bill in known for sent in bill.sent])
    at = 0
    for bill in known:
        bill.overheads = overheads[at : at + len(bill.sent)]
        at += len(bill.sent)
    return [bill.error or _summed(bill, prices, rhythm) for bill in bills]


def ends(stage_s: Sequence[Size], micro_batches: Size, rhythm: Rhythm) -> tuple[Size, ...]:
    """The time from a step's begin to its end on each stage; stage_s: of one micro-batch on each.

    repeated: a micro-batch's next token needs the last stage of its previous one, and a stage serves all micro-batches in
    turn, so that every stage takes max(Σ t, micro-batches · max t). once: stage k has handed on the last micro-batch after
    Σ_{≤k} t + (micro-batches − 1) · max_{≤k} t. through: after Σ_{≤k} t.
    """
    passed: list[Size] = []
    slowest: list[Size] = []
    for seconds in stage_s:
        passed.append(passed[-1] + seconds if passed else seconds)
        slowest.append(larger(slowest[-1], seconds) if slowest else seconds)
    if rhythm == "repeated":
        return (larger(passed[-1], micro_batches * slowest[-1]),) * len(stage_s)
    if rhythm == "through":
        return tuple(passed)
    return tuple(done + (micro_batches - 1) * longest for done, longest in zip(passed, slowest))


def _priced(found: StepTime | InputError) -> StepTime:
    if isinstance(found, InputError):
        raise found
    return found


def _isolated(ops: Sequence[Collective], prices: Prices) -> list[tuple[Size, Size] | InputError]:
    """Latency and bandwidth seconds of each collective; the network is asked once for each kind."""
    found: list[tuple[Size, Size] | InputError] = [(0.0, 0.0)] * len(ops)
    kinds: dict[str, list[int]] = {}
    for at, op in enumerate(ops):
        kinds.setdefault(op.collective, []).append(at)
    for collective, places in kinds.items():
        for group in (places, *([at] for at in places)):  # all at once; one by one where some are refused
            stack = Stack([(ops[at].bytes, ops[at].ranks, ops[at].nodes) for at in group])
            try:
                time: CollectiveTime = prices.network.time(collective, *stack.columns)
            except InputError as error:
                for at in group:
                    found[at] = error
                if len({(ops[at].ranks, ops[at].nodes) for at in group}) == 1:
                    break  # what is refused for a place is refused for all bytes there
                continue
            split = zip(stack.split(time.latency_s), stack.split(time.bandwidth_s))
            for at, pair in zip(group, split):
                found[at] = pair
            if group is places:
                break
    return found


def _summed(bill: Itemised, prices: Prices, rhythm: Rhythm) -> StepTime:
    stage_s = tuple(bill.stage_s())
    return StepTime(bill, prices, stage_s, ends(stage_s, bill.program.micro_batches, rhythm))
