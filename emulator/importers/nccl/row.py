"""One row of the table that nccl-tests print."""

from __future__ import annotations

import re

from inferometer.emulator.importers.nccl.lines import TYPES
from inferometer.emulator.importers.nccl.table import TableCell, TableRow

STARRED = "*"
"""After a difference beyond the tool's own threshold, in versions before August 2022 and in rccl-tests."""
NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")
_SIZE = re.compile(r"(?:^|.*[:>|\])])(\d{1,18})")
_REDOP = re.compile(r"[a-z]{3,8}")
_ROOT = re.compile(r"-?\d{1,7}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_ZERO = re.compile(r"0[eE][+-]?0+")
_TIME = r"\s+(\d{1,18}(?:\.\d{1,12})?)"
_CHECK = r"\s+(\d{1,18}|N/A)"
_PLAIN = re.compile(
    rf"\s*(\d{{1,18}})\s+(\d{{1,18}})\s+({TYPES})\s+([a-z]{{3,8}})\s+(-?\d{{1,7}})"
    + _TIME * 3 + _CHECK + _TIME * 3 + _CHECK + r"\s*"
)  # fmt: skip
"""A row without a launcher's prefix, as versions since August 2022 print it: nearly all there are."""


def plain_row(line: str) -> TableRow | None:
    """The row, where the whole line is one in the usual form; None else."""
    found = _PLAIN.fullmatch(line)
    if found is None:
        return None
    size, count, dtype, redop, root, *cells = found.groups()
    out = TableCell(cells[0], cells[1], cells[2], None if cells[3] == "N/A" else float(cells[3]))
    inside = TableCell(cells[4], cells[5], cells[6], None if cells[7] == "N/A" else float(cells[7]))
    return TableRow(int(size), dtype, redop, int(root), out, inside, int(count))


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
    cell = TableCell(texts[0], texts[1], texts[2], None)
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
