"""A program as an itemised bill: what its different stages ask of processor and network, and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from inferometer.emulator.economics.pricing.network import Sent
from inferometer.emulator.economics.pricing.processor import ComputeTime
from inferometer.emulator.economics.pricing.terms import Terms, larger
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

HOST = "step.host"
"""The device's waiting for a host that launches more slowly than the device executes."""
COUNTS = "moe.counts"
"""After it the host must know how many tokens go where."""
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
        self.concurrent_ranks = concurrent_ranks
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
            about = self.concurrent_ranks, sharded, self.program.tokens, self.program.sequences
            self.calls.append(Call(op, previous, *about))
        return Entry(op, False, at)

    @property
    def error(self) -> InputError | None:
        """Why this program cannot be priced."""
        return next((found for found in self.isolated if isinstance(found, InputError)), None)

    def send(self) -> None:
        """Work out after how much computing each collective comes, now that computing is priced."""
        total_s = self._computed_s
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

    @cached_property
    def _graph(self) -> bool:
        """Whether the host launches nothing one by one."""
        hosts = [time.host_s for time in self.computed]
        return not any((host > 0).any() if isinstance(host, np.ndarray) else host > 0 for host in hosts)

    @cached_property
    def _computed_s(self) -> list[Size]:
        """What each call takes on the device."""
        return [time.terms.total_s for time in self.computed]

    def stage_s(self) -> list[Size]:
        """What each stage takes for one micro-batch."""
        computed = self._computed_s
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
            sums[key] = total + self.host_wait_s(key)
        return [sums[key] for key in self.keys]

    def priced(self, key: Key) -> Iterator[tuple[Op, Size, Terms, Size]]:
        """Each operation of a stage with its repeats, the terms of one run, its lead."""
        for run in self.runs[key]:
            for entry in run.entries:
                if not entry.collective:
                    terms, lead_s, _ = self.computed[entry.index]
                    yield entry.op, run.repeat, terms, lead_s
                    continue
                pair, more = self.isolated[entry.index], self.overheads[entry.sent]
                assert not isinstance(pair, InputError)
                terms = Terms(network_latency_s=pair[0], network_bandwidth_s=pair[1])
                if more is not None:
                    terms["in_step_s"] = more
                yield entry.op, run.repeat, terms, 0.0
        if np.any(np.asarray(wait := self.host_wait_s(key)) > 0):
            yield Compute(HOST, "glue"), 1, Terms(host_s=wait), wait

    def host_wait_s(self, key: Key) -> Size:
        """What a stage's device waits for the host, for one micro-batch: of each run of operations between two that make the
        host wait for the device, what launching takes longer than executing.

        The host runs ahead of the device until it must know a result: which tokens go to which expert rank, or the step's
        tokens at its end.
        """
        if self._graph:
            return 0.0
        wait: Size = 0.0
        open_device: Size = 0.0
        open_host: Size = 0.0
        for run in self.runs[key]:
            parts: list[list[Size]] = [[0.0, 0.0]]  # [device, host] between the waits inside one pass of the run
            for entry in run.entries:
                if entry.collective:
                    one, more = self.sent[entry.sent], self.overheads[entry.sent]
                    parts[-1][0] = parts[-1][0] + one.isolated_s + (0.0 if more is None else more)
                    if self.collectives[entry.index].name == COUNTS:
                        parts.append([0.0, 0.0])
                else:
                    time = self.computed[entry.index]
                    parts[-1][0] = parts[-1][0] + time.terms.total_s
                    parts[-1][1] = parts[-1][1] + time.host_s
            if len(parts) == 1:
                open_device, open_host = open_device + run.repeat * parts[0][0], open_host + run.repeat * parts[0][1]
                continue
            first, *inner, last = parts
            wait = wait + larger(open_host + first[1] - open_device - first[0], 0.0)
            around = larger(last[1] + first[1] - last[0] - first[0], 0.0)
            wait = wait + (run.repeat - 1) * around + run.repeat * sum((larger(h - d, 0.0) for d, h in inner), 0.0)
            open_device, open_host = last
        return wait + larger(open_host - open_device, 0.0)


def _key(stage: Stage) -> Key:
    return tuple((segment.repeat, id(segment.ops)) for segment in stage.segments)


def _after(previous: Sequence[str], ops: Sequence[Op]) -> tuple[str, ...]:
    """The last computation and the collectives since, after ops."""
    for op in ops:
        previous = predecessors(previous, op.name, computes=isinstance(op, Compute))
    return tuple(previous)
