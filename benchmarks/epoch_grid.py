"""The epoch-2025 grid and frontier against the plain rival of `naive_grid.py`, in the same process.

    python benchmarks/epoch_grid.py            (what `make bench` runs)

Compared are all latencies of the paper's grid and the points of its frontier. Bounded (exit status 1): latencies equal
to 1e-12, the same frontier points, all latencies 3 times faster, the frontier alone 8 times.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
from rivals import naive_grid

from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model
from inferometer.emulator.economics.paper.epoch.frontier import frontier
from inferometer.emulator.economics.paper.epoch.grid import latency_grid, paper_grid

#: Name, bits of the weights.
MODELS = (("llama-3-70b", 8), ("deepseek-v3", 8))
SIZES = (100, 200, 400, 800)
FULL = 400
REPEATS = 3
GRID_AT_LEAST, FRONTIER_AT_LEAST = 3.0, 8.0
EQUAL = 1e-12


def fastest_of(repeats: int, work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the fastest repeat, with the result."""
    seconds = []
    for _ in range(repeats):
        start = process_time()
        result = work()
        seconds.append(process_time() - start)
    return min(seconds), result


def compare(name: str, bits: int) -> bool:
    """Print one model's comparison; whether it is within the bounds."""
    model, gpu = load_model(name, bits), load_accelerator("h100-sxm")
    axes = paper_grid(model, gpu, FULL)
    naive_s, plain = fastest_of(REPEATS, lambda: naive_grid.latencies(model, gpu, *axes))
    select_s, positions = fastest_of(1, lambda: naive_grid.pareto(plain, *axes))
    grid_s, fast = fastest_of(REPEATS, lambda: latency_grid(model, gpu, *axes))
    frontier_s, found = fastest_of(REPEATS, lambda: frontier(model, gpu, points=FULL))
    finite = np.isfinite(plain)
    worst = np.abs(fast[finite] / plain[finite] - 1).max()
    equal = bool(np.array_equal(finite, np.isfinite(fast)) and worst <= EQUAL)
    rows, columns = np.divmod(positions, FULL)
    points = found.points
    same = points["gpus"].tolist() == axes[0][rows].tolist() and points["batch"].tolist() == axes[1][columns].tolist()
    grid_ratio, frontier_ratio = naive_s / grid_s, (naive_s + select_s) / frontier_s
    print(f"\n{name}, {bits}-bit, {FULL} × {FULL} points, CPU seconds")
    print(f"  132 passes            {naive_s:7.3f}")
    print(f"  all latencies         {grid_s:7.3f}   {grid_ratio:5.1f} times faster (bound {GRID_AT_LEAST:g})")
    print(f"  the same              {'yes' if equal else 'NO':>7}   {fast.size} points within {worst:.1e}")
    print(f"  passes and selection  {naive_s + select_s:7.3f}")
    print(f"  frontier alone        {frontier_s:7.3f}   {frontier_ratio:5.1f} times faster (bound {FRONTIER_AT_LEAST:g})")
    print(f"  the same points       {'yes' if same else 'NO':>7}   {len(points)}")
    return equal and same and grid_ratio >= GRID_AT_LEAST and frontier_ratio >= FRONTIER_AT_LEAST


def growth(name: str, bits: int) -> None:
    """Print how time grows with the grid."""
    model, gpu = load_model(name, bits), load_accelerator("h100-sxm")
    print(f"\n{name}, CPU seconds by points per axis\n  {'points':>8}{'all latencies':>16}{'frontier alone':>16}")
    for size in SIZES:
        axes = paper_grid(model, gpu, size)
        grid_s, _ = fastest_of(2, lambda axes=axes: latency_grid(model, gpu, *axes))
        frontier_s, _ = fastest_of(2, lambda size=size: frontier(model, gpu, points=size))
        print(f"  {size:>8}{grid_s:>16.3f}{frontier_s:>16.3f}")


def main() -> int:
    within = [compare(name, bits) for name, bits in MODELS]
    for name, bits in MODELS:
        growth(name, bits)
    return int(not all(within))


if __name__ == "__main__":
    sys.exit(main())
