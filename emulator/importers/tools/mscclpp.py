"""mscclpp-test: a table like nccl-tests' with the in-place group first, without types, and often with one group only.

    #                                    in-place                       out-of-place
    #       size         count     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong

The position of the numbers under the head shows which group is left blank. ``-o FILE`` writes an object a row:

    {"name":"allgather", "kernel":1, "ranks":8, "ranksPerNode":8, "algBw":291.52, "busBw":255.08, "size":1073741824, …}
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import Reading, check, runs_from
from inferometer.emulator.importers.implied import ratio_of
from inferometer.emulator.importers.nccl.collective import from_name
from inferometer.emulator.importers.run import PAIR, TOOL_COLLECTIVES, Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import MAX_ROWS, Source
from inferometer.emulator.importers.tables import count, number

_HEAD = re.compile(r"size\s+count\s+time\s+algbw\s+busbw\s+#wrong")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?")
GROUP = 4
SLACK = 0.1


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where no table is in it, naming the first line that looked like a row."""
    if source.starts_like_json():
        return _flagged(runs_from(source, _objects(source), statistic="mean"))
    rows: list[Row] = []
    bandwidths: list[tuple[str, str]] = []
    ends: list[int] = []
    near = ""
    for at, raw in source.lines():
        line = prefix.strip(raw[:2000])[1]
        if _HEAD.search(line):
            ends = [found.end() for found in re.finditer(r"\btime\b", line)]
            continue
        cells = list(re.finditer(r"\S+", line))
        if len(cells) < 2 or not all(_NUMBER.fullmatch(cell[0]) or cell[0] == "N/A" for cell in cells):
            continue
        if not ends or len(cells) not in (2 + GROUP, 2 + 2 * GROUP):
            near = near or f": line {at} looks like a row, but has {len(cells)} cells" + ("" if ends else " and no head")
            continue
        if len(rows) >= MAX_ROWS:
            raise InputError(f"{source}: line {at}: more than {MAX_ROWS} rows: not one benchmark's log")
        row, printed = _row(cells, ends)
        rows.append(row)
        bandwidths += printed
    if not rows:
        raise InputError(f"{source}: no table of mscclpp-test in it{near}")
    run = Run(rows, implementation="mscclpp", backend="mscclpp", launch_mode="graph", timing="pipelined")
    _conclude(run, bandwidths, settings, source)
    check(run)
    return [run]


def _objects(source: Source) -> Iterator[Reading]:
    for line, record in source.json_lines():
        where = f"{source}: line {line}"
        if not isinstance(record, dict) or not {"name", "size", "time", "ranks"} <= set(record):
            raise InputError(f"{where}: no object with name, size, time and ranks: not mscclpp-test's rows")
        ranks = count(record["ranks"], where, "ranks")
        on_each = count(record.get("ranksPerNode", ranks), where, "ranksPerNode")
        row = Row(count(record["size"], where, "size", zero=True), number(record["time"], where, "time"))
        algbw = number(record.get("algBw"), where, "algBw", optional=True)
        if algbw and row.us and not 1 - SLACK < (row.bytes or 0) / row.us / 1e3 / algbw < 1 + SLACK:
            row.excluded = "time_contradicted"
        variant = f"kernel{count(record['kernel'], where, 'kernel', zero=True)}" if record.get("kernel") is not None else ""
        nodes = ranks // on_each if ranks % on_each == 0 else None
        name = tool_name(str(record["name"]))
        yield Reading(row, name, ranks, nodes, "mscclpp", "mscclpp", "graph", "pipelined", variant=variant)


def _flagged(runs: list[Run]) -> list[Run]:
    for run in runs:
        if bad := sum(row.excluded == "time_contradicted" for row in run.rows):
            run.flag("time_contradicted", f"{bad} rows whose size over time is not the algBw they print")
    return runs


def _row(cells: list[re.Match[str]], ends: list[int]) -> tuple[Row, list[tuple[str, str]]]:
    """Out-of-place times where they are, else in-place ones: its kernels are written to work in place."""
    size, texts = int(float(cells[0][0])), [cell[0] for cell in cells]
    groups: dict[str, list[str]] = {}
    if len(cells) == 2 + 2 * GROUP:
        groups = {"in_place": texts[2:6], "out_of_place": texts[6:10]}
    else:
        distances = [abs(cells[2].end() - end) for end in ends]
        groups = {("in_place", "out_of_place")[distances.index(min(distances[:2]))]: texts[2:6]}
    chosen = groups.get("out_of_place") or groups["in_place"]
    row = Row(size, None if chosen[0] == "N/A" else float(chosen[0]), wrong=_wrong(chosen[3]))
    row.extra = {"place": "out_of_place" if "out_of_place" in groups else "in_place", "count": int(float(texts[1]))}
    if "out_of_place" in groups and "in_place" in groups and groups["in_place"][0] != "N/A":
        row.extra["in_place_us"] = float(groups["in_place"][0])
    told = row.us is not None and row.us > 0 and "N/A" not in chosen[:3] and float(chosen[1]) > 0.1
    if told and not 1 - SLACK < size / (row.us or 1) / 1e3 / float(chosen[1]) < 1 + SLACK:
        row.excluded = "time_contradicted"
    return row, [(g[1], g[2]) for g in groups.values() if "N/A" not in g[:3]]


def _wrong(cell: str) -> int | None:
    return None if cell == "N/A" else int(float(cell) > 0)


def _conclude(run: Run, bandwidths: list[tuple[str, str]], settings: Settings, source: Source) -> None:
    ratio = ratio_of(bandwidths)
    named = settings.words.get("collective") or from_name(source.path.stem, set(TOOL_COLLECTIVES) - {PAIR})
    if named is None and ratio.known and ratio.low > 1:
        named = "all_reduce"
        run.flag("collective_inferred", "all_reduce: more crosses the bus than is reduced")
    run.call(named)
    span = ratio.ranks(named) if named and ratio.known else None
    if span and span[0] == span[1]:
        run.ranks = span[0]
        run.flag("inferred", f"{run.ranks} ranks inferred from busbw/algbw")
    if bad := sum(row.excluded == "time_contradicted" for row in run.rows):
        run.flag("time_contradicted", f"{bad} rows whose size over time is not the algbw they print")
    if {row.extra["place"] for row in run.rows} == {"in_place"}:
        run.flag("in_place_only", "only the in-place group was measured")
