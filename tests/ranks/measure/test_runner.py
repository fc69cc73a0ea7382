"""One launch of the measurement on real ranks: what is recorded, and that wrong data cannot hide."""

from __future__ import annotations

import time

import numpy as np
import pytest

from inferometer.emulator.measure import runner as runner_module
from inferometer.emulator.measure.method import Method, Stop, Sweep, Tier
from inferometer.emulator.measure.plan import TOGETHER, candidate_cells, shuffled
from inferometer.emulator.measure.runner import Launch
from inferometer.emulator.samples.samples import times_us
from inferometer.parallel.control import Disagreement
from inferometer.parallel.placement import HostReport, Placement

ALL = (
    "all_reduce all_gather reduce_scatter all_to_all all_to_all_v_uniform all_to_all_v_skewed send_recv send_recv_ring "
    "broadcast barrier null"
).split()
QUICK = Stop(min_iterations=6, max_iterations=12, cell_seconds=0.05)


def method(world_size, *tiers, **changes):
    sweep = Sweep(name="test", tier=list(tiers), stop=QUICK)
    return Method(**({"backend": "gloo", "world_size": world_size, "sizes_bytes": [256, 4096], "sweep": sweep} | changes))


def placement(nodes_of):
    return Placement.from_reports([HostReport(f"host{node}", "boot", "net", 0) for node in nodes_of])


def _run(world, control, method, nodes_of, cores=64, deadline=None, stop_asked=lambda: False):
    launch = Launch(method, control, placement(nodes_of), world, cores=cores)
    launch.connect()
    cells = shuffled(candidate_cells(method, launch.meshes), 0, 0, by_tier=True)
    records = []
    when = None if deadline is None else time.monotonic() + deadline
    reason, left = launch.visit(cells, when, stop_asked, records.append)
    return reason, [cell.id for cell in left], records, [cell.id for cell in cells]


def test_every_collective_is_measured_on_every_group_and_checked(ranks):
    tiers = Tier(collectives=ALL, timings=["isolated", "pipelined"], groups=["alone", "all"])
    (reason, left, records, cells), *others = ranks(4, _run, method(4, tiers), [0] * 4)
    assert (reason, left) == ("complete", [])
    assert sorted(record["cell"] for record in records) == sorted(cells)  # one that has enough ends before its neighbours
    assert {(r["collective"], r["ranks"]) for r in records} == {
        (name, size) for name in ALL for size in (2, 4) if not (name == "send_recv" and size == 4)
    }
    for record in records:
        assert record["wrong"] == 0, record["cell"]
        starts, stops = np.array(record["start_ns"]), np.array(record["stop_ns"])
        assert starts.shape == stops.shape == (len(record["participants"]), starts.shape[1])
        assert (stops > starts).all() and starts.min() == 0
        assert starts.shape[1] >= 6
        assert (times_us(record) > 0).all()
        if record["concurrent_groups"] == "all":
            assert record["groups"] == 2 and record["participants"] == [0, 1, 2, 3]
        else:
            assert record["groups"] == 1 and record["participants"] == list(range(record["ranks"]))
    assert all(records == [] for _, _, records, _ in others)


def test_groups_over_several_nodes_are_found_from_the_reports(ranks):
    tiers = Tier(collectives=["all_reduce"])
    (_, _, records, _), *_ = ranks(4, _run, method(4, tiers, sizes_bytes=[256]), [0, 1, 0, 1])
    groups = {(r["ranks"], r["nodes"]): r["groups_ranks"] for r in records}
    assert groups == {(2, 1): [[0, 2]], (2, 2): [[0, 1]], (4, 2): [[0, 2, 1, 3]]}


def test_the_budget_ends_a_launch_and_names_what_it_dropped(ranks):
    tiers = Tier(collectives=ALL)
    answers = ranks(2, _run, method(2, tiers), [0, 0], 64, 0.0)
    reason, left, records, cells = answers[0]
    assert reason == "budget" and 0 < len(records) <= TOGETHER  # no launch is left empty
    assert left == cells[len(records) :]
    assert answers[1][0] == "budget"  # the other rank stops at the same cell


def test_more_ranks_than_cores_is_flagged_and_so_is_a_degenerate_size(ranks):
    tiers = Tier(collectives=["all_reduce"])
    (_, _, records, _), *_ = ranks(2, _run, method(2, tiers, sizes_bytes=[8, 16]), [0, 0], 1)
    flags = {r["bytes"]: set(r["flags"]) & {"oversubscribed", "degenerate_size"} for r in records}
    assert flags == {
        8: {"oversubscribed", "degenerate_size"},
        16: {"oversubscribed"},
    }  # 2 × ranks = 4 elements = 16 bytes


