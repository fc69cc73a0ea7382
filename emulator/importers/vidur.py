"""Vidur's profiles (network/DEVICE/{all_reduce,send_recv}.csv, .csv.xz since 0.0.26): ms, bytes, kernel times of one rank.

Its profiler takes the duration of the NCCL kernel, launched eagerly in fp16: the wait for the slowest rank is in it, the
launch is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.run import Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.tables import columns_of, count, number, records_of, us_of_ms

NEEDED = ("num_workers", "size", "collective", "devices_per_node")
PREFIX = "time_stats."


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` naming the column or the line where the file is not Vidur's."""
    columns = columns_of(source) or []
    for name in NEEDED:
        if name not in columns:
            raise InputError(f"{source}: not Vidur's CSV: no column '{name}'")
    if not any(name.startswith(PREFIX) and name.endswith(".median") for name in columns):
        raise InputError(f"{source}: not Vidur's CSV: no column '{PREFIX}<collective>.median'")
    runs = runs_from(source, _readings(source, columns), statistic="median")
    for run in runs:
        run.flag("kernel_time", "kernel durations: with the wait for the slowest rank, without the launch")
        if run.nodes is None:
            run.flag("nodes_unknown", f"{run.ranks} ranks do not divide over their devices per node")
    return runs


def _readings(source: Source, columns: list[str]) -> Iterator[Reading]:
    for line, record in records_of(source, columns):
        where = f"{source}: line {line}"
        name = str(record["collective"])
        median = f"{PREFIX}{name}.median"
        if median not in record:
            raise InputError(f"{where}: collective {name[:40]!r} has no column '{median[:60]}'")
        ranks = count(record["num_workers"], where, "num_workers")
        each = count(record["devices_per_node"], where, "devices_per_node")
        ms = number(record[median], where, median)
        spread = {
            f"{stat}_us": _us(record.get(f"{PREFIX}{name}.{stat}"), where, stat) for stat in ("min", "max", "mean", "std")
        }
        yield Reading(
            Row(count(record["size"], where, "size", zero=True), _us(ms, where, median), "float16", extra=spread),
            tool_collective=tool_name(name),
            ranks=ranks,
            nodes=ranks // each if ranks % each == 0 else None,
            implementation="nccl",
            backend="nccl",
            launch_mode="eager",
            timing="kernel",
        )


def _us(ms: object, where: str, column: str) -> float | None:
    value = number(ms, where, column, optional=True)
    return None if value is None else us_of_ms(value)
