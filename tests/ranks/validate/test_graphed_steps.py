"""Decode steps captured in a graph, on the stand-in for a GPU: the same tokens and logits as steps that are called."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from inferometer.emulator.engine.engine import Engine  # noqa: E402
from inferometer.emulator.engine.steps import Called, Replayed  # noqa: E402
from inferometer.emulator.measure.method import Stop  # noqa: E402
from inferometer.emulator.validate.run import Run  # noqa: E402
from inferometer.emulator.validate.settings import Emulation  # noqa: E402
from inferometer.emulator.workload.layout import Layout  # noqa: E402
from inferometer.parallel.placement import HostReport, Placement  # noqa: E402
from tests.studies.graphed import CONTEXT, HOW, SHAPES, STEPS, steps_of  # noqa: E402
from tests.studies.sharded_runs import DENSE, MIXED  # noqa: E402
from tests.studies.stand_in_gpu import StandInGpu  # noqa: E402


def _steps(world, control, shape, layout, batch=8):
    """Logits of one more step at a context: called with the routing of the step before, and replayed from a graph."""
    engine = Engine(shape, layout, world, batch=batch, cache_tokens=CONTEXT + 1, seed=1, device=StandInGpu())
    prompts = torch.randint(shape.vocab, (batch, CONTEXT), generator=torch.Generator().manual_seed(0))
    engine.prefill(prompts)
    for _ in range(2):
        engine.context = CONTEXT
        engine.decode()
    engine.context = CONTEXT
    steps = Replayed(engine, instrumented=False)
    timed = Replayed(engine, instrumented=True)
    for made in (steps, steps, timed):
        engine.context = CONTEXT
        made.step()
    plain, marked = steps.read(), timed.read()
    logits = [best.clone() for best, _ in engine._unread]
    assert engine.bad_logits == ""
    lines = engine.lines(CONTEXT)
    parts = len(engine.parts)
    called = Called(engine, engine.decode, instrumented=True)
    engine.context = CONTEXT
    called.step()
    read = called.read()
    engine.finish()
    return {
        "plain": [len(one.stamps) for one in plain], "marked": [len(one.stamps) for one in marked],
        "called": [len(one.stamps) for one in read], "lines": 2 * parts * len(lines),
        "captures": len(engine.device.surface.captures), "spans": [one.end - one.begin for one in [*plain, *marked]],
        "logits": [one.tolist() for one in logits], "executed": [one.executed for one in [*plain, *marked, *read]],
    }  # fmt: skip


LAYOUTS = [(DENSE, Layout()), (DENSE, Layout(tp=2)), (MIXED, Layout(ep=2))]


@pytest.mark.parametrize(("shape", "layout"), LAYOUTS, ids=lambda value: getattr(value, "name", None) or value.describe())
def test_a_step_is_captured_plain_and_instrumented(ranks, shape, layout):
    for found in ranks(layout.gpus, _steps, shape, layout):
        assert found["captures"] == 2
        assert found["plain"] == [0, 0]
        assert found["marked"] == found["called"] == [found["lines"]]
        assert all(span > 0 for span in found["spans"])
        assert all(len(executed) == len(found["executed"][0]) for executed in found["executed"])


def _all_equal(world, control, shapes, layout):
    """By shape, of steps that are called, replayed, replayed with marks: what they make, the graphs still held after."""
    found = {}
    for name in shapes:
        found[name] = []
        for how in HOW:
            device = StandInGpu()
            made = steps_of(world, SHAPES[name], layout, device, how)
            found[name].append((made, len(device.surface.graphs)))
    return found


@pytest.mark.parametrize(
    ("shapes", "layout"),
    [([*SHAPES], Layout()), (["dense", "state", "index"], Layout(tp=2)), (["experts", "delta"], Layout(ep=2))],
    ids=lambda value: value.describe() if isinstance(value, Layout) else None,
)
def test_replays_make_the_tokens_and_logits_that_called_steps_make(ranks, shapes, layout):
    for of_rank in ranks(layout.gpus, _all_equal, shapes, layout):
        for name, ((called, _), (replayed, held), (instrumented, _)) in of_rank.items():
            assert replayed == called and instrumented == called, name
            assert held == 0, "NCCL's groups cannot be closed while a graph holds their collectives"
            assert len({str(step) for step in called}) == STEPS, "steps that are all alike would be equal for nothing"


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda x: x.tolist(), lambda x: bool(x.all()), lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: x.cpu(),
        lambda x: torch.tensor([1.0]) + x, lambda x: x.repeat_interleave(x.long()), lambda x: torch.bincount(x.long()),
    ],
)  # fmt: skip
def test_what_would_end_a_capture_is_refused(forbidden):
    x = torch.ones(3)
    with pytest.raises(AssertionError, match="inside a capture"):
        StandInGpu().capture(lambda: forbidden(x))


def test_a_capture_carries_nothing_out():
    x = torch.ones(3)
    graph = StandInGpu().capture(lambda: x.add_(1).mul_(2))
    assert x.tolist() == [1.0, 1.0, 1.0]
    graph.replay()
    assert x.tolist() == [4.0, 4.0, 4.0]


def _emulated(world, control, only, tp):
    method = Emulation(
        model="llama-3-8b", scale=1 / 32, layers=1, tp=tp, batch=2, context=8, world_size=tp, launch_mode="graph",
        stop=Stop(relative_interval=0.03, min_iterations=6, max_iterations=6, cell_seconds=0.1), only=only,
    )  # fmt: skip
    hosts = [HostReport("host", "boot", "net", 0)] * tp
    run = Run(method, control, Placement.from_reports(hosts), world)
    run.device = StandInGpu()
    about = run.prepare()
    records = []
    reason = run.carry_out(lambda: False, records.append, lambda phase: None)
    return reason, about, records, len(run.device.surface.captures), set(run.device.surface.done)


@pytest.mark.slow
@pytest.mark.parametrize("only", [None, "decode"])
def test_an_emulation_replays_decode_steps_and_calls_prompts(ranks, only):
    (reason, about, records, captures, done), _ = ranks(2, _emulated, only, 2)
    assert reason == "complete"
    phases = ["decode"] if only else ["prefill", "decode"]
    assert {record["phase"] for record in records} == set(phases) == set(about["attention"])
    assert captures == 2 and "replay" in done
    for record in records:
        stamps = record["stamps_ns"]
        assert (stamps is not None) == record["instrumented"]
        if stamps is not None:
            assert len(stamps) == 2 * len(about["lines"][record["phase"]])
            assert stamps == sorted(stamps) and stamps[-1] <= record["end_ns"] - record["begin_ns"]
