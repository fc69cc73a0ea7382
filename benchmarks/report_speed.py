"""Decisions and the page: the band of 1000 draws against the frontier it is of, and a report's time and memory.

    python benchmarks/report_speed.py

Bounds: the band in at most ten times one frontier; the page of a calibration of about 200 cells in 5 s and 400 MB.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from inferometer.emulator.compare.deployments import Question, search
from inferometer.emulator.economics.serving.candidates import pareto
from inferometer.emulator.economics.serving.draws import frontier_band

QUESTION = Question("llama-3.1-70b", "h100-sxm", gpus_max=8)
REPEATS = 7


def seconds(call: Callable[[], object]) -> float:
    """The median of REPEATS calls, after one that is not counted."""
    call()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> int:
    def frontier() -> object:
        return pareto(search(QUESTION, "h100-nccl").columns)

    def band() -> object:
        found = search(QUESTION, "h100-nccl")
        cost = found.columns["gpu_s_per_token"]
        points = np.geomspace(cost.min(), cost.max(), 40)
        return frontier_band(found.open.drawn(), cost / found.columns["token_latency_s"], points)

    one, drawn = seconds(frontier), seconds(band)
    rows = len(search(QUESTION, "h100-nccl").columns["batch"])
    print(f"frontier of {rows} candidates: {1e3 * one:.1f} ms; with the band of 1000 draws: {1e3 * drawn:.1f} ms")
    print(f"band / frontier: {drawn / one:.1f} (bound 10): {'held' if drawn <= 10 * one else 'missed'}")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "inferometer.launch",
            "report",
            "h100-nccl",
            "--model",
            "llama-3-8b",
        ]
        command += ["llama-3.1-70b", "--accelerator", "h100-sxm", "-o", str(Path(folder) / "page.html")]
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        took = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"report: {took:.2f} s (bound 5), {peak:.0f} MiB (bound 400): {'held' if took <= 5 and peak <= 400 else 'missed'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