def _with_a_wrong_rank(world, control):
    """Rank 1's arithmetic is off by one, once."""
    if world.rank == 1:
        plain = world.all_reduce

        def faulty(tensor):
            plain(tensor)
            tensor[0] += 1

        world.all_reduce = faulty
    return _run(world, control, method(2, Tier(collectives=["all_reduce"]), sizes_bytes=[256]), [0, 0])


def test_one_wrong_element_on_one_rank_is_counted(ranks):
    (_, _, records, _), _ = ranks(2, _with_a_wrong_rank)
    # one element, seen by the check before the timing and by the one after it
    assert [record["wrong"] for record in records] == [2]


def _ranks_with_other_sizes(world, control):
    sizes = [256] if world.rank != 1 else [512]
    try:
        _run(world, control, method(world.size, Tier(collectives=["all_reduce"]), sizes_bytes=sizes), [0] * world.size)
    except Disagreement as error:
        return str(error)
    return None


def test_ranks_with_different_sizes_are_stopped_before_gloo_aborts(ranks):
    for text in ranks(3, _ranks_with_other_sizes):
        assert text is not None and "rank 1 disagrees" in text


def _slow_last_rank(world, control):
    """Rank 1 comes late to every isolated call; the time must not contain its lateness."""
    late_s = 0.01
    plain = world.barrier

    def barrier():
        plain()
        if world.rank == 1:
            time.sleep(late_s)

    world.barrier = barrier
    tiers = Tier(collectives=["all_reduce"])
    _, _, records, _ = _run(world, control, method(2, tiers, sizes_bytes=[256]), [0, 0])
    if world.rank != 0:
        return None
    record = records[0]
    in_step_us = np.ptp(np.array(record["start_ns"]), axis=0) / 1e3
    return float(np.median(times_us(record))), float(np.median(in_step_us))


def test_isolated_time_is_net_of_arrival_skew(ranks):
    (time_us, in_step_us), _ = ranks(2, _slow_last_rank)
    assert in_step_us > 9_000
    assert time_us < in_step_us / 2


def test_a_collective_in_a_step_follows_computing_on_every_rank(ranks):
    tiers = Tier(collectives=["all_reduce", "send_recv"], timings=["in_step"], groups=["alone", "all"])
    (reason, _, records, cells), *_ = ranks(4, _run, method(4, tiers, sizes_bytes=[4096]), [0] * 4)
    assert reason == "complete" and [record["cell"] for record in records] == cells
    computed = {}
    for record in records:
        assert record["wrong"] == 0 and (times_us(record) > 0).all()
        half = record["collective"] == "send_recv"
        assert record["time_definition"] == ("half_round_trip" if half else "mean_of_own_durations")
        starts, stops = np.array(record["start_ns"]), np.array(record["stop_ns"])
        assert starts.shape[1] >= 6 and (starts[:, 1:] > stops[:, :-1]).all()
        where = (record["collective"], record["ranks"], record["concurrent_groups"])
        computed.setdefault(where, {})[record["requested_compute_gap_us"]] = record["compute_gap_us"]
        # all but the gaps across batches, where the control plane came between
        gaps = np.median((starts[:, 1:] - stops[:, :-1]).mean(axis=0)) / 1e3
        assert gaps == pytest.approx(record["compute_gap_us"], rel=0.5)
    assert len(computed) == 5 and all(found[300.0] < found[5000.0] for found in computed.values())


@pytest.mark.parametrize("timing", ["isolated", "pipelined", "in_step"])
def test_the_stop_rule_is_one_decision_for_all_ranks(ranks, timing):
    """Had ranks decided by themselves they would pair different calls, and the job would die."""
    tiers = Tier(collectives=["all_reduce", "all_to_all"], timings=[timing])
    settings = method(3, tiers, sizes_bytes=[64, 256, 1024, 4096])
    (reason, _, records, _), *_ = ranks(3, _run, settings, [0] * 3)
    assert reason == "complete" and all(len({len(row) for row in r["start_ns"]}) == 1 for r in records)
    assert {r["stop_reason"] for r in records} <= {"relative_interval", "max_iterations", "cell_seconds"}


def test_describe_names_collective_size_and_ranks():
    cells = candidate_cells(method(2, Tier(collectives=["all_reduce"])), [])
    assert cells == []
    launch_cell = runner_module.describe(runner_module.Cell("all_reduce", "float32", 65536, "isolated", "alone", 0, 4, 1, 0))
    assert launch_cell == "all_reduce of 65536 bytes (float32, 4 ranks, isolated, alone)"
