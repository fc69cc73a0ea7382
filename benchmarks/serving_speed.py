"""How fast a search for a deployment is: configurations per second, and against aiconfigurator's command line.

python benchmarks/serving_speed.py [--aiconfigurator /path/to/bin/aiconfigurator]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.choosing.search import choices
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.economics.serving.engines.serve import Engine
from inferometer.emulator.economics.serving.points.stored import stored_as

WORK = Workload(Lengths(922, 1126), Lengths(461, 563), ClosedLoop(1, 10), 2e-3)


def search() -> int:
    """Qwen3 32B on at most 8 H100, vLLM, two formats of weights, with pools: how many deployments were priced."""
    engines = []
    for weights in ("bf16", "fp8"):
        shape, precision = stored_as("qwen3-32b", weights, None)
        engines.append((weights, Engine(load_profile("vllm"), shape, load_accelerator("h100-sxm"), precision)))
    return len(choices(engines, WORK, Target(None, 10.0), gpus_max=8, pools=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aiconfigurator", metavar="PROGRAM")
    program = parser.parse_args().aiconfigurator
    search()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        count = search()
        times.append(time.perf_counter() - start)
    best = min(times)
    print(f"search: {count} deployments in {best * 1e3:.0f} ms: {count / best:.0f} per second")
    if program is None:
        print("aiconfigurator: not asked for")
        return
    command = [program, *"cli default --model Qwen/Qwen3-32B --total-gpus 8 --system h100_sxm --backend vllm".split()]
    command += "--isl 1024 --osl 512 --ttft 1000 --tpot 20".split()
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        print(f"aiconfigurator: ended with {done.returncode}: {(done.stderr or done.stdout).strip().splitlines()[-1][:160]}")
        return
    print(f"aiconfigurator cli: {seconds:.1f} s, {seconds / best:.0f} times as long")


if __name__ == "__main__":
    main()
