"""Steps of an engine as its device launches them, and the readings around them and around their operations.

``Called``: every operation by a call, the host's or one queued; ``Replayed``: a decode step that was captured once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.engine.stamps import Stamps
from inferometer.parallel.line import Line


class Reading(NamedTuple):
    """One step in ns: begin and end, the operations' starts and stops since begin, the executed sizes that depend on
    routing."""

    begin: int
    end: int
    stamps: list[int]
    executed: list[int]


class Steps(Protocol):
    """Makes steps and reads the device's clock."""

    def step(self) -> None:
        """One more step; it may be only queued."""

    def read(self) -> list[Reading]:
        """The readings of the steps since the last call; waits for the device."""


class Called:
    """Steps whose operations are called one by one. run: one step. instrumented: operations are timed too."""

    def __init__(self, engine: Engine, run: Callable[[], object], *, instrumented: bool) -> None:
        self._engine, self._run = engine, run
        self._clock = engine.device.clock
        self._stamps = Stamps(self._clock)
        self._instrumented = instrumented
        self._taken: list[tuple[list[Any], list[tuple[Line, int]]]] = []

    def step(self) -> None:
        self._engine.tape.observer = self._stamps if self._instrumented else None
        mark = self._clock.mark
        self._stamps.marks = []
        begin = mark()
        self._run()
        end = mark()
        self._taken.append(([begin, *self._stamps.marks, end], self._engine.tape.varied))

    def read(self) -> list[Reading]:
        readings = self._clock.ns([mark for marks, _ in self._taken for mark in marks])
        found, at = [], 0
        for marks, varied in self._taken:
            found.append(_reading(readings[at : at + len(marks)], varied))
            at += len(marks)
        self._taken = []
        return found


class Replayed:
    """A decode step in a graph, captured at once. The engine must have made one at its present context before.

    instrumented: the graph holds the readings around operations, so every replay is waited for; what that costs shows beside
    the steps of the plain graph.
    """

    def __init__(self, engine: Engine, *, instrumented: bool) -> None:
        self._engine, self._clock = engine, engine.device.clock
        self._inside = clock = engine.device.graph_clock()
        stamps = Stamps(clock)
        context, marks = engine.context, stamps.marks
        engine.tape.observer = stamps if instrumented else None

        def run() -> None:
            engine.context = context
            if instrumented:
                marks.append(clock.mark())
            engine.decode()
            if instrumented:
                marks.append(clock.mark())

        with engine.captured() as self._used:
            self._graph = engine.device.capture(run)
        engine.tape.observer, engine.context = None, context
        self._logits = engine.take_unread()
        self._marks, self._varied = marks, engine.tape.varied
        self._taken: list[Reading] = []
        self._between: list[Any] = []

    def step(self) -> None:
        if self._marks:
            self._graph.replay()
            self._taken.append(_reading(self._inside.ns(self._marks), self._varied))
            return
        self._between.append(self._clock.mark())
        self._graph.replay()
        self._between.append(self._clock.mark())

    def read(self) -> list[Reading]:
        readings = self._clock.ns(self._between)
        found = self._taken + [_reading(list(pair), self._varied) for pair in zip(readings[::2], readings[1::2])]
        self._taken, self._between = [], []
        self._engine.give_unread(self._logits)
        return found


def _reading(ns: list[int], varied: list[tuple[Line, int]]) -> Reading:
    begin, *stamps, end = ns
    return Reading(begin, end, [at - begin for at in stamps], [size for _, size in varied])
