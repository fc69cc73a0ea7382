"""What `predict` and `frontier` wrote: deployments with their terms, curves of speed and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.emulator.report.page.elements import bullets, section, table, tag
from inferometer.emulator.report.page.plot import Plot, Series
from inferometer.emulator.report.prediction import layout_words

Named = Sequence[tuple[str, Mapping[str, Any]]]
POINTS = ("fastest", "preferred", "cheapest")
"""Of a frontier, the points that a table lists; of the deployments within a target, which have no such name, all."""


def predictions(named: Named) -> str:
    """documents: what `predict --json` wrote, with the names of their files."""
    rows, terms = [], []
    for name, one in named:
        model = _model(one["model"])
        interval = one.get("interval_s")
        load = f"{one['context']:g}" if one.get("prompt") is None else f"prompt {one['prompt']:g}, output {one['output']:g}"
        rows.append(
            (
                name, model, f"{one.get('gpus', 1):g} × {one.get('accelerator')}", layout_words(one["layout"]),
                f"{one.get('batch', 1):g}", load, _ms(one["token_latency_s"]),
                None if interval is None else f"{_ms(interval[0])} to {_ms(interval[1])}",
                _short(one.get("tokens_per_s")), _short(one.get("usd_per_mtok")), _ms(one.get("ttft_s")),
                one.get("binds"), _ms(one.get("paper_constants_s")),
            )
        )  # fmt: skip
        terms += [(name, term.removesuffix("_s").replace("_", " "), _ms(value)) for term, value in one["terms"].items()]
    head = (
        "file", "model", "devices", "layout", "batch", "context", "ms/token", "95 %", "tokens/s", "$/Mtok", "TTFT ms",
        "binds", "paper's constants, ms",
    )  # fmt: skip
    parts = [table(head, rows, right=(4, 6, 7, 8, 9, 10, 12))]
    parts.append(table(("file", "term", "ms"), terms, right=(2,), caption="Terms of a step; not all of them add"))
    notes = dict.fromkeys(f"{name}: {note}" for name, one in named for note in one.get("notes", []))
    return section("Predictions", "predictions", "".join([*parts, bullets(notes) if notes else ""]))


def frontiers(named: Named) -> str:
    """documents: what `frontier --json` wrote, with the names of their files."""
    return section(
        "Frontiers", "frontiers", "".join(_frontier(name, one["rows"], at) for at, (name, one) in enumerate(named))
    )


def _frontier(name: str, rows: Sequence[Mapping[str, Any]], at: int) -> str:
    priced = all(row.get("usd_per_mtok") is not None for row in rows)
    cost, label = ("usd_per_mtok", "$ per million tokens") if priced else ("gpu_s_per_token", "device-seconds per token")
    curves: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        curve = f"{row['curve']} on {row.get('accelerator') or 'the measured machine'}" if row.get("curve") else name
        curves.setdefault(curve, []).append(row)
    series = []
    for place, (curve, here) in enumerate(curves.items()):
        x, y = [row["tokens_per_s"] for row in here], [row[cost] for row in here]
        tips = [
            f"{row['layout']}, batch {row['batch']:g} on {row['gpus']:g}\n"
            f"{row['tokens_per_s']:.4g} tokens/s\n{row[cost]:.4g} {label}"
            for row in here
        ]
        look: dict[str, Any] = {"colour": place, "mark": place}
        series.append(Series(curve, "points", x, y, tips=tips, **look))
        if "point" in here[0]:
            series.append(Series(curve, "line", x, y, colour=place))
    legend = tuple(curves) if len(curves) > 1 else ()
    plot = Plot(f"given-frontier-{at}", f"{name}: speed and cost", "tokens/s for one user", label, series, legend=legend)
    points = [
        (
            curve, row.get("point", "within the target"), row["layout"],
            f"{row['gpus']:g}", f"{row['batch']:g}", _ms(row["token_latency_s"]),
            _short(row["tokens_per_s"]), _short(row[cost]), _ms(row.get("ttft_s")),
        )
        for curve, here in curves.items()
        for row in here
        if "point" not in row or row["point"] in POINTS
    ]  # fmt: skip
    head = ("curve", "point", "layout", "devices", "batch", "ms/token", "tokens/s", label, "TTFT ms")
    return tag("div", plot.html(), class_="wide") + table(head, points, right=range(3, 9))


def _model(model: Any) -> str:
    return str(model["name"] if isinstance(model, Mapping) else model)


def _ms(seconds: float | None) -> str | None:
    return None if seconds is None else f"{1e3 * seconds:.4g}"


def _short(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
