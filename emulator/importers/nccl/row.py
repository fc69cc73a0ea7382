"""One row of the table that nccl-tests print."""

from __future__ import annotations

import re

from inferometer.emulator.importers.nccl.table import TableCell, TableRow, table_cell

STARRED = "*"
"""After a difference beyond the tool's own threshold, in versions before August 2022 and in rccl-tests."""
NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")
_SIZE = re.compile(r"(?:^|.*[:>|\])])(\d{1,18})")
_REDOP = re.compile(r"[a-z]{3,8}")
_ROOT = re.compile(r"-?\d{1,7}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_PLAIN_TYPES = frozenset("float half double bfloat16 int8 uint8 int32 uint32 int64 uint64 f8e4m3 f8e5m2".split())
_LARGEST = 1e19
_LONGEST = 300
_ZERO = re.compile(r"0[eE][+-]?0+")
_WIDTH = 13
"""Cells of a row without a launcher's prefix, as versions since August 2022 print it: nearly all there are."""


def plain_row(line: str) -> TableRow | None:
    """The row, where the whole line is one in the usual form; None else. A pattern for it all takes twice as long."""
    parts = line.split()
    if len(parts) != _WIDTH or parts[2] not in _PLAIN_TYPES or len(line) >= _LONGEST or "_" in line or not line.isascii():
        return None
    size, count, dtype, redop, root, time, algbw, busbw, wrong, time_, algbw_, busbw_, wrong_ = parts
    if not (redop.isalpha() and size.isdigit() and count.isdigit()):
        return None
    if not ((wrong == "N/A" or wrong.isdigit()) and (wrong_ == "N/A" or wrong_.isdigit())):
        return None
    try:
        t, a, b, t_, a_, b_ = float(time), float(algbw), float(busbw), float(time_), float(algbw_), float(busbw_)
        at = int(root)
    except ValueError:
        return None
    if not (0 <= t < _LARGEST and 0 <= a < _LARGEST and 0 <= b < _LARGEST):
        return None
    if not (0 <= t_ < _LARGEST and 0 <= a_ < _LARGEST and 0 <= b_ < _LARGEST):
        return None
    out = TableCell(t, a, b, (time, algbw, busbw), None if wrong == "N/A" else float(wrong))
    inside = TableCell(t_, a_, b_, (time_, algbw_, busbw_), None if wrong_ == "N/A" else float(wrong_))
    return TableRow(int(size), dtype, redop, at, out, inside, int(count))


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
