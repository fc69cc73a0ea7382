"""What a layer launches by the program, held against what torch dispatches: the engine's layers and a plain module."""

from __future__ import annotations

from collections import Counter

import pytest

torch = pytest.importorskip("torch")

from torch.overrides import TorchFunctionMode  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from inferometer.emulator.engine.lines import stage_lines  # noqa: E402
from inferometer.emulator.workload.build import build  # noqa: E402
from inferometer.emulator.workload.catalogue import load_shape  # noqa: E402
from inferometer.emulator.workload.kernels.executions import ENGINE, PLAIN, execution_of  # noqa: E402
from inferometer.emulator.workload.layout import Layout  # noqa: E402
from inferometer.emulator.workload.precision import Precision  # noqa: E402
from inferometer.emulator.workload.program import Compute  # noqa: E402
from inferometer.emulator.workload.scaled import scaled  # noqa: E402
from inferometer.emulator.workload.step import Step  # noqa: E402
from inferometer.parallel.axes import Axis  # noqa: E402
from inferometer.parallel.layers.decoder import Stage  # noqa: E402
from inferometer.parallel.layers.site import Site  # noqa: E402
from inferometer.parallel.layers.span import Rotations, Span  # noqa: E402
from inferometer.parallel.tape import Tape  # noqa: E402
from inferometer.parallel.weights import Weights  # noqa: E402
from tests.places import BENCHMARKS  # noqa: E402

SHAPE = scaled(load_shape("llama-3-8b"), 1 / 8, 2).shape
SEQUENCES, LIMIT = 2, 32
CPU = torch.device("cpu")
#: A norm is one kernel on a GPU; a CPU's dispatcher sees it in its parts.
NORM = ["pow", "mean", "add_", "rsqrt", "mul", "mul"]


class Dispatched(TorchDispatchMode):
    """The operations that reach a backend: views launch nothing."""

    def __init__(self):
        super().__init__()
        self.kernels = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.name().split("::")[1].split(".")[0]
        view = any(one.alias_info is not None and not one.alias_info.is_write for one in function._schema.returns)
        if not view and name != "_unsafe_view":
            self.kernels[name] += 1
        return function(*args, **(kwargs or {}))


class Called(TorchFunctionMode):
    """Calls into torch from Python, what is asked of a tensor (its shape) included."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


def one_layer(layer):
    """Kernels and calls of layer(), with each of its two norms as one kernel."""
    with torch.no_grad(), Dispatched() as dispatched:
        layer()
    with torch.no_grad(), Called() as called:
        layer()
    kernels = dispatched.kernels
    norms = kernels["rsqrt"]
    assert norms == 2
    return sum(kernels.values()) - norms * (len(NORM) - 1), called.count


def in_program(execution, new, context):
    program = build(SHAPE, Layout(), Step(SEQUENCES, new, context), precision=Precision(32, 32, 32))
    (layer,) = (segment for segment in program.stages[0].segments if segment.repeat == SHAPE.layers)
    ops = [op for op in layer.ops if isinstance(op, Compute)]
    return sum(map(execution.launches, ops)), sum(map(execution.calls, ops))


@pytest.mark.parametrize(("new", "context"), [(1, 8), (8, 0)])
def test_the_engines_layer_launches_what_the_program_says(new, context):
    tape = Tape({name: Axis(name) for name in ("tensor", "width", "tp", "ep", "pp", "dp")})
    stage = Stage(Site(tape, Weights(0, torch.float32, CPU)), SHAPE, range(SHAPE.layers), divide=False)
    lines = stage_lines(build(SHAPE, Layout(), Step(SEQUENCES, new, context), precision=Precision(32, 32, 32)), 0)
    starts = [at for at, line in enumerate(lines) if line.name == "attention.norm"]
    span = Span(SEQUENCES, new, context, CPU, Rotations(LIMIT, torch.float32, CPU))
    span.mask(None), span.rotate(torch.zeros(SEQUENCES, 1, new, SHAPE.stack[0].attention.head_dim))  # once a step
    caches, x = stage.caches(SEQUENCES, LIMIT)[0], torch.ones(SEQUENCES * new, SHAPE.d_model)

    def layer():
        tape.load(lines[starts[0] : starts[1]])
        stage.layers[0](x, span, caches)

    assert one_layer(layer) == in_program(ENGINE, new, context)


@pytest.mark.parametrize(("new", "context"), [(1, 8), (8, 0)])
def test_a_plain_modules_layer_launches_what_the_program_says(monkeypatch, new, context):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from rivals.plain_decoder import Decoder

    decoder = Decoder(SHAPE, Weights(0, torch.float32, CPU), LIMIT)
    decoder(torch.zeros(SEQUENCES, 8, dtype=torch.long), 0)  # makes the caches
    x, here = torch.ones(SEQUENCES, new, SHAPE.d_model), slice(context, context + new)
    rotation = decoder.cos[here], decoder.sin[here]
    assert one_layer(lambda: decoder.layers[0](x, context, rotation)) == in_program(PLAIN, new, context)


def test_whose_kernels_a_backends_are():
    assert execution_of("torch") is PLAIN
    assert execution_of("nccl") is execution_of("gloo") is ENGINE
