"""A program as an itemised bill: what its different stages ask of processor and network, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.emulator.calibrate.evaluate.compute import Call
from inferometer.emulator.economics.pricing.network import Sent
from inferometer.emulator.economics.pricing.processor import ComputeTime
from inferometer.emulator.economics.pricing.terms import Terms
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.program import (
    BEGIN,
    END,
    Collective,
    Compute,
    Op,
    Program,
    Size,
    Stage,
    logits_bytes,
    predecessors,
)

Key = tuple[tuple[int, int], ...]
"""What tells stages apart: their operations, which alike stages share, with their repeats."""


@dataclass
class Entry:
    """An operation where it stands in a stage. index: of its call, or of its collective; sent: of a collective in a step."""

    op: Op
    index: int
    sent: int = -1


@dataclass
class Run:
    """Operations that a stage goes through repeat times."""

    repeat: Size
    entries: list[Entry]


class Itemised:
    """One program on its way to its price: what its different stages ask for, the answers, the sums."""

    computed: Sequence[ComputeTime]
    isolated: Sequence[tuple[Size, Size] | InputError]
    overheads: Sequence[Size | None]

    def __init__(self, program: Program, concurrent_ranks: int) -> None:
        self.program = program
        self.calls: list[Call] = []
        self.collectives: list[Collective] = []
        self.sent: list[Sent] = []
        self._ranks = concurrent_ranks
        self._call_at: dict[tuple[int, tuple[str, ...], bool], int] = {}
        self._collective_at: dict[int, int] = {}
        self.runs: dict[Key, list[Run]] = {}
        """Of each different stage."""
        for stage in program.stages:
            if key_of(stage) not in self.runs:
                self.runs[key_of(stage)] = list(self._walk(stage))

    def _walk(self, stage: Stage) -> Iterator[Run]:
        program = self.program
        sharded = any(isinstance(op, Collective) and op.axis != "pp" for _, op in stage.counted())
        previous: tuple[str, ...] = ()
        begin = Compute(BEGIN, "glue")
        yield Run(1 / program.micro_batches, [Entry(begin, self._call(begin, previous, sharded))])
        for segment in stage.segments:
            end = _after(previous, segment.ops)
            # Of a run of layers, all but the first follow their like.
            previous = end if segment.repeat > 1 else previous
            entries = []
            for op in segment.ops:
                at = self._call(op, previous, sharded) if isinstance(op, Compute) else self._collective(op)
                entries.append(Entry(op, at))
                previous = _after(previous, [op])
            previous = end
            yield Run(segment.repeat, entries)
        logits = logits_bytes(stage, program.precision)
        if np.any(np.asarray(logits) > 0):
            end_of_step = Compute(END, "glue", activation_bytes=logits)
            yield Run(1, [Entry(end_of_step, self._call(end_of_step, previous, sharded))])

    def _call(self, op: Compute, previous: tuple[str, ...], sharded: bool) -> int:
        key = id(op), previous, sharded
        if key not in self._call_at:
            self._call_at[key] = len(self.calls)
            self.calls.append(Call(op, previous, self._ranks, sharded, self.program.tokens))
        return self._call_at[key]

    def _collective(self, op: Collective) -> int:
        if id(op) not in self._collective_at:
            self._collective_at[id(op)] = len(self.collectives)
            self.collectives.append(op)
        return self._collective_at[id(op)]

    @property
    def error(self) -> InputError | None:
        """Why this program cannot be priced."""
        return next((found for found in self.isolated if isinstance(found, InputError)), None)

    def send(self) -> None:
        """Work out after how much computing each collective comes, now that computing is priced."""
        for runs in self.runs.values():
            gap: Size = 0.0
            for run in runs:
                busy = [0.0 if isinstance(e.op, Collective) else self._busy_s(e) for e in run.entries]
                last = max((at for at, e in enumerate(run.entries) if isinstance(e.op, Collective)), default=-1)
                since = gap if last < 0 or run.repeat == 1 else sum(busy[last + 1 :], 0.0)
                for entry, seconds in zip(run.entries, busy):
                    since = since + seconds
                    if isinstance(entry.op, Collective):
                        op, pair = entry.op, self.isolated[entry.index]
                        assert not isinstance(pair, InputError)
                        entry.sent = len(self.sent)
                        self.sent.append(Sent(op.collective, op.bytes, op.ranks, op.nodes, since, pair[0] + pair[1]))
                        since = 0.0
                gap = gap + run.repeat * sum(busy, 0.0) if last < 0 else since

    def _busy_s(self, entry: Entry) -> Size:
        return 0.0 if entry.op.name in (BEGIN, END) else self.computed[entry.index].terms.total_s

    def priced(self, run: Run) -> Iterator[tuple[Op, Size, Terms, Size]]:
        """Each operation with its repeats, the terms of one run, its lead."""
        for entry in run.entries:
            if isinstance(entry.op, Compute):
                yield entry.op, run.repeat, *self.computed[entry.index]
                continue
            pair, more = self.isolated[entry.index], self.overheads[entry.sent]
            assert not isinstance(pair, InputError)
            terms = Terms(network_latency_s=pair[0], network_bandwidth_s=pair[1])
            if more is not None:
                terms["in_step_s"] = more
            yield entry.op, run.repeat, terms, 0.0


def key_of(stage: Stage) -> Key:
    return tuple((segment.repeat, id(op)) for segment in stage.segments for op in segment.ops)


def _after(previous: Sequence[str], ops: Sequence[Op]) -> tuple[str, ...]:
    """The last computation and the collectives since, after ops."""
    for op in ops:
        previous = predecessors(previous, op.name, computes=isinstance(op, Compute))
    return tuple(previous)
