"""Clocks that somebody has put wrong are found, with an error that holds; what follows from them is the time that passed."""

from __future__ import annotations

from time import perf_counter_ns

import pytest

from inferometer.emulator.measure.clocks import Clocks, Look, drift_ppm, look_of

HOUR_NS = 3_600_000_000_000


def test_the_fastest_round_trip_bounds_the_error():
    rounds = [(1000, 51_500, 3000), (5000, 54_600, 5400), (9000, 61_000, 13_000)]  # 50 000 ahead, 49 400 by the best
    look = look_of(rounds)
    assert look == Look(5200, 49_400.0, 200.0)


def test_a_drift_goes_on_and_the_error_grows():
    clocks = Clocks((0, 1))
    clocks.looks[1] = [Look(0, 100.0, 10.0), Look(1000, 300.0, 20.0)]
    assert clocks.ahead(0, 123) == (0.0, 0.0)
    assert clocks.ahead(1, 500) == (200.0, 20.0)
    assert clocks.ahead(1, 2000) == (500.0, 60.0)
    assert drift_ppm(clocks.looks[1]) == pytest.approx(2e5)
    assert Clocks((0, 1)).error_ns([0, 1]) == float("inf")


def _looked(world, control, machine_of, ahead_ns):
    planted = ahead_ns[machine_of[world.rank]]
    clocks = Clocks(machine_of, clock=lambda: perf_counter_ns() + planted)
    for _ in range(2):
        clocks.look(world)
    here = [clocks.clock()] * 2
    gathered = control.gather("readings", [here, here])
    if world.rank:
        return None
    same = clocks.by_rank_0(gathered, range(world.size))
    spread_ns = max(max(start) for start, _ in same) - min(min(start) for start, _ in same)
    return {machine: clocks.looks[machine][-1].__dict__ for machine in clocks.looks}, clocks.error_ns([0, 1, 2]), spread_ns


@pytest.mark.parametrize("ahead_ns", [(0, HOUR_NS, -7), (5, 1_000_000, 40_000_000)])
def test_planted_offsets_are_found_within_the_error(ranks, ahead_ns):
    looks, error_ns, spread_ns = ranks(3, _looked, (0, 1, 2), ahead_ns)[0]
    for machine in (1, 2):
        found = looks[machine]
        assert abs(found["offset_ns"] - (ahead_ns[machine] - ahead_ns[0])) <= found["error_ns"]
    assert error_ns < 50_000_000
    assert spread_ns < 1_000_000_000  # the ranks read their clocks within a moment: without alignment it is the offsets
