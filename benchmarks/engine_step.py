"""What the engine costs beside plain torch: a decode step against a plain module, against torch's own tensor parallelism.

    python benchmarks/engine_step.py             (what `make bench` runs)

One rank: the engine, every operation held against the program, against rivals.plain_decoder.Decoder in the same process.
Two ranks over gloo: against the same module cut by torch.distributed.tensor's parallelize_module. Same weights, context
and batch, float32, one thread a rank, both choose the next token greedily. Steps of the two alternate; a launch's ratio is
the median over pairs of neighbouring steps (means over ranks), the number printed the median over launches with its 95 %
interval.

Exit status 1 for a ratio beyond its bound, other tokens than the module's, logits further off than 1e-4 of the largest.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, NamedTuple

SCALE, LAYERS, CONTEXT = 1 / 16, 4, 512
PROMPT = 128
"""Tokens of the prompt whose answer is compared; up to the context of the timed steps the caches hold zeros."""
LAUNCHES = 6  # the fewest that give the median an interval
PAIRS = 30
CHECKED = 16
"""Decode steps whose tokens and logits are compared, after the prompt's."""
LOGITS = 1e-4
MODELS = ("llama-3-70b", "mixtral-8x7b", "deepseek-v3")
CASES = [(1, model, batch, 1.10) for model in MODELS for batch in (1, 8)] + [(2, MODELS[0], batch, 1.0) for batch in (1, 8)]
"""Ranks, model, batch, bound of engine / rival."""


class Timed(NamedTuple):
    """Medians over pairs of steps; what was compared before."""

    ratio: float
    engine_us: float
    rival_us: float
    same_tokens: bool
    error: float
    """Largest difference of a logit, of the largest logit."""


def measured(world: Any, model: str, batch: int) -> Timed:
    """One launch of a case, on every rank of world."""
    import numpy as np
    import torch

    from inferometer.emulator.engine.engine import Engine
    from inferometer.emulator.workload.catalogue import load_shape
    from inferometer.emulator.workload.layout import Layout
    from inferometer.emulator.workload.scaled import scaled

    shape = scaled(load_shape(model), SCALE, LAYERS).shape
    room = CONTEXT + 1
    engine = Engine(shape, Layout(tp=world.size), world, batch=batch, cache_tokens=room)
    rival = decoder(shape, room, world.size)
    prompts = torch.randint(shape.vocab, (batch, PROMPT), generator=torch.Generator().manual_seed(0))
    # Tensor-parallel modules take nearly twice as long in inference mode: torch decomposes their products in every step.
    with torch.inference_mode() if world.size == 1 else torch.no_grad():
        output, logits = engine.prefill(prompts), rival(prompts, 0)
        same, error = True, 0.0
        for step in range(CHECKED + 1):
            assert output is not None
            tokens = logits.argmax(-1)
            same &= bool((output.tokens == tokens).all())
            error = max(error, float((output.logits - logits).abs().max() / logits.abs().max()))
            if step < CHECKED:
                output, logits = engine.decode(), rival(tokens[:, None], PROMPT + step)

        def engine_step() -> None:
            engine.context = CONTEXT
            engine.decode()

        def rival_step() -> None:
            nonlocal tokens
            tokens = rival(tokens[:, None], CONTEXT).argmax(-1)

        spans = torch.tensor(alternated([engine_step, rival_step], world.barrier), dtype=torch.float64)
        world.all_reduce(spans)
    engine_us, rival_us = (spans / world.size / 1e3).numpy().T
    medians = (float(np.median(times)) for times in (engine_us / rival_us, engine_us, rival_us))
    return Timed(*medians, same, error)


def alternated(steps: Sequence[Callable[[], None]], barrier: Callable[[], None]) -> list[list[int]]:
    """PAIRS rows, each the ns of one of either, whose order changes from row to row."""
    from inferometer.emulator.measure.timing import collector_off

    spans = []
    with collector_off():
        for number in range(PAIRS):
            row = [0] * len(steps)
            for which in range(len(steps)) if number % 2 else reversed(range(len(steps))):
                barrier()
                begin = perf_counter_ns()
                steps[which]()
                row[which] = perf_counter_ns() - begin
            spans.append(row)
    return spans


