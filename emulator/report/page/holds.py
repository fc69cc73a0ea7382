"""Does it hold: a validation's steps, predicted against measured, by layout and term."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inferometer.emulator.report.page.elements import paragraph, section, table, tag, text
from inferometer.emulator.report.page.plot import Plot, Series
from inferometer.emulator.units import format_us

PHASES = ("prefill", "decode")
OPERATIONS_SHOWN = 8
TOGETHER = dict.fromkeys(("network", "waiting"), "network + waiting")
"""A rank that wakes up late transfers slowly: only the sum of the two is comparable."""


def holds(named: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """documents: what `validate -o` writes, with the names of their files."""
    parts = []
    for at, (name, document) in enumerate(named):
        parts += [tag("h3", text(name))] * (len(named) > 1) + [_of(document, f"-{at}" if at else "")]
    return section("Does it hold", "holds", "".join(parts))


def _of(document: Mapping[str, Any], suffix: str) -> str:
    cells = [cell for cell in document["cells"] if cell["predicted_us"].get("calibration")]
    left_out = [one for one in document["cells"] if one not in cells]
    overall = document["overall"]
    median, p90, repeat = (overall[f"{name}_error"] for name in ("median_abs_rel", "p90_abs_rel", "repeat_launch"))
    words = (
        f"Of {overall['rows']} steps the median error is {median:.1%}, the 90th percentile {p90:.1%}; a step in another "
        f"launch differs by {repeat:.1%}."
    )
    parts = [paragraph(words), tag("div", _scatter(cells, suffix) + _by_term(cells, suffix), class_="figures")]
    rows = [
        (
            cell["words"], cell["phase"], format_us(cell["measured_us"]), format_us(cell["predicted_us"]["calibration"]),
            f"{100 * cell['rel_error']:+.1f}", f"{100 * max(cell['repeat_errors'], default=float('nan')):.1f}",
        )
        for cell in cells
    ]  # fmt: skip
    head = ("step", "phase", "measured µs", "predicted µs", "error %", "launches differ, most %")
    parts.append(table(head, rows, right=(2, 3, 4, 5)))
    parts.append(_missed(document.get("missed", [])))
    if left_out:
        parts.append(paragraph(f"{len(left_out)} steps were not predicted.", "soft"))
    return "".join(parts)


def _missed(operations: Sequence[Mapping[str, Any]]) -> str:
    """The operations whose share of a step is predicted worst."""
    rows = [
        (one["operation"], *(f"{100 * one[name]:.1f}" for name in ("measured_share", "predicted_share", "difference")))
        for one in operations[:OPERATIONS_SHOWN]
    ]
    head = ("operation", "measured share %", "predicted share %", "difference")
    return table(head, rows, right=(1, 2, 3), caption="Shares of a step, mean over all, worst first") if rows else ""


def _scatter(cells: Sequence[Mapping[str, Any]], suffix: str) -> str:
    series = []
    for at, phase in enumerate(PHASES):
        here = [cell for cell in cells if cell["phase"] == phase]
        x = [cell["measured_us"] for cell in here]
        tips = [f"{cell['words']}\n{phase}: {100 * cell['rel_error']:+.1f} %" for cell in here]
        y = [cell["predicted_us"]["calibration"] for cell in here]
        series.append(Series(phase, "points", x, y, tips=tips, colour=at, mark=at, label=phase))
    every = [cell["measured_us"] for cell in cells]
    if every:
        series.append(Series("equal", "line", [min(every), max(every)], [min(every), max(every)], dash=1))
    return Plot(f"validation{suffix}", "Predicted against measured", "measured µs", "predicted µs", series).html()


def _by_term(cells: Sequence[Mapping[str, Any]], suffix: str) -> str:
    terms: dict[str, list[tuple[float, float, str]]] = {}
    for cell in cells:
        sums: dict[str, tuple[float, float]] = {}
        for term, both in cell["terms"].items():
            name = TOGETHER.get(term, term)
            before = sums.get(name, (0.0, 0.0))
            sums[name] = before[0] + (both["measured_us"] or 0.0), before[1] + (both["predicted_us"] or 0.0)
        for name, (measured, predicted) in sums.items():
            if measured and predicted:
                terms.setdefault(name, []).append((measured, predicted, cell["words"]))
    series = [
        Series(
            term, "points", [row[0] for row in rows], [row[1] / row[0] for row in rows],
            tips=[f"{term}: {words}\n{100 * (predicted / measured - 1):+.0f} %" for measured, predicted, words in rows],
            colour=at, mark=at, label=term.split()[0],
        )
        for at, (term, rows) in enumerate(terms.items())
    ]  # fmt: skip
    return Plot(f"terms{suffix}", "Predicted/measured by term", "measured µs", "ratio", series).html()
