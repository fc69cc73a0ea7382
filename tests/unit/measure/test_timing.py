"""What is timed: the three definitions by hand, and the order in which the host timer does things."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from inferometer.emulator.measure.timing import HostTimer, collector_off
from inferometer.emulator.samples.times import iteration_times_us, time_definition

# two ranks, two iterations, ns
START = np.array([[0, 10_000], [2_000, 9_000]])
STOP = np.array([[6_000, 15_000], [5_000, 17_000]])


@pytest.mark.parametrize(
    ("definition", "times"),
    [
        ("last_stop_minus_last_start", [6 - 2, 17 - 10]),
        ("longest_duration", [max(6, 3), max(5, 8)]),
        ("half_round_trip", [6, 5]),
        ("mean_of_own_durations", [(6 + 3) / 2, (5 + 8) / 2]),
    ],
)
def test_the_time_of_an_iteration_by_hand(definition, times):
    for operations in (1, 4):
        found = iteration_times_us(definition, START, STOP, [[0, 1]], operations)
        np.testing.assert_allclose(found, np.array(times) / operations, rtol=1e-12)


def test_the_initiator_of_a_ping_pong_is_the_first_of_its_group():
    np.testing.assert_allclose(iteration_times_us("half_round_trip", START, STOP, [[1, 0]], 2), [1.5, 4])


def test_groups_at_once_count_what_one_of_them_pays():
    """Four ranks in two groups: the mean over the groups, not the slowest of all."""
    start = np.array([[0], [0], [1_000], [0]])
    stop = np.array([[4_000], [3_000], [9_000], [6_000]])
    for groups, mean in (([[0, 1], [2, 3]], (4 + 8) / 2), ([[0, 2], [1, 3]], (8 + 6) / 2)):
        times = iteration_times_us("last_stop_minus_last_start", start, stop, groups, 1)
        np.testing.assert_allclose(times, [mean])


def test_an_unknown_definition_is_refused_by_name():
    with pytest.raises(ValueError, match="'mean'"):
        iteration_times_us("mean", START, STOP, [[0, 1]], 1)


@pytest.mark.parametrize(
    ("timing", "half", "one_clock", "name"),
    [
        ("isolated", False, True, "last_stop_minus_last_start"),
        ("isolated", False, False, "longest_duration"),
        ("pipelined", False, True, "longest_duration"),
        ("isolated", True, True, "half_round_trip"),
        ("pipelined", True, False, "half_round_trip"),
        ("in_step", False, True, "mean_of_own_durations"),
        ("in_step", False, False, "mean_of_own_durations"),
        ("in_step", True, True, "half_round_trip"),
    ],
)
def test_which_definition_a_cell_is_read_by(timing, half, one_clock, name):
    assert time_definition(timing, half, one_clock) == name


class Steps:
    """Notes what the timer does, its clock readings included."""

    def __init__(self, monkeypatch):
        self.done, self._now = [], 0
        monkeypatch.setattr("inferometer.emulator.measure.timing.perf_counter_ns", self._clock)

    def _clock(self):
        self._now += 10
        self.done.append("clock")
        return self._now

    def barrier(self):
        self.done.append("barrier")

    def run(self):
        self.done.append("run")


def test_isolated_is_a_barrier_and_one_run_between_two_readings(monkeypatch):
    steps = Steps(monkeypatch)
    starts, stops = HostTimer().isolated(steps.barrier, steps.run, 3)
    assert steps.done == ["barrier", "clock", "run", "clock"] * 3
    assert (starts, stops) == ([10, 30, 50], [20, 40, 60])


def test_pipelined_is_a_barrier_and_k_runs_between_two_readings(monkeypatch):
    steps = Steps(monkeypatch)
    starts, stops = HostTimer().pipelined(steps.barrier, steps.run, 2, 5)
    assert steps.done == ["barrier", "clock", *["run"] * 5, "clock"] * 2
    assert (starts, stops) == ([10, 30], [20, 40])


def test_readings_of_the_real_clock_never_run_backwards():
    starts, stops = HostTimer().isolated(lambda: None, lambda: sum(range(100)), 50)
    assert len(starts) == len(stops) == 50
    assert all(start <= stop for start, stop in zip(starts, stops))
    assert all(stop <= start for stop, start in zip(stops, starts[1:]))


@pytest.mark.parametrize("was_on", [True, False])
def test_the_collector_is_off_inside_and_afterwards_as_before(was_on):
    enabled = []
    try:
        gc.enable() if was_on else gc.disable()
        HostTimer().isolated(lambda: None, lambda: enabled.append(gc.isenabled()), 1)
        HostTimer().pipelined(lambda: None, lambda: enabled.append(gc.isenabled()), 1, 2)
        assert enabled == [False] * 3
        assert gc.isenabled() == was_on
        with pytest.raises(ZeroDivisionError), collector_off():
            1 / 0  # noqa: B018
        assert gc.isenabled() == was_on
    finally:
        gc.enable()
