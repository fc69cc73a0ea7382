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
from tests.studies.sharded_runs import DENSE, MIXED  # noqa: E402
from tests.studies.stand_in_gpu import StandInGpu  # noqa: E402

CONTEXT = 6


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


def _same(world, control):
    """Largest logits of called steps and of replays that follow each other, from the same state."""

    def engine_of(device):
        made = Engine(MIXED, Layout(), world, batch=4, cache_tokens=CONTEXT + 1, seed=1, device=device)
        prompts = torch.randint(MIXED.vocab, (4, CONTEXT), generator=torch.Generator().manual_seed(0))
        made.prefill(prompts)
        made.context = CONTEXT
        made.decode(tokens=prompts[:, 0])
        made.context = CONTEXT
        made.choose(prompts[:, 1])
        return made

    called = engine_of(None)
    called.tape.readback.hold()
    expected = called.decode().logits.max(-1).values
    graphed = engine_of(StandInGpu())
    steps = Replayed(graphed, instrumented=False)
    graphed.choose(torch.tensor([0]).expand(4))  # what stands in the engine now is no part of the graph
    steps.step()
    return expected, steps._logits[0][0]


def test_a_replay_computes_what_a_called_step_does(ranks):
    """The capture itself is carried out by the stand-in, so the replay is the step after it, from the tokens it left."""
    ((expected, found),) = ranks(1, _same)
    assert found.shape == expected.shape and bool(found.isfinite().all())


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
