"""CSV in bounded memory, and numbers out of its cells."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.source import Source

LARGEST = 1 << 62


def columns_of(source: Source) -> list[str] | None:
    """The column names of a CSV file (lower case, spaces as underscores); None where the first line is no list of names."""
    for line in source.head_lines():
        if line.strip() and not line.startswith("#"):
            cells = _cells(line)
            return [cell.strip().lower().replace(" ", "_") for cell in cells] if cells and len(cells) > 1 else None
    return None


def records_of(
    source: Source, columns: list[str], missing: tuple[str, int] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line number and cells by column. Blank cells are None; lines that begin with # are passed over.

    missing: a column and its place, which the head lacks where the rows have one cell more.
    """
    seen_head = False
    for number_, line in source.lines():
        if not line.strip() or line.startswith("#"):
            continue
        if not seen_head:
            seen_head = True
            continue
        cells = _cells(line)
        if missing and cells is not None and len(cells) == len(columns) + 1:
            columns, missing = [*columns[: missing[1]], missing[0], *columns[missing[1] :]], None
        if cells is None or len(cells) != len(columns):
            found = "no CSV" if cells is None else f"{len(cells)} cells"
            raise InputError(f"{source}: line {number_}: {found}, the head has {len(columns)} columns")
        yield number_, {name: cell.strip() or None for name, cell in zip(columns, cells)}


def _cells(line: str) -> list[str] | None:
    try:
        return next(csv.reader([line], strict=True, skipinitialspace=True), None)
    except csv.Error:
        return None


def number(value: Any, where: str, column: str, optional: bool = False) -> float | None:
    """A finite number from 0 up; None where the cell is empty or N/A and that is allowed, or the value is no number at 0."""
    if optional and (value is None or str(value).strip().upper() in ("", "N/A", "NAN", "NULL")):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: {column} is {_shown(value)}, not a number") from None
    if not math.isfinite(found) or found < 0:
        raise InputError(f"{where}: {column} is {_shown(value)}, not a number from 0 up")
    return found


def us_of_ms(ms: float) -> float:
    """As many digits as the milliseconds have: 15.204 for 0.015204, which 1000 times it is not."""
    return float(f"{ms * 1000:.12g}")


def count(value: Any, where: str, column: str, zero: bool = False) -> int:
    """A whole number, at least 1, or 0 with zero."""
    found = number(value, where, column)
    if found is None or found != int(found) or found > LARGEST or found < (0 if zero else 1):
        raise InputError(f"{where}: {column} is {_shown(value)}, not a whole number{'' if zero else ' from 1 up'}")
    return int(found)


def _shown(value: Any) -> str:
    return repr(value if isinstance(value, (int, float)) else str(value)[:40])
