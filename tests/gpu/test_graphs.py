"""One rank on one GPU: replays of a captured step make what called steps make, and what the processor makes. Has not yet run
on a GPU.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none here"),
]

from inferometer.emulator.engine.engine import Engine  # noqa: E402
from inferometer.emulator.workload.layout import Layout  # noqa: E402
from inferometer.parallel.device.here import device_of  # noqa: E402
from tests.studies.graphed import BATCH, CONTEXT, HOW, SHAPES, steps_of  # noqa: E402


class Alone:
    """The communicator of one rank, which sends nothing."""

    ranks, rank, size = (0,), 0, 1
    implementation = "none"

    def __init__(self, device, backend):
        self.device, self.backend = device, backend

    def split(self, groups):
        return self

    def close(self): ...

    def synchronize(self): ...


@pytest.fixture
def gpu():
    found = torch.device("cuda", 0)
    torch.cuda.set_device(found)
    return found


@pytest.mark.parametrize("name", SHAPES)
def test_replays_make_what_called_steps_make(gpu, name):
    called, replayed, instrumented = (
        steps_of(Alone(gpu, "nccl"), SHAPES[name], Layout(), device_of(gpu), how) for how in HOW
    )
    for expected, found, timed in zip(called, replayed, instrumented, strict=True):
        assert found[0] == expected[0] and timed[0] == expected[0], "tokens"
        assert found[1] == pytest.approx(expected[1], rel=1e-5) and timed[1] == pytest.approx(expected[1], rel=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_those_of_the_processor(gpu, name):
    shape, logits = SHAPES[name], []
    prompts = torch.randint(shape.vocab, (BATCH, CONTEXT), generator=torch.Generator().manual_seed(0))
    for device, backend in ((torch.device("cpu"), "gloo"), (gpu, "nccl")):
        engine = Engine(shape, Layout(), Alone(device, backend), batch=BATCH, cache_tokens=CONTEXT + 1, seed=1)
        logits.append(engine.prefill(prompts).logits.float().cpu())
    assert torch.allclose(*logits, rtol=1e-3, atol=1e-4)


def test_the_events_of_a_graph_read_its_last_launch(gpu):
    """Twice the cycles, twice the time, read from events inside one graph that is launched again."""
    device = device_of(gpu)
    clock, cycles, marks = device.graph_clock(), 4_000_000, []

    def run():
        marks.append(clock.mark())
        torch.cuda._sleep(cycles)
        marks.append(clock.mark())
        torch.cuda._sleep(2 * cycles)
        marks.append(clock.mark())

    graph = device.capture(run)
    for _ in range(3):
        graph.replay()
        first, second, third = clock.ns(marks)
        assert 1.8 < (third - second) / (second - first) < 2.2
