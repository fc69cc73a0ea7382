"""One row of the table that nccl-tests print."""

from __future__ import annotations

import re

from inferometer.emulator.importers.nccl.lines import TYPES
from inferometer.emulator.importers.nccl.table import TableCell, TableRow, table_cell

STARRED = "*"
"""After a difference beyond the tool's own threshold, in versions before August 2022 and in rccl-tests."""
NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")
_SIZE = re.compile(r"(?:^|.*[:>|\])])(\d{1,18})")
_REDOP = re.compile(r"[a-z]{3,8}")
_ROOT = re.compile(r"-?\d{1,7}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TYPE = re.compile(TYPES)
_LARGEST = 1e19
_LONGEST = 300
_ZERO = re.compile(r"0[eE][+-]?0+")
_WIDTH = 13
"""Cells of a row without a launcher's prefix, as versions since August 2022 print it: nearly all there are."""


def plain_row(line: str) -> TableRow | None:
    """The row, where the whole line is one in the usual form; None else. A pattern for it all takes twice as long."""
    parts = line.split()
    if len(parts) != _WIDTH or not _TYPE.fullmatch(parts[2]) or not parts[3].isalpha() or "_" in line or not line.isascii():
        return None
    size, count, dtype, redop, root, time, algbw, busbw, wrong, time_, algbw_, busbw_, wrong_ = parts
    if not ((wrong == "N/A" or wrong.isdigit()) and (wrong_ == "N/A" or wrong_.isdigit()) and count.isdigit()):
        return None
    try:
        out = TableCell(
            float(time), float(algbw), float(busbw), (time, algbw, busbw), None if wrong == "N/A" else float(wrong)
        )
        inside = TableCell(
            float(time_), float(algbw_), float(busbw_), (time_, algbw_, busbw_), None if wrong_ == "N/A" else float(wrong_)
        )
        row = TableRow(int(size), dtype, redop, int(root), out, inside, int(count))
    except ValueError:
        return None
    numbers = (out.time, out.algbw, out.busbw, inside.time, inside.algbw, inside.busbw)
    return row if row.bytes >= 0 and min(numbers) >= 0 and max(numbers) < _LARGEST and len(line) < _LONGEST else None


def table_row(parts: list[str], at: int) -> TableRow | None:
    """The row whose dtype stands at parts[at]; None where it is torn.

    After the dtype: redop (or nothing), root (or nothing), then per column group time, algbw, busbw, #wrong, and with
    per-iteration report four more; at last perhaps a date and a time.
    """
    size = _SIZE.fullmatch(parts[at - 2])
    rest = parts[at + 1 :]
    redop = None
    if rest and _REDOP.fullmatch(rest[0]):
        redop = rest.pop(0)
    if len(rest) > 2 and _DATE.fullmatch(rest[-2]):
        rest = rest[:-2]
    root = None
    if len(rest) % 4 == 1:
        head = rest.pop(0)
        if not _ROOT.fullmatch(head):
            return None
        root = int(head)
    bare = [part.rstrip(STARRED) for part in rest]
    if size is None or len(rest) not in (4, 8, 16) or not all(part == "N/A" or NUMBER.fullmatch(part) for part in bare):
        return None
    width = 8 if len(rest) == 16 else 4
    cells = [_cell(rest[i : i + width]) for i in range(0, len(rest), width)]
    if None in cells:
        return None
    inside = cells[1] if len(cells) > 1 else None
    return TableRow(int(size[1]), parts[at], redop, root, cells[0], inside, int(parts[at - 1][:18]))


def _cell(texts: list[str]) -> TableCell | None:
    """An exponent in the last column, as in 4e-07 and 0e+00, is a difference; a count has none, or a positive one."""
    if "N/A" in texts[:3]:
        return None
    cell = table_cell(texts[0], texts[1], texts[2], None)
    check = texts[3].rstrip(STARRED)
    if check != "N/A":
        value = float(check)
        if "e-" in check.lower() or _ZERO.fullmatch(check) or ("." in check and "e" not in check):
            cell.error = value
        else:
            cell.wrong = value
        cell.beyond = check != texts[3]
    if len(texts) == 8 and "N/A" not in texts[4:]:
        cell.spread = tuple(float(text) for text in texts[4:])
    return cell
