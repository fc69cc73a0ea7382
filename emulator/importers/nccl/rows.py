"""Which rows of a run of nccl-tests are measurements, and what is wrong with the others."""

from __future__ import annotations

import math

from inferometer.emulator.importers.nccl.table import NcclRun, TableCell
from inferometer.emulator.importers.run import DTYPES, Row, Run
from inferometer.emulator.importers.sweeps import flag_cold, flag_noise


def rows_of(table: NcclRun) -> list[Row]:
    """Out-of-place times, as collectors of such tables take them; the in-place ones ride along."""
    rows = []
    for row in table.rows:
        out, inside = row.out_of_place, row.in_place
        cell = Row(row.bytes, _time(out), DTYPES.get(row.dtype, row.dtype), _wrong(out))
        cell.extra = {"in_place_us": _time(inside), "in_place_wrong": _wrong(inside), "redop": row.redop, "root": row.root}
        if row.bytes == 0:
            cell.excluded = "size_zero"
        elif cell.us is None:
            cell.excluded = "no_time"
        rows.append(cell)
    return rows


def examine(table: NcclRun, run: Run, cut_off: bool) -> None:
    """Flag, and exclude, what no fit may see."""
    if table.prefixed:
        run.flag("launcher_prefix", "lines carry a launcher's prefix")
    if zero := sum(row.bytes == 0 for row in run.rows):
        run.flag("size_zero_rows", f"{zero} rows move no bytes: too few for every rank to have 16")
    if table.torn:
        run.flag("torn_rows", f"{table.torn} rows are torn apart by other output, and not counted")
        run.facts["torn_rows"] = table.torn
    if table.cpu_time:
        run.flag("cpu_time", "the time column is the host's time to launch, not the collective's")
        run.exclude_all("cpu_time")
    if run.ranks == 1:
        run.flag("one_rank", "one rank: nothing was communicated")
        run.exclude_all("one_rank")
    _wrong_data(table, run)
    _order(table, run)
    _whole(table, run, cut_off)
    flag_cold(run)
    flag_noise(run)


def _wrong_data(table: NcclRun, run: Run) -> None:
    """A run that reports corrupted data is not trusted in any of its rows."""
    bad = sum(bool(row.wrong or row.extra["in_place_wrong"]) for row in run.rows)
    if bad or table.out_of_bounds:
        counted = f"{bad} rows" if bad else f"{table.out_of_bounds} out of bounds values"
        run.flag("wrong_data", f"{counted} with #wrong > 0: the run's own data check failed")
        run.exclude_all("wrong_data")
    elif run.rows and all(row.wrong is None for row in run.rows):
        run.flag("unchecked", "the results were not compared with what they must be")


def _order(table: NcclRun, run: Run) -> None:
    """Sizes grow within a sweep; repeated sweeps (-N) start anew with the first size; else two runs are interleaved."""
    sweeps: dict[tuple[str, str | None, int | None], list[int]] = {}
    for row in table.rows:
        sweeps.setdefault((row.dtype, row.redop, row.root), []).append(row.bytes)
    for sizes in sweeps.values():
        once = next((i for i in range(1, len(sizes)) if sizes[i] < sizes[i - 1]), len(sizes))
        cycles = all(size == sizes[i % once] for i, size in enumerate(sizes))
        twice = run.tool_collective == "all_reduce" and any(0 < a == b for a, b in zip(sizes, sizes[1:]))
        if not cycles or twice:
            run.flag("interleaved", "sizes go up and down: the rows of several runs are mixed")
            run.exclude_all("interleaved")
            return


def _whole(table: NcclRun, run: Run, cut_off: bool) -> None:
    sizes = [row.bytes for row in table.rows]
    if not table.footer:
        run.flag("truncated", f"no closing line with the average: {'the file ends in a line' if cut_off else 'cut short'}")
    first, last = table.settings.get("min_bytes"), table.settings.get("max_bytes")
    if not sizes or first is None or last is None:
        return
    step = table.settings.get("step", 0)
    before_last = last // step if table.settings.get("step_is_factor") and step > 1 else last - step
    if max(sizes) > last:
        run.flag("settings_contradicted", f"sizes up to {max(sizes)} bytes, but maxBytes {last}: not this run's settings")
    elif table.footer and not table.reduced_max_bytes and max(sizes) < before_last // 2:
        run.flag("rows_missing", f"the last size is {max(sizes)} bytes, maxBytes {last}")
    if min(sizes) > first and 0 not in sizes and sizes[0] >= 2 * max(first, 16 * (run.ranks or 1)):
        run.flag("rows_missing", f"the first size is {min(sizes)} bytes, minBytes {first}")
    if table.average is not None:
        _average(table, run)


def _average(table: NcclRun, run: Run) -> None:
    """The footer is the mean of all printed busbw, size-0 rows included."""
    try:
        printed = float(table.average or "nan")
    except ValueError:
        return
    cells = [c for row in table.rows for c in (row.out_of_place, row.in_place) if c]
    mean = sum(float(c.busbw) for c in cells) / len(cells) if cells else math.nan
    if abs(mean - printed) > 0.006 + 2e-3 * abs(printed):
        run.flag("average_contradicted", f"the rows average {mean:.4g} GB/s, the log says {printed:.6g}: rows are missing")


def _time(cell: TableCell | None) -> float | None:
    value = float(cell.time) if cell else math.nan
    return value if math.isfinite(value) and value > 0 else None


def _wrong(cell: TableCell | None) -> int | None:
    if cell is None or cell.wrong is None:
        return None
    return math.ceil(cell.wrong) if math.isfinite(cell.wrong) else 1
