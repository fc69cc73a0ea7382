"""nccl-tests: text of every version, or the JSON document of ``-J``."""

from __future__ import annotations

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.implied import ratio_of
from inferometer.emulator.importers.nccl import json_output as nccl_json
from inferometer.emulator.importers.nccl.collective import candidates, from_name
from inferometer.emulator.importers.nccl.layout import listed_ranks, ratio_cells, settle
from inferometer.emulator.importers.nccl.rows import examine, rows_of
from inferometer.emulator.importers.nccl.table import NcclRun
from inferometer.emulator.importers.nccl.text import runs_of
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source


def read(source: Source, settings: Settings, library: str = "nccl") -> list[Run]:
    """The run in a log, or its repetitions.

    Raises ``InputError`` where there is none, its rows are missing, or the file holds different runs.
    """
    if source.starts_like_json():
        tables, cut_off = [nccl_json.run_of(source)], False
    else:
        tables = list(runs_of(source))  # at most MAX_RUNS
        cut_off = source.cut_off
    if not tables:
        raise InputError(f"{source}: no table of {library}-tests in it")
    with_rows = [table for table in tables if table.rows]
    if not with_rows:
        raise InputError(f"{source}: the table of {library}-tests has no rows: the run ended before its first size")
    runs = [_conclude(table, settings, source, library, cut_off and table is with_rows[-1]) for table in with_rows]
    _at_once(with_rows, runs)
    if len(runs) > 1:
        _of_one_kind(source, runs)
        for run in runs:
            run.flag("several_runs", f"the file holds {len(runs)} runs of this kind: launches")
    return runs


def _conclude(table: NcclRun, settings: Settings, source: Source, library: str, cut_off: bool) -> Run:
    run = Run(rows_of(table), implementation=library, backend="nccl", timing="pipelined")
    run.facts["lines"] = [table.first_line, table.last_line] if table.last_line else None
    run.iterations = table.settings.get("iters")
    run.backend_version = table.library_version
    run.facts["tool_version"] = table.tool_version
    run.device = " | ".join(sorted(table.devices.names)) or None
    if table.settings:  # versions whose settings do not mention graphs had none
        run.launch_mode = "graph" if table.settings.get("graph") else "stream"
    ratio = ratio_of(ratio_cells(table))
    _name(table, run, settings, source, candidates(table, ratio, listed_ranks(table)))
    settle(table, ratio, run)
    if settings.ranks and run.tool_collective and ratio.known:
        if not ratio.allows(run.tool_collective, settings.ranks):
            fit = ratio.ranks(run.tool_collective)
            raise InputError(f"{source}: --set ranks={settings.ranks}, but busbw/algbw fits {fit or 'no rank count'}")
        for row in run.rows:  # the user has decided
            row.excluded = None if row.excluded == "ranks_contradicted" else row.excluded
    examine(table, run, cut_off)
    return run


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


def _of_one_kind(source: Source, runs: list[Run]) -> None:
    """A file of different runs says too little of which settings belong to which: each is to be a file of its own."""
    kinds = {(run.tool_collective, run.facts["ranks_listed"], run.nodes): run for run in runs}
    if len(kinds) > 1:
        shown = [
            f"{run.tool_collective or 'unknown'} on {ranks or run.ranks or 'unknown'} ranks, "
            f"lines {'–'.join(map(str, run.facts['lines'] or []))}"
            for (_, ranks, _), run in kinds.items()
        ]
        raise InputError(f"{source}: holds {len(kinds)} different runs ({'; '.join(shown[:4])}): import each by itself")


def _at_once(tables: list[NcclRun], runs: list[Run]) -> None:
    """Runs of several processes that overlap in the log ran at the same time and slowed each other down."""
    spans = list(zip(tables, runs))
    for one, run in spans:
        if any(
            one.from_rank != other.from_rank and one.first_line <= other.last_line and other.first_line <= one.last_line
            for other, _ in spans
        ):
            run.flag("runs_at_once", "several processes each ran the whole benchmark at the same time (without MPI?)")
            run.exclude_all("runs_at_once")
