"""rccl-tests: the same text as nccl-tests', or the rows it writes with ``-x FILE -Z json|csv``, of every release.

The columns are gpus, or, built with MPI, nodes, ranks (processes), ranksPerNode and gpusPerRank. Releases wrote rows in a
valid list or one object a line, blanks after commas, a head that lacks nodes, and the operation as name or collective.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.implied import half_unit, ratio_of, two_digits
from inferometer.emulator.importers.nccl import nccl_tests
from inferometer.emulator.importers.run import Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.sweeps import merge_cycles
from inferometer.emulator.importers.tables import columns_of, count, number, records_of
from inferometer.parallel.dtypes import common_name

NEEDED = ("size", "time", "inplace")
RANKS = ("gpus", "ranks")
SLACK = 1.1
"""Between size over time and the algbw beside it."""


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where the file is neither."""
    if source.starts_like_json():
        return _rows(source, _json_rows(source))
    columns = columns_of(source)
    if columns is not None and set(NEEDED) <= set(columns) and set(RANKS) & set(columns):
        if "ranks" in columns and "nodes" not in columns:
            return _rows(source, records_of(source, columns, missing=("nodes", columns.index("ranks"))))
        return _rows(source, records_of(source, columns))
    return nccl_tests.read(source, settings, library="rccl")


def _json_rows(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """A list of rows, or a row per line: the first versions wrote no valid document."""
    rows: Iterator[tuple[int, Any]]
    if source.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        content = source.json()
        rows = enumerate(content if isinstance(content, list) else [content], 1)
    else:
        rows = source.json_lines()
    for number_, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{source}: row {number_} is no object: not rccl-tests' JSON")
        yield number_, {str(key).lower(): value for key, value in row.items()}


def _rows(source: Source, records: Iterator[tuple[int, dict[str, Any]]]) -> list[Run]:
    def readings() -> Iterator[Reading]:
        for line, record in records:
            where = f"{source}: line {line}"
            for key in NEEDED:
                if record.get(key) is None:
                    raise InputError(f"{where}: no key '{key}': not rccl-tests' rows")
            ranks, nodes = _place(record, where)
            name = record.get("name") or record.get("collective")
            collective = tool_name(str(name)) if name else None
            row = _row(record, where)
            _check_twice(row, record, collective, ranks, where)
            redop = str(record.get("redop") or "")
            yield Reading(
                row,
                tool_collective=collective,
                ranks=ranks,
                nodes=nodes,
                implementation="rccl",
                backend="nccl",
                launch_mode=None,
                timing="pipelined",
                variant="" if redop in ("", "sum", "none") else redop[:20],
            )

    runs = runs_from(source, readings(), statistic="mean")
    for run in runs:
        if bad := sum(row.excluded == "contradicted" for row in run.rows):
            first = next(row.extra["contradiction"] for row in run.rows if row.excluded == "contradicted")
            run.flag("contradicted", f"{bad} rows contradict themselves: {first}")
        if len({row.extra.get("cycle") for row in run.rows}) > 1:
            merge_cycles(run)
    return runs


def _place(record: dict[str, Any], where: str) -> tuple[int | None, int | None]:
    """Ranks of the communicator and nodes."""
    if record.get("gpus") is not None:
        return count(record["gpus"], where, "gpus"), None
    if record.get("ranks") is None:
        raise InputError(f"{where}: no key 'gpus' and no key 'ranks': not rccl-tests' rows")
    processes = count(record["ranks"], where, "ranks")
    each = count(record["gpusperrank"], where, "gpusPerRank") if record.get("gpusperrank") is not None else 1
    nodes = count(record["nodes"], where, "nodes") if record.get("nodes") is not None else None
    on_each = count(record["rankspernode"], where, "ranksPerNode") if record.get("rankspernode") is not None else None
    if nodes is not None and on_each is not None and nodes * on_each != processes:
        raise InputError(f"{where}: {nodes} nodes × {on_each} ranksPerNode are not {processes} ranks")
    return processes * each, nodes


def _row(record: dict[str, Any], where: str) -> Row:
    wrong = number(record.get("#wrong", record.get("wrong")), where, "#wrong", optional=True)
    dtype = str(record["type"]) if record.get("type") is not None else None
    row = Row(
        bytes=count(record["size"], where, "size", zero=True),
        us=number(record["time"], where, "time"),
        dtype=common_name(dtype) if dtype else None,
        wrong=None if wrong is None else int(wrong > 0),
        extra={"redop": record.get("redop"), "cycle": record.get("numcycle")},
    )
    if str(record["inplace"]).strip().lower() in ("1", "true"):
        row.excluded = "in_place"
    return row


def _check_twice(row: Row, record: dict[str, Any], collective: str | None, ranks: int | None, where: str) -> None:
    """Size over time is algbw, and busbw over algbw tells the ranks; a row that denies it is left out."""
    algbw = number(record.get("algbw"), where, "algBw", optional=True)
    busbw = number(record.get("busbw"), where, "busBw", optional=True)
    if not algbw or not row.us or not row.bytes:
        return
    half = half_unit(repr(algbw))
    if two_digits(repr(algbw)) and not (algbw - half) / SLACK <= row.bytes / row.us / 1e3 <= (algbw + half) * SLACK:
        row.extra["contradiction"] = (
            f"{row.bytes} bytes / {row.us:g} µs = {row.bytes / row.us / 1e3:.4g} GB/s, algBw {algbw:g}"
        )
        row.excluded = row.excluded or "contradicted"
    elif busbw is not None and collective and ranks and ranks > 1:
        ratio = ratio_of([(repr(round(algbw, 4)), repr(round(busbw, 4)))])
        if ratio.known and not ratio.allows(collective, ranks):
            row.extra["contradiction"] = f"busBw {busbw:g} / algBw {algbw:g} is not that of {collective} on {ranks} ranks"
            row.excluded = row.excluded or "contradicted"
