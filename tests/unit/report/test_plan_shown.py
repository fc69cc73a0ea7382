"""The plan of a calibration, as a record and as text."""

from __future__ import annotations

from inferometer.emulator.calibrate.experiment.allocation import Allocation
from inferometer.emulator.calibrate.experiment.plan import plan_of
from inferometer.emulator.measure.method import Method, load_sweep
from inferometer.emulator.report.columns import WIDTH
from inferometer.emulator.report.plan import plan_lines


def planned(ranks_per_node, cores, budget_s=300.0):
    sizes = [64 * 4**k for k in range(10)]
    method = Method(
        backend="gloo", world_size=sum(ranks_per_node), sizes_bytes=sizes, sweep=load_sweep("default"), budget_s=budget_s
    )
    return plan_of(method, Allocation(ranks_per_node, cores))


def test_a_small_machine_hears_what_it_cannot_determine_and_what_could():
    plan = planned((4,), 2)
    text = " ".join(" ".join(plan_lines(plan)).split())
    assert "4 ranks outnumber the 2 cores" in text
    assert "leaves open a, b, c, B_inter" in text
    assert "torchrun --nnodes 4 --nproc-per-node 2" in text
    assert all(len(line) <= WIDTH for line in plan_lines(plan))


def test_the_budget_limits_the_cells_and_time():
    whole, half = planned((4,), 4, None), planned((4,), 4, 150.0)
    assert whole.fitting == whole.cells and not whole.dropped
    assert half.whole_s == 150.0 and 0 < half.fitting < half.cells and half.dropped
    assert whole.whole_s > 150.0
    assert whole.as_dict()["schema"] == "inferometer/plan/1"


def test_an_allocation_that_determines_all_of_it_is_sent_nowhere():
    plan = planned((2, 2, 2, 2), 2)
    assert plan.better is None and not plan.crowded
    assert not any("leaves open" in line for line in plan_lines(plan))
