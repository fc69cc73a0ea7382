"""Frontiers of speed and cost as a table, as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from inferometer.emulator.economics.serving.candidates import Row
from inferometer.emulator.report.columns import aligned, wrapped

ROWS_SHOWN = 12


def frontier_lines(rows: Sequence[Row]) -> list[str]:
    """For each curve a few points from the fastest to the cheapest, the named ones among them."""
    lines: list[str] = []
    for label, points in _curves(rows).items():
        lines += [f"{label}: {len(points)} points, {points[0]['network']}", *_rows(points, _spread(points))]
        lines += [*_notes(points), ""]
    return lines[:-1]


def target_lines(rows: Sequence[Row]) -> list[str]:
    """The layouts within a service target, cheapest first."""
    shown = min(len(rows), 2 * ROWS_SHOWN)
    more = [] if shown == len(rows) else [f"… {len(rows) - shown} more: --csv or --json writes all"]
    return [*_rows(rows, range(shown)), *more, *_notes(rows)]


def _notes(rows: Sequence[Row]) -> list[str]:
    """What was left out, and why (the same on all rows of a curve)."""
    found = rows[0].get("notes", "") if rows else ""
    return wrapped(f"note: {found}") if found else []


def _curves(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The points of each curve, by its label."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["curve"], []).append(row)
    return found


def _spread(points: Sequence[Row]) -> list[int]:
    named = {at for at, row in enumerate(points) if row["point"]}
    step = max(1, (len(points) - 1) // max(1, ROWS_SHOWN - len(named)))
    return sorted(named | set(range(0, len(points), step)))


def _rows(rows: Sequence[Row], chosen: Iterable[int]) -> list[str]:
    with_ttft = any(row["ttft_s"] == row["ttft_s"] for row in rows)
    head = ["tokens/s", "ms/token", *(["TTFT s"] if with_ttft else []), "$/Mtok", "GPUs", "batch", "layout", ""]
    cells = [head]
    for i in chosen:
        row = rows[i]
        price = row["usd_per_mtok"]
        cells.append(
            [
                f"{row['tokens_per_s']:.4g}",
                f"{row['token_latency_s'] * 1e3:.4g}",
                *([f"{row['ttft_s']:.3g}"] if with_ttft else []),
                "–" if price != price else f"{price:.3g}",
                f"{row['gpus']:.4g}",
                f"{row['batch']:.4g}",
                str(row["layout"]),
                str(row.get("point", "")),
            ]
        )
    return [f"  {line}" for line in aligned(cells, right=range(len(head) - 2))]


def draw_frontiers(rows: Sequence[Row], path: str | Path) -> None:
    """Cost over speed, both logarithmic, one line per curve; a dot marks the preferred point.

    Without a price the cost is in GPU-seconds per token.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    priced = all(row["usd_per_mtok"] == row["usd_per_mtok"] for row in rows)
    column = "usd_per_mtok" if priced else "gpu_s_per_token"
    for index, (label, points) in enumerate(_curves(rows).items()):
        colour = f"C{index % 10}"
        speed, cost = [row["tokens_per_s"] for row in points], [row[column] for row in points]
        axes.plot(speed, cost, color=colour, ls=("-", "--", ":")[index // 10 % 3], label=label)
        dots = [at for at, row in enumerate(points) if "preferred" in row["point"]]
        axes.plot([speed[at] for at in dots], [cost[at] for at in dots], "o", color=colour, ms=6)
    for scale, axis in ((axes.set_xscale, axes.xaxis), (axes.set_yscale, axes.yaxis)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    axes.set_xlabel("tokens per second for one user")
    axes.set_ylabel("USD per million tokens" if priced else "GPU-seconds per token")
    axes.grid(True, which="both", alpha=0.25)
    axes.legend(title="● preferred", fontsize=8)
    figure.savefig(path, dpi=130)
