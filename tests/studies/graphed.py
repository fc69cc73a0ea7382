"""Decode steps that follow each other from one state, called one by one or replayed from a graph: what they make."""

from __future__ import annotations

from typing import Any, Literal

import torch

from inferometer.emulator.engine.engine import Engine
from inferometer.emulator.engine.steps import Replayed
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.shape import Shape
from inferometer.parallel.communicator import Communicator
from inferometer.parallel.device.device import Device
from tests.studies.sharded_runs import DELTA, DENSE, INDEXED, MIXED, SINKS, STATE, WINDOW

CONTEXT, STEPS, BATCH = 6, 3, 4
SHAPES = {
    "dense": DENSE, "experts": MIXED, "state": STATE, "delta": DELTA, "index": INDEXED, "window": WINDOW, "sinks": SINKS,
}  # fmt: skip
How = Literal["called", "replayed", "instrumented"]
HOW: tuple[How, ...] = ("called", "replayed", "instrumented")


def steps_of(world: Communicator, shape: Shape, layout: Layout, device: Device, how: How) -> list[tuple[Any, Any]]:
    """Tokens and largest logits of this rank's sequences after each step. Called steps route as captured ones do."""
    engine = Engine(shape, layout, world, batch=BATCH, cache_tokens=CONTEXT + 1, seed=1, device=device)
    prompts = torch.randint(shape.vocab, (BATCH, CONTEXT), generator=torch.Generator().manual_seed(0))
    engine.prefill(prompts)
    engine.decode(tokens=prompts[:, 0])
    engine.context = CONTEXT
    engine.choose(prompts[:, 1])
    engine.take_unread()
    found = []
    if how == "called":
        engine.tape.readback.hold()
        for _ in range(STEPS):
            engine.context = CONTEXT
            engine.decode()
            found.append((engine._tokens[0].tolist(), *_largest(engine)))
    else:
        steps = Replayed(engine, instrumented=how == "instrumented")
        engine.choose(torch.zeros(BATCH, dtype=torch.int64))  # what the engine takes next is no part of the graph
        for _ in range(STEPS):
            steps.step()
            steps.read()
            found.append((steps._used[0].tolist(), *_largest(engine)))
        del steps
    engine.close()
    return found


def _largest(engine: Engine) -> list[Any]:
    return [largest.tolist() for largest, _ in engine.take_unread()]
