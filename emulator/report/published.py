"""The table that `inferometer reproduce` prints: by title and place, the printed number, ours, what differs, why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from textwrap import wrap
from typing import Any

from inferometer.emulator.economics.paper.published.record import Published
from inferometer.emulator.economics.paper.published.reproduce import Comparison, summary

MARK = {"reproduced": "ok   ", "source_error": "wrong", "stale": "stale", "measured": "timed", "failed": "FAIL "}
WIDTH = 125
EXACT = 1e-6
"""A tolerance below this is one for rounding in our own arithmetic."""
LEGEND = (
    "# columns: printed number, ours, relative difference, tolerance of the printed digits, settings of our call\n"
    "# ok: agrees; wrong: the source errs; stale: the source's own final code disagrees; timed: the authors measured it,\n"
    "# ours predicts it; FAIL: differs and should not"
)


def published_lines(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Lines of text for all comparisons, which come grouped by title and place."""
    yield LEGEND
    for title, of_title in groupby(comparisons, key=lambda c: c.published.title):
        yield ""
        yield title
        for where, of_place in groupby(of_title, key=lambda c: c.published.where):
            yield from _place(where, list(of_place))
    yield ""
    yield summary_line(comparisons)


def summary_line(comparisons: Sequence[Comparison]) -> str:
    """``195 numbers: 192 reproduced, 3 source_error, …``."""
    counts = summary(comparisons)
    return f"{counts.pop('numbers')} numbers: {', '.join(f'{n} {status}' for status, n in counts.items())}"


def settings_words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_setting(value)}" for key, value in settings.items())


def _place(where: str, rows: list[Comparison]) -> Iterator[str]:
    """The rows of one place; settings or a reason that several of them share are printed once, above."""
    published = [row.published for row in rows]
    shared = _shared_settings(published)
    width = max(len(p.what) for p in published)
    yield f"  {where}"
    yield from _folded(settings_words(shared), "    ")
    for reason, of_reason in groupby(rows, key=lambda row: row.published.reason):
        together = list(of_reason)
        lines = [_line(row, width, shared) for row in together]
        if len(lines) > 1:
            yield from _folded(reason, "    ! ")
            yield from lines
        else:
            yield from lines
            yield from _folded(reason, "          ! ")


def _line(row: Comparison, width: int, shared: dict[str, Any]) -> str:
    p = row.published
    own = settings_words({key: value for key, value in p.call.settings.items() if key not in shared})
    numbers = f"{_number(p.printed):>10} {_number(row.ours):>10} {p.unit:<9} {row.rel_diff:+8.2%} {_allowed(p):<6}"
    return f"    {MARK[row.status]} {p.what:<{width}} {numbers}  {own}".rstrip()


def _shared_settings(published: list[Published]) -> dict[str, Any]:
    first, *others = [dict(p.call.settings) for p in published]
    if not others:
        return {}
    missing = object()
    return {key: value for key, value in first.items() if all(o.get(key, missing) == value for o in others)}


def _folded(text: str, indent: str) -> Iterator[str]:
    if text:
        yield from wrap(text, WIDTH, initial_indent=indent, subsequent_indent=" " * len(indent))


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e7:
        return str(int(value))
    return f"{value:.5g}"


def _allowed(p: Published) -> str:
    return "exact" if p.allowed_rel_diff < EXACT else f"±{p.allowed_rel_diff:.1%}"


def _setting(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
