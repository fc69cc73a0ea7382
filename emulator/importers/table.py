"""The plain CSV: a column for each thing a sample says; `docs/importing.md` lists them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.nccl.collective import from_name
from inferometer.emulator.importers.run import PAIR, TOOL_COLLECTIVES, Row, Run, known_word, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.sweeps import flag_cold, flag_noise
from inferometer.emulator.importers.tables import columns_of, count, number, records_of
from inferometer.parallel.dtypes import common_name

ALIASES = {
    "bytes": ("bytes", "size_bytes"),
    "us": ("us", "time_us", "out_of_place_us", "out_of_place_time_us"),
    "in_place_us": ("in_place_us", "in_place_time_us"),
    "wrong": ("wrong", "#wrong", "out_of_place_wrong"),
    "dtype": ("dtype", "type"),
}
WORDS = ("implementation", "backend", "launch_mode", "timing", "device", "backend_version", "statistic")
NEEDS = "needed are bytes (B) and us (µs of one operation): convert, rename"
PLACE = ("collective", "ranks", "nodes")


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where there is no column of sizes or of times, naming the line of a bad cell."""
    columns = columns_of(source)
    if columns is None:
        raise InputError(f"{source}: not a CSV table: its first line is no list of columns with commas; {NEEDS}")
    _refuse_ambiguous(source, columns)
    used = {name: next((alias for alias in aliases if alias in columns), None) for name, aliases in ALIASES.items()}
    for name in ("bytes", "us"):
        if used[name] is None:
            raise InputError(f"{source}: no column {' or '.join(ALIASES[name])}; {NEEDS}; it has {', '.join(columns)[:60]}")
    runs = runs_from(source, _readings(source, columns, used), statistic="mean")
    named = None if "collective" in columns else from_name(source.path.stem, set(TOOL_COLLECTIVES) - {PAIR})
    read_by_name = {*PLACE, *WORDS, *used.values()}
    unknown = [column for column in columns if column not in read_by_name]
    for run in runs:
        if unknown:
            run.flag("columns_ignored", f"columns that are not known: {', '.join(unknown)[:200]}")
        sizes = [row.bytes or 0 for row in run.rows]
        if all(a < b for a, b in zip(sizes, sizes[1:])):
            flag_cold(run)
            flag_noise(run)
        if run.tool_collective is None and named and "collective" not in settings.words:
            run.tool_collective, run.collective = named, TOOL_COLLECTIVES[named]
            run.flag("collective_from_file_name", f"{named} by the file's name; the table has no column collective")
    return runs


def _refuse_ambiguous(source: Source, columns: list[str]) -> None:
    """Raise ``InputError`` where two columns would say the same thing."""
    if twice := next((column for column in columns if columns.count(column) > 1), None):
        raise InputError(f"{source}: two columns are called {twice[:40]!r}")
    for name, aliases in ALIASES.items():
        found = [alias for alias in aliases if alias in columns]
        if len(found) > 1:
            raise InputError(f"{source}: columns {' and '.join(found)} both say {name}: keep one")


def _readings(source: Source, columns: list[str], used: dict[str, str | None]) -> Iterator[Reading]:
    def value(record: dict[str, Any], name: str) -> Any:
        column = used[name]
        return record[column] if column else None

    for line, record in records_of(source, columns):
        where = f"{source}: line {line}"
        name = record.get("collective")
        collective = tool_name(name) if name else None
        if name and collective is None:
            raise InputError(f"{where}: collective {name[:40]!r} is unknown, known are {', '.join(TOOL_COLLECTIVES)}")
        dtype = value(record, "dtype")
        wrong = number(value(record, "wrong"), where, "wrong", optional=True)
        row = Row(
            bytes=count(value(record, "bytes"), where, str(used["bytes"]), zero=True),
            us=number(value(record, "us"), where, str(used["us"]), optional=True),
            dtype=common_name(dtype) if dtype else None,
            wrong=None if wrong is None else int(wrong > 0),
        )
        if used["in_place_us"]:
            row.extra["in_place_us"] = number(value(record, "in_place_us"), where, "in_place_us", optional=True)
        ranks, nodes = (None if record.get(key) is None else count(record[key], where, key) for key in ("ranks", "nodes"))
        words = {key: known_word(key, record[key], where) for key in WORDS if record.get(key) is not None}
        yield Reading(
            row,
            collective,
            ranks,
            nodes,
            implementation=words.get("implementation"),
            backend=words.get("backend"),
            launch_mode=words.get("launch_mode"),
            timing=words.get("timing"),
            device=words.get("device"),
            backend_version=words.get("backend_version"),
            statistic=words.get("statistic"),
        )
