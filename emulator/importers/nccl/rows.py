"""Which rows of a run of nccl-tests are measurements, and what is wrong with the others."""

from __future__ import annotations

import math

from inferometer.emulator.importers.nccl.arithmetic import contradicts, in_words, parts, parts_of, share_counted
from inferometer.emulator.importers.nccl.collective import SHARDED, TESTS
from inferometer.emulator.importers.nccl.table import NcclRun, TableCell
from inferometer.emulator.importers.run import Row, Run
from inferometer.emulator.importers.sweeps import flag_cold, flag_noise, merge_cycles
from inferometer.parallel.dtypes import common_name

#: The largest relative difference that versions before August 2022 let pass (deltaMaxValue); whole numbers must be equal.
TOLERANCE = {"float16": 1e-2, "bfloat16": 1e-2, "float32": 1e-5, "float64": 1e-12}
FAR = 10.0
"""Tolerances above which an element is wrong whatever the reduction was: those versions scaled theirs with the ranks."""
UNCHECKABLE_IN_PLACE = ("alltoall",)
"""Has no form in place: what versions before August 2022 print there fails by design."""


def rows_of(table: NcclRun, unit: float) -> list[Row]:
    """Out-of-place times, as collectors of such tables take them; the in-place ones ride along. unit: µs of a time's 1."""
    rows = []
    dtypes = {dtype: common_name(dtype) for dtype in {row.dtype for row in table.rows}}
    for row in table.rows:
        out, inside = row.out_of_place, row.in_place
        extra = {
            "in_place_us": _time(inside, unit),
            "in_place_wrong": _wrong(inside),
            "redop": row.redop,
            "root": row.root,
        }
        cell = Row(row.bytes, _time(out, unit), dtypes[row.dtype], _wrong(out), extra)
        if out is not None and out.spread:
            cell.extra |= dict(zip(("min_us", "max_us", "p99_us", "cv_percent"), out.spread))
        if out is not None and out.iterations_us:
            cell.iterations_us = out.iterations_us
        if row.bytes == 0:
            cell.excluded = "size_zero"
        elif cell.us is None:
            cell.excluded = "no_time"
        rows.append(cell)
    return rows


def examine(table: NcclRun, run: Run, unit: float | None, cut_off: bool) -> None:
    """Flag, and exclude, what no fit may see. unit: as `us_per_unit` says."""
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
    _twice(table, run, unit)
    _wrong_data(table, run)
    _order(table, run)
    _whole(table, run, cut_off)
    merge_cycles(run)
    flag_cold(run)
    flag_noise(run)


def _twice(table: NcclRun, run: Run, unit: float | None) -> None:
    """Rows are held to what they say twice: bytes / time against algbw, count × item size × ranks against size."""
    if unit == 0.0:
        run.flag("unit_unknown", "size / time is not algbw in µs, nor in ms: another unit, or edited")
        run.exclude_all("unit_unknown")
        return
    if unit == 1000.0:
        run.flag("milliseconds", "times are in ms, as versions until March 2019 printed them: size / time against algbw")
    name, share = run.tool_collective, share_counted(table)
    said: dict[str, list[str]] = {}
    agreed, _ = parts_of(table)
    for row, read in zip(table.rows, run.rows):
        found = agreed or parts(row)
        wanted = run.ranks if name in SHARDED else 1 if name in TESTS else None
        if found is not None and wanted is not None and found != wanted and "ranks_given" not in run.flags:
            said.setdefault("size_contradicted", []).append(f"{in_words(row)}, {name} on {run.ranks} ranks needs {wanted}")
            read.excluded = read.excluded or "size_contradicted"
        elif unit and read.excluded is None and (why := contradicts(row, unit, share, loose=table.errors)):
            said.setdefault("time_contradicted", []).append(why)
            read.excluded = "time_contradicted"
    for flag, why_ in said.items():
        run.flag(flag, f"{len(why_)} rows contradict themselves: {why_[0]}")


def _wrong_data(table: NcclRun, run: Run) -> None:
    """A run that reports corrupted data is not trusted in any of its rows.

    Before August 2022 a row shows the largest relative difference, which rounding makes; the count in the footer decides,
    or, where it was cut off, a difference that no rounding makes. alltoall in place is no operation: it is not looked at.
    """
    with_in_place = run.tool_collective not in UNCHECKABLE_IN_PLACE
    cells = [
        (row, cell) for row in table.rows for cell in (row.out_of_place, row.in_place if with_in_place else None) if cell
    ]
    if table.errors:
        off = sum(cell.beyond or (cell.error is not None and cell.error > _limit(row.dtype)) for row, cell in cells)
        said = table.out_of_bounds
        if (said and with_in_place) or (off and (said is None or said)):
            counted = f"{said} out of bounds values" if said else f"{off} differences that no rounding makes"
            run.flag("wrong_data", f"{counted}: the run's own data check failed")
            run.exclude_all("wrong_data")
        elif run.rows and all(cell.error is None for _, cell in cells):
            run.flag("unchecked", "the results were not compared with what they must be")
        return
    bad = sum(bool(row.wrong or (with_in_place and row.extra["in_place_wrong"])) for row in run.rows)
    if bad or (table.out_of_bounds and with_in_place):
        counted = f"{bad} rows" if bad else f"{table.out_of_bounds} out of bounds values"
        run.flag("wrong_data", f"{counted} with #wrong > 0: the run's own data check failed")
        run.exclude_all("wrong_data")
    elif run.rows and all(row.wrong is None for row in run.rows):
        run.flag("unchecked", "the results were not compared with what they must be")


def _limit(dtype: str) -> float:
    return FAR * TOLERANCE.get(common_name(dtype), 0.05)


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
    mean = sum(c.busbw for c in cells) / len(cells) if cells else math.nan
    if abs(mean - printed) > 0.006 + 2e-3 * abs(printed):
        run.flag("average_contradicted", f"the rows average {mean:.4g} GB/s, the log says {printed:.6g}: rows are missing")


def _time(cell: TableCell | None, unit: float) -> float | None:
    if cell is None:
        return None
    value = cell.time if unit == 1.0 else round(cell.time * unit, 9)
    return value if 0 < value < math.inf else None


def _wrong(cell: TableCell | None) -> int | None:
    if cell is None or cell.wrong is None:
        return None
    if cell.wrong == 0:
        return 0
    return math.ceil(cell.wrong) if math.isfinite(cell.wrong) else 1
