"""The verdict: every rule by itself, just below and just above its threshold."""

import pytest

from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.calibrate.fit.quality import Evidence, assess
from tests.places import SHARED_DATA


def cell(**changes):
    target = {"collective": "all_reduce", "backend": "gloo", "scheduler": "batch", "concurrent_groups": 1}
    target |= {k: changes.pop(k) for k in list(changes) if k in target}
    us = {"median": 100.0, "p95": changes.pop("p95", 150.0)}
    return {"target": target, "us": us, "ranks": 4, "flags": [], "wrong": 0, "between_launch_rsd": 0.05} | changes


def verdict(*cells, launches=3, held_out=(("all_reduce", 0.1),), **conditions):
    return assess(Evidence(list(cells) or [cell()], launches, list(held_out), conditions))


CARE, BAD = "usable_with_care", "unsuitable_for_calibration"


def test_a_quiet_checked_measurement_is_ok():
    assert verdict() == {"verdict": "ok", "reasons": []}


@pytest.mark.parametrize(
    ("changes", "expected", "reason"),
    [
        ({"wrong": 1}, BAD, "wrong results from all_reduce"),
        ({"wrong": None}, CARE, "the results of all_reduce were not checked"),
        ({"wrong": None, "collective": "barrier"}, "ok", None),
        ({"flags": ["oversubscribed"]}, CARE, "not for extrapolating ranks"),
        ({"p95": 299.0}, "ok", None),
        ({"p95": 301.0}, CARE, "3.0 times the median"),
        ({"p95": 1001.0}, BAD, "10.0 times the median"),
        ({"p95": None}, "ok", None),
        ({"between_launch_rsd": 0.24}, "ok", None),
        ({"between_launch_rsd": 0.26}, CARE, "launches typically differ by 26%"),
        ({"between_launch_rsd": 0.61}, BAD, "launches typically differ by 61%"),
        ({"between_launch_rsd": None}, "ok", None),
        ({"scheduler": "other"}, CARE, "default scheduling class"),
        ({"scheduler": "other", "backend": "mpi"}, "ok", None),
    ],
)
def test_rules_on_cells(changes, expected, reason):
    found = verdict(cell(**changes))
    assert found["verdict"] == expected
    assert (reason is None and found["reasons"] == []) or reason in found["reasons"][0]


@pytest.mark.parametrize(
    ("arguments", "expected", "reason"),
    [
        ({"launches": 2}, CARE, "2 launches only"),
        ({"launches": 1}, CARE, "1 launch only"),
        ({"held_out": [("broadcast", 0.3), ("barrier", None)]}, CARE, "broadcast (30%)"),
        ({"held_out": [("broadcast", 0.7), ("all_reduce", 0.3)]}, BAD, "broadcast (70%)"),
        ({"steal_frac": 0.04}, "ok", None),
        ({"steal_frac": 0.06}, CARE, "6% of the time to others"),
        ({"steal_frac": None}, "ok", None),
        ({"oversubscribed": True}, CARE, "more ranks × threads than usable cores"),
        ({"oversubscribed": False}, "ok", None),
    ],
)
def test_rules_on_the_whole(arguments, expected, reason):
    found = verdict(**arguments)
    assert found["verdict"] == expected
    assert (reason is None and found["reasons"] == []) or reason in found["reasons"][0]


def test_it_is_the_typical_cell_that_counts():
    quiet, wild = cell(), cell(p95=1e5, between_launch_rsd=3.0)
    assert verdict(quiet, quiet, wild)["verdict"] == "ok"
    assert verdict(quiet, wild, wild)["verdict"] == BAD


def test_the_worst_rule_decides_and_comes_first():
    found = verdict(cell(flags=["oversubscribed"]), cell(wrong=2), launches=1)
    assert found["verdict"] == BAD
    assert found["reasons"][0].startswith("wrong results") and len(found["reasons"]) == 3


def test_nothing_measured_is_not_ok():
    assert assess(Evidence([], 0))["verdict"] == BAD


def test_concurrent_groups_are_distinguished_from_one_group_alone():
    """On 2 cores, 2 ranks alone fit; two groups of 2 do not."""
    cells = [
        cell(ranks=2),
        cell(ranks=2, concurrent_groups="all", flags=["oversubscribed"]),
        cell(ranks=4, flags=["oversubscribed"]),
    ]
    (reason,) = verdict(*cells)["reasons"]
    assert reason.startswith("with 4 ranks and with all groups of 2 at once there were more ranks × threads than")


def test_ranks_that_shared_a_gpu_are_no_network():
    assert assess(Evidence([cell()], 3, [], {}, [], (2, 1))) == {
        "verdict": BAD,
        "reasons": ["2 ranks shared 1 GPU: its switching between them was measured"],
    }
    assert assess(Evidence([cell()], 3, [], {}, [], (8, 8)))["verdict"] == "ok"


def test_samples_of_two_ranks_on_one_gpu_are_unsuitable():
    path = SHARED_DATA / "gpu" / "h200" / "two_ranks_time_sliced.samples.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    quality = fit([path]).quality
    assert quality.verdict == BAD and "2 ranks shared 1 GPU" in quality.reasons[0]
