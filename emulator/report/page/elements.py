"""Pieces of an HTML page: text, tables that sort and copy, folded data."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from html import escape

from inferometer.emulator.names import visible


def text(value: object) -> str:
    """Any text from outside, as it may stand in HTML."""
    return escape(visible(str(value)))


def tag(name: str, inner: str, **attributes: str) -> str:
    """An element around HTML; attributes are escaped here."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{given}>{inner}</{name}>"


def paragraph(words: str, kind: str = "") -> str:
    return tag("p", text(words), **({"class_": kind} if kind else {}))


def bullets(items: Iterable[str]) -> str:
    return tag("ul", "".join(tag("li", text(item)) for item in items))


def csv_of(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if cell is None or cell != cell else cell for cell in row] for row in rows])
    return stream.getvalue()


def table(head: Sequence[str], rows: Sequence[Sequence[object]], *, right: Iterable[int] = (), caption: str = "") -> str:
    """A table whose columns sort at a click, with a button that copies it as CSV. right: columns of numbers."""
    numbers = set(right)

    def cells(row: Sequence[object], name: str) -> str:
        kind = {at: {"class_": "number"} for at in numbers}
        return "".join(tag(name, text("–" if cell is None else cell), **kind.get(at, {})) for at, cell in enumerate(row))

    body = "".join(tag("tr", cells(row, "td")) for row in rows)
    inner = tag("thead", tag("tr", cells(head, "th"))) + tag("tbody", body)
    above = tag("caption", text(caption)) if caption else ""
    copy = '<button type="button" class="copy">copy as CSV</button>'
    return tag("div", tag("table", above + inner, class_="sortable") + copy, class_="scroll")


def data(head: Sequence[str], rows: Iterable[Sequence[object]], name: str) -> str:
    """The numbers of a figure as CSV, folded."""
    copy = '<button type="button" class="copy">copy as CSV</button>'
    return tag("details", tag("summary", "data") + tag("pre", text(csv_of(head, rows)), class_="csv", id=name) + copy)


def section(title: str, name: str, inner: str) -> str:
    return tag("section", tag("h2", text(title)) + inner, id=name)
