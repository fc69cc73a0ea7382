"""What exactly is timed.

``isolated``: a barrier, then one operation between two readings of the clock, on every rank, again and again. The time of
an iteration is the last stop minus the last start: what the collective costs once everybody is there, net of the
different times at which ranks leave the barrier. Ranks on machines without a common clock have only their own durations, of
which the longest counts.

``pipelined``: a barrier, then K operations back to back between two readings, divided by K, as in nccl-tests.

``in_step``: computing on every rank, then one operation between two readings, again and again without a barrier, as a
model's step runs. The time of an iteration is the mean over the ranks of their own durations, so it holds what a rank waits
for the others: what a step pays on average.

On a GPU the readings are events on the stream, and barrier and computing run on the same stream, so the host's launch
latency stays out as long as the stream is never empty.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Protocol

Run = Callable[[], None]
Readings = tuple[list[int], list[int]]


class Timer(Protocol):
    """Takes ``(start_ns, stop_ns)``, a list each with one entry per iteration, on this rank.

    ``before`` comes before each first reading, untimed: the barrier or the computing.
    """

    clock: str

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings: ...

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings: ...


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


class CudaTimer:
    """For backends that queue their work on a CUDA stream: durations come from events, not from the host's clock."""

    clock = "cuda_event"

    def isolated(self, before: Run, run: Run, iterations: int) -> Readings:
        return self.pipelined(before, run, iterations, 1)

    def pipelined(self, before: Run, run: Run, iterations: int, operations: int) -> Readings:
        import torch

        pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(iterations)]
        began = perf_counter_ns()
        with collector_off():
            for start, stop in pairs:
                before()
                start.record()
                for _ in range(operations):
                    run()
                stop.record()
            torch.cuda.synchronize()
        # the device's own timeline, from the first event on: the host runs ahead of the stream
        starts = [began + round(pairs[0][0].elapsed_time(start) * 1e6) for start, _ in pairs]
        return starts, [at + round(start.elapsed_time(stop) * 1e6) for at, (start, stop) in zip(starts, pairs)]


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
