"""rccl-tests: the same text as nccl-tests', or the rows it writes with ``-x FILE -Z json|csv``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.nccl import nccl_tests
from inferometer.emulator.importers.run import Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.tables import columns_of, count, number, records_of
from inferometer.parallel.dtypes import common_name

NEEDED = ("gpus", "size", "time", "inplace")


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where the file is neither."""
    if source.starts_like_json():
        return _rows(source, _json_rows(source))
    columns = columns_of(source)
    if columns is not None and set(NEEDED) <= set(columns):
        return _rows(source, records_of(source, columns))
    return nccl_tests.read(source, settings, library="rccl")


def _json_rows(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    """A list of rows, or a row per line: the first versions wrote no valid document."""
    first = next((line for _, line in Source(source.path).lines() if line.strip()), "")
    rows: Iterator[tuple[int, Any]]
    if first.lstrip().startswith("["):
        content = source.json()
        rows = enumerate(content if isinstance(content, list) else [content], 1)
    else:
        rows = ((number, _parse(source, number, line)) for number, line in source.lines() if line.strip(" ,"))
    for number_, row in rows:
        if not isinstance(row, dict):
            raise InputError(f"{source}: row {number_} is no object: not rccl-tests' JSON")
        yield number_, {str(key).lower(): value for key, value in row.items()}


def _parse(source: Source, number_: int, line: str) -> Any:
    try:
        return json.loads(line.strip().rstrip(","))
    except (ValueError, RecursionError):
        raise InputError(f"{source}: line {number_} is not JSON") from None


def _rows(source: Source, records: Iterator[tuple[int, dict[str, Any]]]) -> list[Run]:
    def readings() -> Iterator[Reading]:
        for line, record in records:
            where = f"{source}: line {line}"
            for key in NEEDED:
                if record.get(key) is None:
                    raise InputError(f"{where}: no key '{key}': not rccl-tests' rows")
            wrong = number(record.get("#wrong", record.get("wrong")), where, "#wrong", optional=True)
            name = record.get("name")
            dtype = str(record["type"]) if record.get("type") is not None else None
            row = Row(
                bytes=count(record["size"], where, "size", zero=True),
                us=number(record["time"], where, "time"),
                dtype=common_name(dtype) if dtype else None,
                wrong=None if wrong is None else int(wrong > 0),
                extra={"redop": record.get("redop")},
            )
            if str(record["inplace"]).strip().lower() in ("1", "true"):
                row.excluded = "in_place"
            yield Reading(
                row,
                tool_collective=tool_name(str(name)) if name else None,
                ranks=count(record["gpus"], where, "gpus"),
                nodes=None,
                implementation="rccl",
                backend="nccl",
                launch_mode=None,
                timing="pipelined",
            )

    return runs_from(source, readings(), statistic="mean")
