"""DeepSpeed's communication benchmark (ds_bench, DeepSpeedExamples/benchmarks/communication), with and without ``--raw``.

    ---- Performance of all_reduce on 8 devices ------…
    Size (Bytes)         Description               Duration             Throughput (Gbps)    BusBW (Gbps)
    1.0 MB               524288x2                  96.5 us              173.864              152.131

Size is rounded, Description is elements x bytes of each, exact. Which bytes an all_gather's throughput counts has changed,
so the total is the one that throughput × duration tells: the message of one rank, or of all of them.
"""

from __future__ import annotations

import re

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.run import Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import MAX_ROWS, Source
from inferometer.parallel.collectives import COLLECTIVES

_TITLE = re.compile(r"-{3,}\s*Performance of (\w+) on (\d{1,7}) devices")
_HEAD = re.compile(r"Size \(Bytes\).*Throughput \((Gbps|GBps)\)\s+BusBW")
_ROW = re.compile(
    r"(?:\d+(?:\.\d+)?\s*[KMGT]?i?B?|\d+)\s+(?P<count>\d{1,15})x(?P<item>\d{1,2})\s+(?P<time>\d+(?:\.\d+)?)\s*(?P<unit>us|ms|s)?"
    r"\s+(?P<throughput>\d+(?:\.\d+)?)\s+(?P<bus>\d+(?:\.\d+)?)"
)
_US = {"us": 1.0, "ms": 1e3, "s": 1e6, None: 1.0}
DTYPES = {2: None, 4: "float32", 1: None, 8: "float64"}
SLACK = 0.05
NAMES = {"pt2pt": "send_recv"}


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where no table is in it, naming the first line that looked like a row."""
    runs: list[Run] = []
    near, gigabits, rows = "", True, 0
    for number, raw in source.lines():
        line = prefix.strip(raw[:2000])[1].strip()
        if found := _TITLE.search(line):
            runs.append(_begin(found[1], int(found[2])))
        elif found := _HEAD.search(line):
            gigabits = found[1] == "Gbps"
        elif (found := _ROW.match(line)) and runs:
            rows += 1
            if rows > MAX_ROWS:
                raise InputError(f"{source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
            runs[-1].rows.append(_row(found, runs[-1], gigabits))
        elif not near and (found or "Duration" in line):
            near = f": line {number} looks like a table, but no line 'Performance of … on … devices' stands before it"
    runs = [run for run in runs if run.rows]
    if not runs:
        raise InputError(f"{source}: no table of DeepSpeed's communication benchmark in it{near}")
    for run in runs:
        if bad := sum(row.excluded == "time_contradicted" for row in run.rows):
            run.flag("time_contradicted", f"{bad} rows whose throughput × duration is the size of no message of theirs")
        check(run)
    return runs


def _begin(name: str, ranks: int) -> Run:
    run = Run([], ranks=ranks, implementation="nccl", backend="nccl", launch_mode="stream", timing="pipelined")
    run.call(NAMES.get(name) or tool_name(name))
    if run.tool_collective is None:
        run.flag("collective_unknown", f"{name} is no collective known here")
    if run.collective == "send_recv":
        run.ranks = 2
    run.flag("library_assumed", "the output names no library: torch's NCCL is taken, --set implementation=… refines it")
    return run


def _row(found: re.Match[str], run: Run, gigabits: bool) -> Row:
    each, item = int(found["count"]) * int(found["item"]), int(found["item"])
    us = float(found["time"]) * _US[found["unit"]]
    moved = float(found["throughput"]) * (1e9 / 8 if gigabits else 1e9) * us / 1e6
    if run.collective == "all_reduce":
        moved /= 2  # its throughput counts what is sent and what is received
    row = Row(each, us, DTYPES.get(item))
    totals = [each]
    if run.collective and COLLECTIVES[run.collective].in_shards and run.ranks:
        totals = [each, each * run.ranks]
    fits = [total for total in totals if abs(moved - total) <= SLACK * total]
    if not fits and moved > 0:
        row.excluded = "time_contradicted"
    row.bytes = fits[0] if fits else each
    return row
