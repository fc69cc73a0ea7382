"""Frontiers of speed and cost as a table, as a figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
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
    head = ["tokens/s", "ms/token", *(["TTFT s"] if with_ttft else []), "$/Mtok", "tok/s/GPU", "GPUs", "batch", "layout", ""]
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
                f"{row['tokens_per_s_per_gpu']:.4g}",
                f"{row['gpus']:.4g}",
                f"{row['batch']:.4g}",
                str(row["layout"]),
                str(row.get("point", "")),
            ]
        )
    return [f"  {line}" for line in aligned(cells, right=range(len(head) - 2))]


def draw_frontiers(rows: Sequence[Row], path: str | Path) -> None:
    """Two panels over tokens/s of one user, both logarithmic, one line per curve; a dot marks the preferred point.

    Left the cost, of curves whose accelerator has a price: those without one are named below it, and where none has one
    there is no such panel. Right tokens/s of one GPU, of all curves.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = _curves(rows)
    priced = [label for label, points in curves.items() if _priced(points)]
    unpriced = [label for label in curves if label not in priced]
    figure = Figure(figsize=(5.4 * (2 if priced else 1), 4.4 + 0.2 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, 2 if priced else 1, squeeze=False, sharex=True)[0]
    for at, (label, points) in enumerate(curves.items()):
        style = _style(at, len(curves))
        if label in priced:
            _draw_curve(panels[0], points, [row["usd_per_mtok"] for row in points], label, style)
        _draw_curve(panels[-1], points, [row["tokens_per_s_per_gpu"] for row in points], label, style)
    if priced:
        _label(panels[0], "USD per million tokens")
    _label(panels[-1], "tokens per second of one GPU")
    if unpriced:
        where = panels[0] if priced else panels[-1]
        words = f"no price is known: {', '.join(dict.fromkeys(curves[label][0]['accelerator'] for label in unpriced))}"
        where.set_title("\n".join(wrap(f"{words} (--usd-per-hour gives one)", 60)), fontsize=8)
    figure.suptitle("\n".join(_title(rows)), fontsize=10)
    handles, labels = panels[-1].get_legend_handles_labels()
    longest = max(map(len, labels))
    columns = max(1, min(len(labels), int(figure.get_figwidth() / (0.8 + 0.065 * longest))))
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=columns,
        title="● preferred",
        title_fontsize=8,
        fontsize=8,
        frameon=False,
    )
    figure.savefig(path, dpi=130)


def _priced(points: Sequence[Row]) -> bool:
    return all(row["usd_per_mtok"] is not None and row["usd_per_mtok"] == row["usd_per_mtok"] for row in points)


def _style(at: int, count: int) -> dict[str, Any]:
    """Of the curve at this place: lighter the later, with a line of its own among its neighbours, so that grey will do."""
    from matplotlib import colormaps

    shade = 0.85 * at / max(count - 1, 1)
    return {"color": colormaps["plasma"](shade), "linestyle": ("-", "--", ":", "-.")[at % 4]}


def _draw_curve(panel: Any, points: Sequence[Row], values: Sequence[float], label: str, style: dict[str, Any]) -> None:
    speed = [row["tokens_per_s"] for row in points]
    panel.plot(speed, values, label=label, **style)
    dots = [at for at, row in enumerate(points) if "preferred" in row["point"]]
    panel.plot([speed[at] for at in dots], [values[at] for at in dots], "o", color=style["color"], ms=6)


def _label(panel: Any, what: str) -> None:
    from matplotlib.ticker import LogLocator

    for scale, axis in ((panel.set_xscale, panel.xaxis), (panel.set_yscale, panel.yaxis)):
        scale("log")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    panel.set_xlabel("tokens per second for one user")
    panel.set_ylabel(what)
    panel.grid(True, which="both", alpha=0.25)


def _title(rows: Sequence[Row]) -> list[str]:
    """Which models on which accelerators, on how many of them, by whose network; today's date."""
    models, accelerators, networks = (
        ", ".join(dict.fromkeys(str(row[name]) for row in rows)) for name in ("model", "accelerator", "network")
    )
    fewest, most = min(row["gpus"] for row in rows), max(row["gpus"] for row in rows)
    gpus = f"{fewest:.4g} GPUs" if fewest == most else f"{fewest:.4g} to {most:.4g} GPUs"
    today = datetime.now(UTC).date().isoformat()
    return [*wrap(f"{models} on {accelerators}, {gpus}", 100), *wrap(f"network: {networks}; {today}", 100)]
