"""Repetitions of a cell that lie far apart are named: which run, by what factor, at which sizes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from inferometer.emulator.importers.cells import implementation
from inferometer.emulator.importers.run import Run

FAR = 1.5
"""A launch whose times are typically this many times those of the others, or that fraction of them, is another machine's."""


def flag_far(runs: Sequence[tuple[str, Run]]) -> None:
    """Flag each run whose cells typically lie `FAR` from the same cells of the other runs. runs: (file, run)."""
    laws: dict[tuple[object, ...], dict[tuple[int | None, str | None], list[tuple[int, int, float]]]] = {}
    for at, (_, run) in enumerate(runs):
        law = (run.collective, implementation(run), run.launch_mode, run.timing, run.concurrent_groups, run.ranks, run.nodes)
        cells = laws.setdefault(law, {})
        for row in run.kept:
            if row.us:
                key = row.bytes, row.dtype
                (cells.get(key) or cells.setdefault(key, [])).append((at, row.bytes or 0, row.us))
    factors: dict[int, list[tuple[float, int]]] = {}
    for times in (times for cells in laws.values() for times in cells.values()):
        if times[0][0] == times[-1][0]:  # in the order of the runs
            continue
        middle = statistics.median(us for _, _, us in times)
        for at, size, us in times:
            others = middle if len(times) > 2 else next(other for who, _, other in times if who != at)
            factors.setdefault(at, []).append((us / others, size))
    for at, found in factors.items():
        typical = statistics.median(factor for factor, _ in found)
        if not 1 / FAR < typical < FAR:
            worst, size = max(found, key=lambda item: max(item[0], 1 / item[0]))
            run = runs[at][1]
            lines = run.facts.get("lines")
            where = f"lines {lines[0]} to {lines[1]}" if lines else "this run"
            run.flag(
                "launches_apart",
                f"{where}: typically {typical:.2g} times the other launches of the same cells, {worst:.2g} at {size} bytes",
            )
