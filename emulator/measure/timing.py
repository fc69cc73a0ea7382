"""What exactly is timed.

``isolated``: a barrier, then one operation between two readings of the clock, on every rank, again and again. The time of
an iteration is the last stop minus the last start: what the collective costs once everybody is there, net of the
different times at which ranks leave the barrier. Ranks on machines without a common clock have only their own durations, of
which the longest counts.

``pipelined``: a barrier, then K operations back to back between two readings, divided by K, as in nccl-tests.

``in_step``: computing on every rank, then one operation between two readings, again and again without a barrier, as a
model's step runs. The time of an iteration is the mean over the ranks of their own durations, so it holds what a rank waits
for the others: what a step pays on average.

On a GPU the readings are events on the stream, and barrier and computing run on the same stream: ranks are aligned on the
device, and no iteration waits for the host. How the operation is launched is part of the key:

``stream``: a kernel that only waits keeps the queue busy until the host has queued the whole iteration behind it, so the
events time the device alone. ``graph``: K operations, captured once, are replayed between two readings; of ``in_step`` the
graph holds the readings too. ``eager``: the host waits until the device is idle before each iteration, so the time holds
what the host needs to launch, as in a step that the host cannot run ahead of.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from inferometer.parallel.device.device import Device, Graph, LaunchMode

Run = Callable[[], object]
Readings = tuple[list[int], list[int]]
AHEAD = 2.0
"""The waiting kernel lasts so many times what the host last needed to queue an iteration."""
FIRST_DELAY_NS = 200_000


class Timer(Protocol):
    """Takes ``(start_ns, stop_ns)``, a list each with one entry per iteration, on this rank.

    ``before`` comes before each first reading, untimed: the barrier or the computing.
    """

    clock: str

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings: ...

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings: ...

    def in_step(self, before: Run, run: Run, iterations: int) -> Readings: ...


class HostTimer:
    """For backends whose calls return with the result."""

    clock = "CLOCK_MONOTONIC"

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings:
        now = perf_counter_ns
        starts, stops = [0] * iterations, [0] * iterations
        with collector_off():
            for i in range(iterations):
                before()
                starts[i] = now()
                run()
                stops[i] = now()
        return starts, stops

    in_step = isolated

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings:
        now = perf_counter_ns
        starts, stops = [0] * iterations, [0] * iterations
        steps = range(operations)
        with collector_off():
            for i in range(iterations):
                before()
                starts[i] = now()
                for _ in steps:
                    run()
                stops[i] = now()
        return starts, stops


class QueueTimer:
    """For devices that work through a queue: the device's clock takes the readings. mode: stream, graph or eager."""

    def __init__(self, device: Device, mode: LaunchMode) -> None:
        self.clock = device.clock.name
        self._device = device
        self._eager = mode == "eager"

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings:
        return self.pipelined(before, run, iterations, 1)

    in_step = isolated

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings:
        device, mark = self._device, self._device.clock.mark
        marks: list[Any] = []
        queueing_ns: int | None = None  # the shortest: where the queue is full, the host waits for the device
        with collector_off():
            for _ in range(iterations):
                if not self._eager:
                    device.delay(FIRST_DELAY_NS * operations if queueing_ns is None else round(AHEAD * queueing_ns))
                began = perf_counter_ns()
                before()
                if self._eager:
                    device.synchronize()
                marks.append(mark())
                for _ in range(operations):
                    run()
                marks.append(mark())
                took_ns = perf_counter_ns() - began
                queueing_ns = took_ns if queueing_ns is None else min(queueing_ns, took_ns)
            readings = device.clock.ns(marks)
        return readings[::2], readings[1::2]


class GraphTimer:
    """Replays one graph, captured at the first call, which every later call is for as well.

    operations: what the graph holds of the operation; of ``in_step`` one more, which is not read.
    """

    def __init__(self, device: Device, operations: int) -> None:
        self.clock = device.clock.name
        self._device = device
        self._queue = QueueTimer(device, "graph")
        self._operations = operations
        self._graph: Graph | None = None
        self._marks: list[Any] = []

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings:
        """Whole replays: as many operations as the graph holds between two readings, back to back."""

        def repeat() -> None:
            for _ in range(self._operations):
                run()

        self._graph = self._graph or self._device.capture(repeat)
        return self._queue.isolated(before, self._graph.replay, iterations)

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings:
        return self.isolated(before, run, iterations)

    def in_step(self, before: Run, run: Run, iterations: int) -> Readings:
        """Readings around each operation, inside the graph; of every replay all but the first, which no step precedes."""
        clock, marks = self._device.graph_clock(), self._marks
        mark = clock.mark

        def repeat() -> None:
            for _ in range(self._operations + 1):
                before()
                marks.append(mark())
                run()
                marks.append(mark())

        self._graph = self._graph or self._device.capture(repeat)
        starts: list[int] = []
        stops: list[int] = []
        with collector_off():
            while len(starts) < iterations:
                self._graph.replay()
                readings = clock.ns(marks)
                starts += readings[2::2]
                stops += readings[3::2]
        return starts[:iterations], stops[:iterations]


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python's garbage collector out of the timed region."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
