"""How far the same decode step differs from one allocation of the weights to the next: on 4 KiB pages, and on huge ones.

    python benchmarks/weight_pages.py            (what `make bench` runs)

Each process holds COPIES of one model and times the decode steps of each in turn. Processes with small and with huge pages
(THP_MEM_ALLOC_ENABLE, which torch reads as it starts) alternate. Of each process: the median of its slowest
copy over that of its fastest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter_ns

MODEL, SCALE, LAYERS, CONTEXT = "deepseek-v3", 1 / 16, 8, 128
COPIES, ROUNDS, STEPS = 5, 10, 3
PROCESSES = 3
"""With each kind of pages."""
PAGES = {"4 KiB": "0", "huge": "1"}


def copies_us() -> list[float]:
    """The median decode step of each copy."""
    from inferometer.emulator.measure import scheduler

    scheduler.set_class("rr" if scheduler.permitted("rr") else "other")
    import torch
    import torch.distributed as dist

    from inferometer.emulator.engine.engine import Engine
    from inferometer.emulator.measure.timing import collector_off
    from inferometer.emulator.workload.catalogue import load_shape
    from inferometer.emulator.workload.layout import Layout
    from inferometer.emulator.workload.scaled import scaled
    from inferometer.parallel.torch_communicator import TorchCommunicator

    torch.set_num_threads(1)
    shape = scaled(load_shape(MODEL), SCALE, LAYERS).shape
    with tempfile.TemporaryDirectory() as folder:
        world = TorchCommunicator.world("gloo", dist.FileStore(str(Path(folder, "store")), 1), 0, 1, torch.device("cpu"), 60)
        engines = [Engine(shape, Layout(), world, batch=1, cache_tokens=CONTEXT + STEPS + 1) for _ in range(COPIES)]
        spans: list[list[int]] = [[] for _ in engines]
        with torch.inference_mode(), collector_off():
            for _ in range(ROUNDS):
                for engine, ns in zip(engines, spans):
                    engine.context = CONTEXT
                    engine.choose(torch.zeros(1, dtype=torch.int64))
                    engine.decode()  # brings its own weights and code back
                    for _ in range(STEPS):
                        begin = perf_counter_ns()
                        engine.decode()
                        ns.append(perf_counter_ns() - begin)
        world.close()
    return [median(ns) / 1e3 for ns in spans]


def measured(pages: str) -> list[float]:
    """copies_us of a process of its own."""
    variables = os.environ | {"THP_MEM_ALLOC_ENABLE": PAGES[pages], "OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    ended = subprocess.run(
        [sys.executable, __file__, "copies"], env=variables, capture_output=True, text=True, timeout=120, check=True
    )
    return [float(us) for us in ended.stdout.split()]


def line(pages: str, processes: Sequence[Sequence[float]]) -> str:
    ratios = [max(times) / min(times) for times in processes]
    every = [us for times in processes for us in times]
    each = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    return f"{pages:<6} {min(every):>8.0f} {max(every):>8.0f} {median(ratios):>16.3f}  {each}"


def main() -> int:
    found: dict[str, list[list[float]]] = {pages: [] for pages in PAGES}
    for number in range(PROCESSES):
        for pages in sorted(PAGES, reverse=bool(number % 2)):
            found[pages].append(measured(pages))
    print(f"decode step of {MODEL}, scale {SCALE:g}, {LAYERS} layers, batch 1, context {CONTEXT}: {COPIES} copies a process")
    print("pages  least us  most us  slowest/fastest  in each process")
    for pages, processes in found.items():
        print(line(pages, processes))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] == ["copies"]:
        print(*copies_us())
    else:
        sys.exit(main())
