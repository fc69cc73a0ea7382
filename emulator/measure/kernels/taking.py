"""The times of one kernel, by launch mode: replays of a graph, a queue that never runs dry, the host's own calls."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from time import perf_counter_ns

import numpy as np

from inferometer.emulator.measure.timing import GraphTimer, QueueTimer, collector_off
from inferometer.emulator.samples.statistics import relative_half_width
from inferometer.parallel.device.device import Device

Call = Callable[[], object]
REPLAYS = 5
"""Between two looks at the clock."""
LEAST_TIMES, MOST_TIMES = 10, 200
INTERVAL = 0.01
"""Half width of the median's 95 % interval from which on a kernel is known."""
SETTLED, LOOKS = 0.01, 3
"""The clocks have settled once so many blocks in a row took the same time within SETTLED …"""
SETTLE_S, SETTLE_CALLS = 3.0, 50
"""… or this has passed; calls of a block."""
LEAST_CALLS = 20


def graph_ns(device: Device, calls: Sequence[Call], seconds: float) -> list[int]:
    """ns of one call, an entry a replay of at least 20 of them."""
    rounds = [*calls] * -(-LEAST_CALLS // len(calls))

    def run() -> None:
        for call in rounds:
            call()

    timer = GraphTimer(device, 1)
    _warm(device, rounds)
    return _taken(lambda: timer.isolated(_nothing, run, REPLAYS), len(rounds), seconds)


def stream_ns(device: Device, calls: Sequence[Call], seconds: float) -> list[int]:
    """ns of one call among many that wait in the queue."""
    timer = QueueTimer(device, "stream")

    def run() -> None:
        for call in calls:
            call()

    _warm(device, calls)
    return _taken(lambda: timer.isolated(_nothing, run, REPLAYS), len(calls), seconds)


def host_ns(device: Device, calls: Sequence[Call], seconds: float) -> list[int]:
    """ns that the host needs for one call: the device is behind, and nobody waits for it."""

    def take() -> tuple[list[int], list[int]]:
        starts, stops = [], []
        with collector_off():
            for _ in range(REPLAYS):
                device.synchronize()
                starts.append(perf_counter_ns())
                for call in calls:
                    call()
                stops.append(perf_counter_ns())
        device.synchronize()
        return starts, stops

    _warm(device, calls)
    return _taken(take, len(calls), seconds)


def settle(device: Device, call: Call) -> float:
    """Keep the device busy until its clocks have settled; the seconds that took."""
    began = time.monotonic()
    last = 0.0
    alike = 0
    while alike < LOOKS and time.monotonic() - began < SETTLE_S:
        marks = [device.clock.mark()]
        for _ in range(SETTLE_CALLS):
            call()
        marks.append(device.clock.mark())
        start, stop = device.clock.ns(marks)
        took = float(max(stop - start, 1))
        alike = alike + 1 if abs(took / last - 1 if last else 1.0) < SETTLED else 0
        last = took
    return time.monotonic() - began


def _warm(device: Device, calls: Sequence[Call]) -> None:
    """Once each, outside any capture: libraries choose their kernels at the first call."""
    for call in calls[: 2 * LEAST_CALLS]:
        call()
    device.synchronize()


def _taken(take: Callable[[], tuple[list[int], list[int]]], calls: int, seconds: float) -> list[int]:
    """Times of one of calls, until they are known or the time is over."""
    until = time.monotonic() + seconds
    found: list[int] = []
    while len(found) < MOST_TIMES:
        starts, stops = take()
        found += [max(1, round((stop - start) / calls)) for start, stop in zip(starts, stops)]
        times = np.array(found, dtype=float)
        if len(found) >= LEAST_TIMES and (relative_half_width(times) <= INTERVAL or time.monotonic() > until):
            break
    return found


def _nothing() -> None: ...
