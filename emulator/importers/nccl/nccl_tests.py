"""nccl-tests: text of every version, or the JSON document of ``-J``."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.implied import PASSES, Ratio, ratio_of
from inferometer.emulator.importers.nccl import json_output as nccl_json
from inferometer.emulator.importers.nccl.arithmetic import parts_of, share_counted, us_per_unit
from inferometer.emulator.importers.nccl.collective import candidates, from_name
from inferometer.emulator.importers.nccl.layout import fitting, listed_ranks, ranks_by_count, ratio_cells, settle
from inferometer.emulator.importers.nccl.rows import examine, rows_of
from inferometer.emulator.importers.nccl.table import NcclRun
from inferometer.emulator.importers.nccl.text import Log
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source


def read(source: Source, settings: Settings, library: str = "nccl") -> list[Run]:
    """The runs in a log: each program, reduction or start is a run of its own.

    Raises ``InputError`` where there is none or its rows are missing, naming the first line that looked like one.
    """
    cut_off, why = False, ""
    if source.starts_like_json():
        tables = [nccl_json.run_of(source)]
    else:
        log = Log(source)
        tables = list(log.runs())  # at most MAX_RUNS
        cut_off = source.cut_off
        if log.in_place_first and not any(table.rows for table in tables):
            raise InputError(f"{source}: line {log.in_place_first}: in-place stands first, as in mscclpp-test's table")
        why = f": {log.near}" if log.near else ""
    if not tables:
        raise InputError(f"{source}: no table of {library}-tests in it{why}")
    with_rows = [table for table in tables if table.rows]
    if not with_rows:
        missing = why or ": the run ended before its first size"
        raise InputError(f"{source}: the table of {library}-tests has no rows{missing}")
    runs: list[Run] = []
    for table in with_rows:
        last = cut_off and table is with_rows[-1]
        runs += [_conclude(part, table, settings, source, library, last) for part in _by_operation(table)]
    _at_once(with_rows, runs)
    if len(runs) > 1:
        run_kinds = [(run.tool_collective, run.ranks, run.nodes, run.variant) for run in runs]
        for run, kind in zip(runs, run_kinds):
            if run_kinds.count(kind) > 1:
                run.flag("several_runs", f"the file holds {run_kinds.count(kind)} runs of this kind: launches")
            else:
                run.flag("several_kinds", f"one of {len(set(run_kinds))} kinds of run in the file")
    return runs


def _by_operation(table: NcclRun) -> list[NcclRun]:
    """A sweep with -o all or -r all, cut into the reductions and roots that it went through: they are no repetitions."""
    kinds = list(dict.fromkeys((row.redop, row.root) for row in table.rows))
    if len(kinds) == 1:
        return [table]
    return [replace(table, rows=[row for row in table.rows if (row.redop, row.root) == kind]) for kind in kinds]


def _variant(table: NcclRun, collective: str | None) -> str:
    """What of a run makes another operation of it than the plain one: other reductions, roots, fused or registered calls."""
    row = table.rows[0]
    found = []
    if collective in ("all_reduce", "reduce_scatter", "reduce") and row.redop not in (None, "sum", "none"):
        found.append(row.redop)
    if row.root is not None and row.root > 0:
        found.append(f"root{row.root}")
    if table.settings.get("agg_iters", 1) > 1:
        found.append(f"fused{table.settings['agg_iters']}")
    if table.registered:
        found.append("symmetric" if table.registered == 2 else "registered")
    return "/".join(found)


def _conclude(table: NcclRun, whole: NcclRun, settings: Settings, source: Source, library: str, cut_off: bool) -> Run:
    table.errors |= any(cell and cell.error is not None for row in table.rows for cell in (row.out_of_place, row.in_place))
    if table.errors:
        for row in table.rows:
            for cell in (row.out_of_place, row.in_place):
                if cell and cell.error is None and cell.wrong is not None:
                    cell.error, cell.wrong = cell.wrong, None
    unit = us_per_unit(table)
    run = Run(rows_of(table, unit or 1.0), implementation=library, backend="nccl", timing="pipelined")
    run.facts["lines"] = [table.first_line, table.last_line] if table.last_line else None
    run.iterations = table.settings.get("iters")
    run.backend_version = table.library_version
    run.facts["tool_version"] = table.tool_version or _dated(table)
    run.device = " | ".join(sorted(table.devices.names)) or None
    if table.settings:  # versions whose settings do not mention graphs had none
        run.launch_mode = "graph" if table.settings.get("graph") else "stream"
    without_own = share_counted(table) < 1
    ratio = Ratio() if without_own else ratio_of(ratio_cells(table))
    counted, _ = parts_of(table)
    _name(table, run, settings, source, candidates(table, ratio, listed_ranks(table), counted, without_own))
    settle(table, ratio, run)
    run.variant = _variant(table, run.tool_collective)
    if settings.ranks and run.tool_collective:
        by_count, arithmetic = ranks_by_count(table, run.tool_collective)
        if by_count and by_count != settings.ranks:
            raise InputError(f"{source}: --set ranks={settings.ranks}, but size / count tells {arithmetic}")
        if ratio.known and not ratio.allows(run.tool_collective, settings.ranks):
            passes, n = PASSES.get(run.tool_collective, 0), settings.ranks
            needed = passes * (n - 1) / n if passes else 1.0
            raise InputError(
                f"{source}: --set ranks={n}, but busbw/algbw is {ratio.low:.4g} to {ratio.high:.4g}, which fits "
                f"{fitting(ratio.ranks(run.tool_collective))}; {n} ranks need {needed:.4g}"
            )
        for row_ in run.rows:  # the user has decided
            row_.excluded = None if row_.excluded == "ranks_contradicted" else row_.excluded
    examine(table, run, unit, cut_off)
    if table is not whole:
        run.flags.pop("average_contradicted", None)  # of all reductions together
    return run


def _dated(table: NcclRun) -> str | None:
    """The time of a version that does not print itself, by its table's head."""
    if table.milliseconds:
        return "until March 2019"
    return "2019 to August 2022" if table.errors else None


