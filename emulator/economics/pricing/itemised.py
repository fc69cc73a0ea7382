"""A program as an itemised bill: what its different stages ask of processor and network, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.emulator.economics.pricing.network import Sent
from inferometer.emulator.economics.pricing.processor import ComputeTime
from inferometer.emulator.economics.pricing.terms import Terms
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.call import Call
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
"""What identifies a stage: its operations, which equal stages share, with their repeats."""


@dataclass(slots=True)
class Entry:
    """An operation where it stands in a stage. index: of its call, or of its collective; sent: of a collective in a step."""

    op: Op
    collective: bool
    index: int
    sent: int = -1


@dataclass(slots=True)
class Run:
    """Operations that a stage goes through repeat times; glue: they are what an engine does at an end of a step."""

    repeat: Size
    entries: list[Entry]
    glue: bool = False


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
        self._layers: dict[tuple[int, tuple[str, ...], bool], list[Entry]] = {}
        """Of runs of layers by their operations, what comes before them, whether the stage is sharded."""
        self.keys = [_key(stage) for stage in program.stages]
        """Of each stage: equal for stages that do the same."""
        self.runs: dict[Key, list[Run]] = {}
        for key, stage in zip(self.keys, program.stages):
            if key not in self.runs:
                self.runs[key] = list(self._walk(stage))

    def _walk(self, stage: Stage) -> Iterator[Run]:
        program = self.program
        sharded = any(isinstance(op, Collective) and op.axis != "pp" for segment in stage.segments for op in segment.ops)
        previous: tuple[str, ...] = ()
        begin = Compute(BEGIN, "glue")
        yield Run(1 / program.micro_batches, [self._entry(begin, previous, sharded)], glue=True)
        for segment in stage.segments:
            if segment.repeat > 1:  # of a run of layers, all but the first follow their like
                previous = _after(previous, segment.ops)
            known = id(segment.ops), previous, sharded
            if segment.repeat > 1 and known in self._layers:
                yield Run(segment.repeat, self._layers[known])
                continue
            entries: list[Entry] = []
            for op in segment.ops:
                entries.append(self._entry(op, previous, sharded))
                previous = tuple(predecessors(previous, op.name, computes=isinstance(op, Compute)))
            self._layers[known] = entries
            yield Run(segment.repeat, entries)
        logits = logits_bytes(stage, program.precision)
        if logits.any() if isinstance(logits, np.ndarray) else logits > 0:
            end = Compute(END, "glue", activation_bytes=logits)
            yield Run(1, [self._entry(end, previous, sharded)], glue=True)

    def _entry(self, op: Op, previous: tuple[str, ...], sharded: bool) -> Entry:
        if isinstance(op, Collective):
            at = self._collective_at.get(id(op))
            if at is None:
                at = self._collective_at[id(op)] = len(self.collectives)
                self.collectives.append(op)
            return Entry(op, True, at)
        key = id(op), previous, sharded
        at = self._call_at.get(key)
        if at is None:
            at = self._call_at[key] = len(self.calls)
            self.calls.append(Call(op, previous, self._ranks, sharded, self.program.tokens))
        return Entry(op, False, at)

    @property
    def error(self) -> InputError | None:
        """Why this program cannot be priced."""
        return next((found for found in self.isolated if isinstance(found, InputError)), None)

    def send(self) -> None:
        """Work out after how much computing each collective comes, now that computing is priced."""
        total_s = [time.terms.total_s for time in self.computed]
        for runs in self.runs.values():
            gap: Size = 0.0
            for run in runs:
                if run.glue:
                    continue
                busy = [0.0 if entry.collective else total_s[entry.index] for entry in run.entries]
                last = max((at for at, entry in enumerate(run.entries) if entry.collective), default=-1)
                since = gap if last < 0 or run.repeat == 1 else sum(busy[last + 1 :], 0.0)
                if last >= 0 and run.repeat > 1 and run.entries[last].sent >= 0:  # of another stage with these layers
                    gap = sum(busy[last + 1 :], 0.0)
                    continue
                for entry, seconds in zip(run.entries, busy):
                    if not entry.collective:
                        since = since + seconds
                        continue
                    op, pair = self.collectives[entry.index], self.isolated[entry.index]
                    assert not isinstance(pair, InputError)
                    entry.sent = len(self.sent)
                    self.sent.append(Sent(op.collective, op.bytes, op.ranks, op.nodes, since, pair[0] + pair[1]))
                    since = 0.0
                gap = gap + run.repeat * sum(busy, 0.0) if last < 0 else since

    def stage_s(self) -> list[Size]:
        """What each stage takes for one micro-batch."""
        computed = [time.terms.total_s for time in self.computed]
        sent: list[Size] = []
        for one, more in zip(self.sent, self.overheads):
            sent.append(one.isolated_s if more is None else one.isolated_s + more)
        sums: dict[Key, Size] = {}
        for key, runs in self.runs.items():
            total: Size = 0.0
            for run in runs:
                once: Size = 0.0
                for entry in run.entries:
                    once = once + (sent[entry.sent] if entry.collective else computed[entry.index])
                total = total + run.repeat * once
            sums[key] = total
        return [sums[key] for key in self.keys]

    def priced(self, key: Key) -> Iterator[tuple[Op, Size, Terms, Size]]:
        """Each operation of a stage with its repeats, the terms of one run, its lead."""
        for run in self.runs[key]:
            for entry in run.entries:
                if not entry.collective:
                    yield entry.op, run.repeat, *self.computed[entry.index]
                    continue
                pair, more = self.isolated[entry.index], self.overheads[entry.sent]
                assert not isinstance(pair, InputError)
                terms = Terms(network_latency_s=pair[0], network_bandwidth_s=pair[1])
                if more is not None:
                    terms["in_step_s"] = more
                yield entry.op, run.repeat, terms, 0.0


def _key(stage: Stage) -> Key:
    return tuple((segment.repeat, id(segment.ops)) for segment in stage.segments)


def _after(previous: Sequence[str], ops: Sequence[Op]) -> tuple[str, ...]:
    """The last computation and the collectives since, after ops."""
    for op in ops:
        previous = predecessors(previous, op.name, computes=isinstance(op, Compute))
    return tuple(previous)
