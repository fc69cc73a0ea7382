"""Tables whose every row says what it belongs to: rows → one run per collective, layout and implementation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Row, Run
from inferometer.emulator.importers.source import MAX_ROWS, Source


@dataclass(slots=True)
class Reading:
    """A row and what it belongs to; None is unknown."""

    row: Row
    tool_collective: str | None
    ranks: int | None
    nodes: int | None
    implementation: str | None
    backend: str | None
    launch_mode: str | None
    timing: str | None
    device: str | None = None
    backend_version: str | None = None
    statistic: str | None = None
    variant: str = ""
    concurrent_groups: int | str = 1

    def place(self) -> tuple[object, ...]:
        """All but the row's numbers; the dtype belongs to it."""
        return (*(getattr(self, f.name) for f in fields(self) if f.name != "row"), self.row.dtype)


def runs_from(source: Source, readings: Iterable[Reading], statistic: str) -> list[Run]:
    """Raises ``InputError`` where there is no row, or more than a table of measurements has."""
    runs: dict[tuple[object, ...], Run] = {}
    for seen, reading in enumerate(readings, 1):
        if seen > MAX_ROWS:
            raise InputError(f"{source}: more than {MAX_ROWS} rows: not one table of measurements")
        run = runs.get(reading.place())
        if run is None:
            runs[reading.place()] = run = _run(reading, statistic)
        run.rows.append(reading.row)
    if not runs:
        raise InputError(f"{source}: no rows in it")
    for run in runs.values():
        check(run)
    return list(runs.values())


def _run(reading: Reading, statistic: str) -> Run:
    run = Run([], statistic=reading.statistic or statistic)
    for name in ("tool_collective", "ranks", "nodes", "implementation", "backend", "launch_mode", "timing", "variant"):
        setattr(run, name, getattr(reading, name))
    run.collective = TOOL_COLLECTIVES[reading.tool_collective] if reading.tool_collective else None
    run.concurrent_groups = reading.concurrent_groups
    run.device, run.backend_version = reading.device, reading.backend_version
    return run


def check(run: Run) -> None:
    """Flag and exclude what no fit may see, as for a log."""
    for row in run.rows:
        if row.bytes == 0 and run.collective != "barrier":
            row.excluded = row.excluded or "size_zero"
        elif row.us is None or row.us <= 0:
            row.excluded = row.excluded or "no_time"
    if zero := sum(row.excluded == "size_zero" for row in run.rows):
        run.flag("size_zero_rows", f"{zero} rows move no bytes")
    if bad := sum(bool(row.wrong) for row in run.rows):
        run.flag("wrong_data", f"{bad} rows with wrong results")
        run.exclude_all("wrong_data")
    if run.ranks == 1:
        run.flag("one_rank", "one rank: nothing was communicated")
        run.exclude_all("one_rank")
    if run.ranks is not None and run.nodes is not None and run.nodes > run.ranks:
        run.flag("layout_impossible", f"{run.ranks} ranks cannot be on {run.nodes} nodes")
        run.exclude_all("layout_impossible")
