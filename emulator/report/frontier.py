"""Frontiers of speed and cost as a table, as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.report.columns import aligned

if TYPE_CHECKING:
    import pandas as pd

LAYOUT_COLUMNS = ("tp", "ep", "pp", "attention", "two_d", "tp_attention", "tp_ff")
ROWS_SHOWN = 12


def frontier_lines(table: pd.DataFrame) -> list[str]:
    """For each curve a few points from the fastest to the cheapest, the named ones among them."""
    lines: list[str] = []
    for label, rows in table.groupby("curve", sort=False):
        rows = rows.reset_index(drop=True)
        lines += [f"{label}: {len(rows)} points, {rows['network'].iloc[0]}", *_rows(rows, _spread(rows)), ""]
    return lines[:-1]


def target_lines(table: pd.DataFrame) -> list[str]:
    """The layouts within a service target, cheapest first."""
    shown = min(len(table), 2 * ROWS_SHOWN)
    more = [] if shown == len(table) else [f"… {len(table) - shown} more: --csv or --json writes all"]
    return [*_rows(table.reset_index(drop=True), list(range(shown))), *more]


def _spread(rows: pd.DataFrame) -> list[int]:
    named = {int(i) for i in rows.index[rows["point"] != ""]}
    step = max(1, (len(rows) - 1) // max(1, ROWS_SHOWN - len(named)))
    return sorted(named | set(range(0, len(rows), step)))


def _rows(rows: pd.DataFrame, chosen: list[int]) -> list[str]:
    with_ttft = "ttft_s" in rows and rows["ttft_s"].notna().any()
    head = ["tokens/s", "ms/token", *(["TTFT s"] if with_ttft else []), "$/Mtok", "GPUs", "batch", "layout", ""]
    cells = [head]
    for i in chosen:
        row = rows.loc[i]
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


def draw_frontiers(table: pd.DataFrame, path: str | Path) -> None:
    """Cost over speed, both logarithmic, one line per curve; a dot marks the preferred point.

    Without a price the cost is in GPU-seconds per token.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    priced = bool(table["usd_per_mtok"].notna().all())
    column = "usd_per_mtok" if priced else "gpu_s_per_token"
    for index, (label, rows) in enumerate(table.groupby("curve", sort=False)):
        colour = f"C{index % 10}"
        axes.plot(rows["tokens_per_s"], rows[column], color=colour, ls=("-", "--", ":")[index // 10 % 3], label=label)
        dot = rows[rows["point"].str.contains("preferred")]
        axes.plot(dot["tokens_per_s"], dot[column], "o", color=colour, ms=6)
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