def decoder(shape: Any, room: int, ranks: int) -> Any:
    """The plain module; on several ranks cut over them by torch's own plan."""
    from rivals.plain_decoder import Decoder

    from inferometer.parallel.weights import Weights

    module = Decoder(shape, Weights(0), room, fused=ranks == 1)
    if ranks == 1:
        return module
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    plan = {
        "embedding": RowwiseParallel(input_layouts=Replicate()),
        "layers.*.attention.qkv.parts.0": ColwiseParallel(),
        "layers.*.attention.out": RowwiseParallel(),
        "layers.*.feed_forward.up.parts.*": ColwiseParallel(),
        "layers.*.feed_forward.down": RowwiseParallel(),
        "head": ColwiseParallel(output_layouts=Replicate()),
    }
    if shape.attention.kv_heads % ranks == 0:  # fewer key-value heads than ranks stay whole on each, as in the engine
        plan |= {f"layers.*.attention.qkv.parts.{part}": ColwiseParallel() for part in (1, 2)}
    return parallelize_module(module, init_device_mesh("cpu", (ranks,)), plan)


def rank_main(rank: int, ranks: int, store: str, scheduler_class: str, answer: Connection) -> None:
    """The cases of so many ranks, once each."""
    from inferometer.emulator.measure import scheduler

    scheduler.set_class(scheduler_class)
    import torch
    import torch.distributed as dist

    from inferometer.parallel.torch_communicator import TorchCommunicator

    torch.set_num_threads(1)
    world = TorchCommunicator.world("gloo", dist.FileStore(store, ranks), rank, ranks, torch.device("cpu"), 60)
    for case in CASES:
        if case[0] == ranks:
            answer.send((case, measured(world, case[1], case[2])))
    answer.close()
    world.close()


def launch(ranks: int, scheduler_class: str) -> dict[Any, Timed]:
    """Fork the ranks; what the first of them found, by case."""
    import tempfile

    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        started, reading = [], []
        for rank in range(ranks):
            here, there = fork.Pipe(duplex=False)
            arguments = (rank, ranks, str(Path(folder, "store")), scheduler_class, there)
            started.append(fork.Process(target=rank_main, args=arguments))
            started[-1].start()
            there.close()
            reading.append(here)
        results = dict(reading[0].recv() for case in CASES if case[0] == ranks)
        for process in started:
            process.join()
    return results


def row(case: tuple[int, str, int, float], each: Sequence[Timed]) -> tuple[str, bool]:
    """The table's line for a case from every launch of it; whether all holds that it must."""
    import numpy as np

    from inferometer.emulator.samples.statistics import median_interval

    ranks, model, batch, bound = case
    ratios = np.array([one.ratio for one in each])
    interval = median_interval(ratios)
    shown = "–".join(f"{end:.3f}" for end in interval) if interval else "unknown"
    same, error = all(one.same_tokens for one in each), max(one.error for one in each)
    holds = bool(np.median(ratios) <= bound) and same and error <= LOGITS
    medians = [median(one.engine_us for one in each), median(one.rival_us for one in each)]
    line = (
        f"{'plain' if ranks == 1 else 'DTensor':<7} {ranks:>5} {model:<13} {batch:>5} {medians[0]:>8.0f} {medians[1]:>8.0f}"
    )
    line += f" {np.median(ratios):>6.3f} {shown:>12}  {bound:.2f} {'holds' if holds else 'BROKEN'}; logits to {error:.0e}"
    return line + ("" if same else ", other tokens"), holds


def main() -> int:
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["TORCH_CPP_LOG_LEVEL"] = "ERROR"
    import torch.distributed.tensor.parallel  # noqa: F401 (before forking: seconds a launch)

    from inferometer.emulator.measure import scheduler

    scheduler_class = "rr" if scheduler.permitted("rr") else "other"
    launches = {ranks: [launch(ranks, scheduler_class) for _ in range(LAUNCHES)] for ranks in (1, 2)}
    print(f"decode steps at context {CONTEXT}, scale {SCALE:g}, {LAYERS} layers, float32, scheduler {scheduler_class}")
    print(f"{LAUNCHES} launches; medians, times in µs")
    print(
        f"{'rival':<7} {'ranks':>5} {'model':<13} {'batch':>5} {'engine':>8} {'rival':>8} {'ratio':>6} {'95 %':>12}  bound"
    )
    rows = [row(case, [one[case] for one in launches[case[0]]]) for case in CASES]
    print(*(line for line, _ in rows), sep="\n")
    return int(not all(holds for _, holds in rows))


if __name__ == "__main__":
    sys.exit(main())
