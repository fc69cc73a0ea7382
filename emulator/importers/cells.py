"""Runs → the records of a samples file, and the report that says what became of every row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from inferometer.emulator.aliases import Document
from inferometer.emulator.importers.run import Row, Run

KEY = (
    "collective", "implementation", "backend", "launch_mode", "timing", "dtype", "concurrent_groups", "bytes", "ranks",
    "nodes",
)  # fmt: skip
"""What a cell is named by."""
UNKNOWN = "unknown"


def settle_unknown(run: Run) -> None:
    """Flag what is still unknown once --set has been applied; a row that cannot be a cell is left out with the reason."""
    if run.tool_collective is None:
        run.flag("collective_unknown", "the source does not name the collective: --set collective=…")
        run.exclude_all("collective_unknown")
    elif run.collective is None:
        run.flag("no_law", f"no cost law for {run.tool_collective}")
        run.exclude_all("no_law")
    for name in ("ranks", "nodes"):
        if getattr(run, name) is None:
            run.flag(f"{name}_unknown", f"the source does not tell: --set {name}=…")
    if run.ranks == 1:
        run.flag("one_rank", "one rank: nothing was communicated")
        run.exclude_all("one_rank")
    if run.ranks is not None and run.nodes is not None and run.nodes > run.ranks:
        run.flag("layout_impossible", f"{run.ranks} ranks cannot be on {run.nodes} nodes")
        run.exclude_all("layout_impossible")


def entry(file: str, sha256: str, run: Run) -> Document:
    """One element of the report's ``files``. nodes and ranks are null where the source does not tell."""
    return {
        "file": file,
        "collective": run.tool_collective,
        "ranks": run.ranks,
        "nodes": run.nodes,
        "rows": len(run.rows),
        "cells": len(run.kept),
        "flags": list(run.flags),
        "reasons": run.flags,
        "excluded": run.excluded(),
        "dtype": run.dtypes(),
        "implementation": implementation(run),
        "launch_mode": run.launch_mode,
        "device": run.device,
        "backend_version": run.backend_version,
        "iterations": run.iterations,
        **{key: value for key, value in run.facts.items() if value is not None},
        "sha256": sha256,
    }


def implementation(run: Run) -> str | None:
    """With what makes the operation another one than the plain: nccl/max, mpi/nonblocking."""
    return "/".join(part for part in (run.implementation, run.variant) if part) or None


def cell_records(runs: Iterable[tuple[str, Run]]) -> list[Document]:
    """A record for each row a fit may see; the same cell again, of another run, is another launch. runs: (file, run)."""
    seen: dict[str, int] = {}
    records = []
    for file, run in runs:
        same, name = _of_all_rows(file, run), _cell_name(run)
        for row in run.kept:
            record = _record(run, row, same, name)
            cell = record["cell"]
            record["launch"] = launch = seen.get(cell, 0)
            seen[cell] = launch + 1
            records.append(record)
    return records


def _of_all_rows(file: str, run: Run) -> Document:
    """What the records of a run's rows have in common."""
    return {
        "record": "cell",
        "cell": "",
        "launch": 0,
        "collective": run.collective,
        "implementation": implementation(run),
        "backend": run.backend,
        "launch_mode": run.launch_mode,
        "timing": run.timing,
        "dtype": None,
        "concurrent_groups": run.concurrent_groups,
        "bytes": None,
        "ranks": run.ranks,
        "nodes": run.nodes,
        "scheduler": None,
        "start_ns": None,
        "stop_ns": None,
        "us": None,
        "statistic": run.statistic,
        "n": 1,
        "iterations": run.iterations,
        "wrong": None,
        "flags": sorted(run.flags),
        "source": file,
    }


def _cell_name(run: Run) -> list[str]:
    """What stands before, between and after a row's dtype and bytes in the name of its cell."""
    known = {**vars(run), "implementation": implementation(run), "dtype": "\0", "bytes": "\0"}
    return "/".join(UNKNOWN if known[part] is None else str(known[part]) for part in KEY).split("\0", 2)


def _record(run: Run, row: Row, same: Document, name: list[str]) -> Document:
    record = {**same, "dtype": row.dtype, "bytes": row.bytes, "us": row.us, "wrong": row.wrong, **row.extra}
    before, between, after = name
    record["cell"] = f"{before}{row.dtype or UNKNOWN}{between}{UNKNOWN if row.bytes is None else row.bytes}{after}"
    if row.iterations_us and run.ranks is not None and run.nodes is not None:
        record |= _readings(row.iterations_us)
    return record


def _readings(iterations_us: list[float]) -> Document:
    """Iterations of known duration as readings of one clock, one after the other: an interval within the launch."""
    start, stop, now = [], [], 0
    for us in iterations_us:
        start.append(now)
        now += max(1, round(us * 1000))
        stop.append(now)
    readings = {"start_ns": [start], "stop_ns": [stop], "participants": [0], "groups_ranks": [[0]]}
    return readings | {"n": len(start), "operations": 1, "time_definition": "longest_duration"}


def header(format_name: str, files: list[Document], runs: list[Run]) -> Document:
    """The samples file's header: where everything comes from, and the machine as far as the sources tell."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": {
            "hardware": {"devices": _distinct(run.device for run in runs)},
            "software": {"versions": _distinct(run.backend_version for run in runs)},
            "variables": {},
        },
        "method": {"kind": "imported", "format": format_name},
        "provenance": {"kind": "imported", "format": format_name, "files": files},
    }


def _distinct(values: Iterable[str | None]) -> list[str]:
    return sorted({value for value in values if value})
