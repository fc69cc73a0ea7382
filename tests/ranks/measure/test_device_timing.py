"""Collectives of a device with a queue, by launch mode, on ranks of gloo whose device is the stand-in for a GPU."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from inferometer.emulator.measure.method import InStep, Method, Stop, Sweep, Tier  # noqa: E402
from inferometer.emulator.measure.plan import candidate_cells  # noqa: E402
from inferometer.emulator.measure.runner import GRAPH_OPERATIONS, Launch  # noqa: E402
from inferometer.emulator.measure.timing import GraphTimer, QueueTimer  # noqa: E402
from inferometer.emulator.samples.samples import times_us  # noqa: E402
from inferometer.parallel.placement import HostReport, Placement  # noqa: E402
from tests.studies.stand_in_gpu import StandInGpu  # noqa: E402


def order(device):
    """What was done but for what the timer itself asks: events, delays, waits, replays and runs."""
    return [what for what in device.surface.done if what != "wait"]


def test_a_queue_never_runs_dry_between_two_readings():
    device = StandInGpu()
    done = device.surface.done
    starts, stops = QueueTimer(device, "stream").pipelined(lambda: done.append("barrier"), lambda: done.append("run"), 2, 3)
    each = ["delay", "barrier", "event", "run", "run", "run", "event"]
    assert order(device) == each * 2
    assert "synchronize" not in done and len(starts) == 2
    assert all(start <= stop for start, stop in zip(starts, stops))


def test_eager_begins_on_an_idle_device():
    device = StandInGpu()
    done = device.surface.done
    QueueTimer(device, "eager").isolated(lambda: done.append("barrier"), lambda: done.append("run"), 2)
    assert order(device) == ["barrier", "synchronize", "event", "run", "event"] * 2


def test_a_graph_is_captured_once_and_replayed():
    """Five operations in a graph, three iterations: the operation is called five times and carried out fifteen times."""
    device, x = StandInGpu(), torch.zeros(1)
    called = []

    def run():
        called.append(1)
        x.add_(1)

    timer = GraphTimer(device, 5)
    starts, stops = timer.isolated(lambda: None, run, 2)
    timer.isolated(lambda: None, run, 1)
    assert len(called) == 5 and len(device.surface.captures) == 1
    assert device.surface.captures[0]["capture_error_mode"] == "thread_local"  # NCCL's watchdog asks events meanwhile
    assert device.surface.done.count("replay") == 3
    assert float(x) == 3 * 5
    assert len(starts) == len(stops) == 2


def test_readings_of_a_step_stand_in_the_graph_and_the_first_is_not_read():
    device, x = StandInGpu(), torch.zeros(1)
    timer = GraphTimer(device, 4)
    starts, stops = timer.in_step(lambda: x.mul_(1), lambda: x.add_(1), 6)
    assert len(starts) == len(stops) == 6 and device.surface.done.count("replay") == 2
    assert all(a <= b for a, b in zip(starts, stops))
    assert all(stop <= start for stop, start in zip(stops[:3], starts[1:4]))


def test_marks_read_as_the_host_does_and_their_differences_add_up():
    device = StandInGpu()
    marks = [device.clock.mark() for _ in range(50)]
    readings = device.clock.ns(marks)
    assert np.diff(readings).min() >= 0
    expected = np.array([mark.at for mark in marks])
    np.testing.assert_allclose(np.diff(readings), np.diff(expected), atol=2)


def _measured(world, control, gpus, timings):
    tier = Tier(collectives=["all_reduce", "all_to_all", "null"], timings=timings)
    stop = Stop(min_iterations=6, max_iterations=12, cell_seconds=0.05)
    sweep = Sweep(name="test", tier=[tier], stop=stop, in_step=InStep(compute_gap_us=[50.0]))
    modes = ["graph", "stream", "eager"]
    method = Method(backend="gloo", world_size=world.size, sizes_bytes=[256], sweep=sweep, launch_modes=modes)
    hosts = [HostReport("host", "boot", "net", 0, gpu=gpu) for gpu in gpus]
    launch = Launch(method, control, Placement.from_reports(hosts), world, cores=64)
    launch.device = StandInGpu()
    launch.connect()
    records = []
    launch.visit(candidate_cells(method, launch.meshes), None, lambda: False, records.append)
    return records


@pytest.mark.verify
def test_each_launch_mode_is_a_key_of_its_own(ranks):
    records, _ = ranks(2, _measured, ["GPU-a", "GPU-b"], ["isolated", "pipelined", "in_step"])
    found = {(r["collective"], r["timing"], r["launch_mode"]) for r in records}
    assert {mode for name, timing, mode in found if (name, timing) == ("all_reduce", "isolated")} == {
        "graph", "stream", "eager",
    }  # fmt: skip
    assert {mode for name, timing, mode in found if (name, timing) == ("all_reduce", "pipelined")} == {"stream"}
    assert {mode for name, timing, mode in found if (name, timing) == ("all_reduce", "in_step")} == {"graph", "stream"}
    assert {mode for name, timing, mode in found if (name, timing) == ("null", "isolated")} == {"stream", "eager"}
    assert len({r["cell"] for r in records}) == len(records)
    for record in records:
        assert record["wrong"] == 0 and record["clock"] == "cuda_event" and set(record["flags"]) <= {"drift"}, record["cell"]
        assert (times_us(record) > 0).all()
        if record["launch_mode"] == "graph" and record["timing"] == "isolated":
            assert record["operations"] == GRAPH_OPERATIONS
        if record["timing"] != "in_step":
            assert record["time_definition"] == "longest_duration"  # events of two GPUs have no common origin


@pytest.mark.slow
def test_ranks_of_one_gpu_leave_flags_that_no_calibration_gets_past(ranks):
    records, _ = ranks(2, _measured, ["GPU-a", "GPU-a"], ["isolated"])
    assert all({"oversubscribed", "shared_gpu"} <= set(r["flags"]) for r in records)
