"""What a row of nccl-tests says twice, so that a wrong unit, a wrong rank count or an edited cell cannot pass.

size = count × item size × (ranks for all_gather, reduce_scatter, alltoall, gather, scatter; 1 for the others), and
size / time = algbw. Sources: src/common.cu and the GetCollByteCount of each test.
"""

from __future__ import annotations

from inferometer.emulator.importers.implied import half_unit, two_digits
from inferometer.emulator.importers.nccl.table import NcclRun, TableRow
from inferometer.parallel.dtypes import NAMED

SLACK = 0.1
"""Rows agree this closely; those with relative errors within a half."""
MS = 1000.0
ENOUGH = 6
"""Rows that tell a run's unit: the last ones, whose bandwidths have most digits."""
CLOSE = 0.01
"""Rows closer than this need no look at their digits."""


def parts(row: TableRow) -> int | None:
    """size / (count × item size), a whole number; None where the row does not tell, 0 where it is no whole number."""
    dtype = NAMED.get(row.dtype.lower())
    if not row.bytes or not row.count or dtype is None:
        return None
    whole, rest = divmod(row.bytes, row.count * dtype.itemsize)
    return whole if rest == 0 else 0


def parts_of(run: NcclRun) -> tuple[int | None, TableRow | None]:
    """The one number of parts that all rows agree on, and a row that shows it; 0 where they disagree, with one that does."""
    if run.agreed is None:
        run.agreed = _agreed(run)
    return run.agreed


def _agreed(run: NcclRun) -> tuple[int | None, TableRow | None]:
    agreed: int | None = None
    shown: TableRow | None = None
    for row in run.rows:
        alike = agreed and shown and row.count and row.dtype == shown.dtype
        if alike and shown and row.bytes * (shown.count or 0) == shown.bytes * (row.count or 0):
            shown = row  # the same ratio
            continue
        found = parts(row)
        if found is None:
            continue
        if found == 0 or (agreed is not None and found != agreed):
            return 0, row
        agreed, shown = found, row
    return agreed, shown


def in_words(row: TableRow) -> str:
    """65536 / (512 × 4) = 32."""
    item = NAMED[row.dtype.lower()].itemsize
    return f"{row.bytes} / ({row.count} × {item}) = {row.bytes / ((row.count or 1) * item):g}"


def us_per_unit(run: NcclRun) -> float | None:
    """1 where the time column is in µs, 1000 where it is in ms, by size/time against algbw; None where nothing tells."""
    ratios = sorted(_ratios(run.rows[-ENOUGH:])) or sorted(_ratios(run.rows[:-ENOUGH]))
    if not ratios:
        return MS if run.milliseconds else None
    middle = ratios[len(ratios) // 2]
    for unit in (1.0, MS):
        if 0.4 < middle / unit < 2.5:
            return unit
    return 0.0


def share_counted(run: NcclRun) -> float:
    """The part of the size that algbw counts: (n − 1)/n where a version of 2020 or before left a rank's own part out.

    It did so for all_gather and reduce_scatter, and printed busbw equal to algbw.
    """
    if not run.errors:
        return 1.0
    n, _ = parts_of(run)
    cells = [cell for row in run.rows if row.bytes for cell in (row.out_of_place, row.in_place) if cell]
    if not n or n < 2 or any(cell.algbw != cell.busbw for cell in cells):
        return 1.0
    return (n - 1) / n


def contradicts(row: TableRow, unit: float, share: float, loose: bool) -> str | None:
    """The arithmetic by which a row's size over time is not the algbw printed beside it; None where it is.

    share: of the size, as algbw counts it.
    """
    counted = row.bytes * share
    if not row.bytes:
        return None
    least, most = counted * (1 - CLOSE), counted * (1 + CLOSE)
    per_unit = unit * 1e3
    for cell in (row.out_of_place, row.in_place):
        if cell is None or least < cell.time * cell.algbw * per_unit < most:
            continue
        time, algbw = cell.time * unit, cell.algbw
        half_time, half = half_unit(cell.printed[0]) * unit, half_unit(cell.printed[1])
        if time <= half_time or algbw <= half:
            continue
        low, high = counted / (time + half_time) / 1e3, counted / (time - half_time) / 1e3
        slack = 1.5 if loose else 1 + SLACK
        if high * slack < algbw - half or low / slack > algbw + half:
            shown = f"{row.bytes} bytes / {cell.printed[0]} {'ms' if unit == MS else 'µs'}"
            return f"{shown} = {row.bytes / time / 1e3:.4g} GB/s, algbw says {cell.printed[1]}"
    return None


def _ratios(rows: list[TableRow]) -> list[float]:
    return [
        row.bytes / cell.time / 1e3 / cell.algbw
        for row in rows
        for cell in (row.out_of_place, row.in_place)
        if cell is not None and row.bytes and cell.algbw > 0 and cell.time > 0 and two_digits(cell.printed[1])
    ]