def _name(table: NcclRun, run: Run, settings: Settings, source: Source, possible: set[str]) -> None:
    """The collective: as the run names it, else as its table can only be, else as a command line or the file's name say."""
    if table.program:
        run.tool_collective = table.program
    elif "collective" in settings.words:
        run.tool_collective = settings.words["collective"]
        run.flag("collective_given", f"{run.tool_collective}, given by --set")
    elif table.mentioned and (table.mentioned in possible or table.mentioned not in TOOL_COLLECTIVES):
        run.tool_collective = table.mentioned
    elif len(possible) == 1:
        (run.tool_collective,) = possible
        run.flag("collective_inferred", f"{run.tool_collective}: the only one with these columns and bandwidths")
    elif name := from_name(source.path.stem, possible):
        run.tool_collective = name
        others = ", ".join(sorted(possible - {name}))
        run.flag("collective_from_file_name", f"{name} by the file's name; its contents would also fit {others}")
    if run.tool_collective is None:
        fits = f"could be {', '.join(sorted(possible))}" if possible else "none fits its columns and bandwidths"
        run.flag("collective_unknown", fits)
    else:
        run.collective = TOOL_COLLECTIVES[run.tool_collective]


def _at_once(tables: list[NcclRun], runs: list[Run]) -> None:
    """Runs of several processes that overlap in the log ran at the same time and slowed each other down."""
    overlapping = {
        (one.first_line, one.last_line)
        for one in tables
        for other in tables
        if one.from_rank != other.from_rank and one.first_line <= other.last_line and other.first_line <= one.last_line
    }
    for run in runs:
        if tuple(run.facts["lines"] or ()) in overlapping:
            run.flag("runs_at_once", "several processes each ran the whole benchmark at the same time (without MPI?)")
            run.exclude_all("runs_at_once")
