"""Launches that something else disturbed are found, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.samples.disturbed import disturbed


def cell(launch, number, us):
    return {
        "record": "cell", "cell": f"cell {number}", "launch": launch, "collective": "all_reduce", "timing": "isolated",
        "participants": [0, 1], "groups_ranks": [[0, 1]], "operations": 1, "time_definition": "last_stop_minus_last_start",
        "start_ns": [[0] * 6, [0] * 6], "stop_ns": [[int(us * 1000)] * 6] * 2,
    }  # fmt: skip


def launches(*factors, cells=12, seed=0):
    random = np.random.default_rng(seed)
    return [
        cell(launch, number, 100 * 1.5**number * factor * random.lognormal(0, 0.1))
        for launch, factor in enumerate(factors)
        for number in range(cells)
    ]


@pytest.mark.parametrize("seed", range(10))
def test_a_launch_that_took_longer_than_the_others_is_found(seed):
    found = disturbed(launches(1, 1.6, 1, 1.1, seed=seed))
    assert set(found) == {1} and "times as long as in the others" in found[1]


@pytest.mark.parametrize("seed", range(10))
def test_ordinary_differences_are_none(seed):
    assert disturbed(launches(1, 1.1, 0.95, seed=seed)) == {}


def test_of_two_launches_or_few_cells_nobody_knows_which():
    assert disturbed(launches(1, 2)) == {} and disturbed(launches(1, 2, 1, cells=4)) == {}


@pytest.mark.parametrize(
    ("counted", "why"),
    [
        ({"steal_fraction": 0.08}, "hypervisor gave 8%"),
        ({"others_fraction": 0.31}, "other processes used 31%"),
        ({"steal_fraction": 0.01, "others_fraction": 0.05}, None),
        ({"steal_fraction": None, "others_fraction": None}, None),
        ({}, None),
    ],
)
def test_the_kernels_counters_are_enough(counted, why):
    found = disturbed([{"record": "launch_end", "launch": 0, "reason": "complete", **counted}])
    assert found == {} if why is None else why in found[0]
