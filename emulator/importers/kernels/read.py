"""``inferometer import kernels``: tables of kernel times → compute records, as own probes make them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from inferometer.emulator.aliases import Document
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.kernels import aiconfigurator
from inferometer.emulator.importers.kernels.rows import COLUMNS, KEY, LAUNCH_MODES, operation
from inferometer.emulator.importers.kernels.summary import is_summary
from inferometer.emulator.importers.kernels.summary import rows_of as summary_rows
from inferometer.emulator.importers.parquet import is_parquet
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import MAX_DOCUMENT_BYTES, MAX_ROWS, Source
from inferometer.emulator.importers.tables import columns_of, count, records_of
from inferometer.emulator.workload.kernels.formats import FORMATS, format_of

BACKEND = "torch"
OF_EVERY_DTYPE = ("null", "memory")
"""Kinds that hold for every dtype of a device where theirs is not given."""


def read(source: Source, settings: Settings) -> tuple[Document, list[Document]]:
    """What a file holds, in numbers, and its compute records: one for each device, backend, launch mode, dtype and launch.

    Raises InputError for what is no table of kernels, naming row and column.
    """
    groups: dict[tuple[Any, ...], list[Document]] = {}
    of_every: list[tuple[dict[str, Any], str]] = []
    working_sets: dict[tuple[Any, ...], int] = {}
    left_out: Counter[str] = Counter()
    sources: set[str] = set()
    for where, row in _rows(source, left_out):
        given = {name: row.get(name) or settings.words.get(name) for name in ("dtype", "launch_mode", "backend")}
        row = row | {name: value for name, value in given.items() if value}
        if row.get("kind") in OF_EVERY_DTYPE and not row.get("dtype"):
            of_every.append((row, where))
            continue
        key = _key(row, where)
        if row.get("source"):
            sources.add(str(row["source"]))
        groups.setdefault(key, []).append(operation(row | {"dtype": key[3]}, where))
        if row.get("working_set_bytes"):
            working_sets[key] = count(row["working_set_bytes"], where, "working_set_bytes")
    for row, where in of_every:
        for dtype in sorted({key[3] for key in groups}):
            groups.setdefault(_key(row | {"dtype": dtype}, where), []).append(operation(row, where))
    if not groups:
        out = ", ".join(f"{number} {why}" for why, number in left_out.items())
        raise InputError(f"{source}: no kernel times in it{f'; left out: {out}' if out else ''}")
    records = [_record(key, ops, working_sets.get(key)) for key, ops in groups.items()]
    return _entry(source, groups) | {"left_out": dict(left_out), "kernel_sources": sorted(sources)}, records


def _rows(source: Source, left_out: Counter[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and cells of each row, by the documented columns. left_out counts rows that are none, by reason."""
    if source.head.lstrip()[:1] in (b"{", b"["):
        yield from _of_json(source)
        return
    columns = None if is_parquet(source) else columns_of(source)
    if is_parquet(source) or aiconfigurator.is_table(columns or ()):
        yield from aiconfigurator.rows_of(source, columns, left_out)
        return
    if not columns or "kind" not in columns or "us" not in columns:
        raise InputError(f"{source}: a table of kernels needs columns kind and us; known are {', '.join(COLUMNS)}")
    for line, record in records_of(source, columns):
        yield f"{source}: line {line}", {name: record[name] for name in columns if name in COLUMNS}


def _of_json(source: Source) -> Iterator[tuple[str, dict[str, Any]]]:
    content = bytearray()
    for chunk in source.chunks():
        content += chunk
        if len(content) > MAX_DOCUMENT_BYTES:
            raise InputError(f"{source}: more than {MAX_DOCUMENT_BYTES >> 20} MiB of JSON")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not JSON: {str(error)[:100]}") from None
    if isinstance(document, dict) and is_summary(document):
        found: Any = list(summary_rows(document, str(source)))
    else:
        found = document.get("kernels") if isinstance(document, dict) else document
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise InputError(f"{source}: a table of kernels in JSON is a list of objects, or has one under kernels")
    if len(found) > MAX_ROWS:
        raise InputError(f"{source}: more than {MAX_ROWS} rows")
    for number, row in enumerate(found, 1):
        yield f"{source}: row {number} ({row.get('kind')})", row


def _key(row: dict[str, Any], where: str) -> tuple[Any, ...]:
    """By KEY. Raises InputError for what is missing or unknown."""
    dtype, mode = row.get("dtype"), row.get("launch_mode")
    form = None if dtype is None else format_of(str(dtype))
    if form is None:
        raise InputError(f"{where}: dtype is {str(dtype)[:40]!r}, known are {', '.join(FORMATS)}: --set dtype=…")
    if mode not in LAUNCH_MODES:
        raise InputError(
            f"{where}: launch_mode is {str(mode)[:40]!r}, known are {', '.join(LAUNCH_MODES)}: --set launch_mode=…"
        )
    if not row.get("device"):
        raise InputError(f"{where}: device is missing: which GPU is it?")
    launch = 0 if row.get("launch") is None else count(row["launch"], where, "launch", zero=True)
    return str(row["device"]), str(row.get("backend") or BACKEND), mode, form.name, launch


def _record(key: tuple[Any, ...], ops: list[Document], working_set_bytes: int | None) -> Document:
    device, backend, mode, dtype, launch = key
    return {
        "record": "compute",
        "cell": f"kernels/{device}/{backend}/{mode}/{dtype}",
        "launch": launch,
        "backend": backend,
        "device": device,
        "launch_mode": mode,
        "dtype": dtype,
        "scheduler": "unknown",
        "threads": 1,
        "concurrent_ranks": 1,
        "model": None,
        "sharded": False,
        "tokens": 0,
        "participants": [0],
        "working_set_bytes": working_set_bytes,
        "ops": ops,
    }


def _entry(source: Source, groups: dict[tuple[Any, ...], list[Document]]) -> Document:
    """The report's element of a file."""
    parts = [dict(zip(KEY, key)) | {"kinds": dict(Counter(op["kind"] for op in ops))} for key, ops in groups.items()]
    return {
        "file": str(source),
        "kernels": sum(map(len, groups.values())),
        "devices": sorted({part["device"] for part in parts}),
        "tables": parts,
        "sha256": source.sha256,
    }


def shown(entry: Document) -> str:
    """The entry in one line."""
    parts = []
    for part in entry["tables"]:
        kinds = ", ".join(f"{number} {kind}" for kind, number in part["kinds"].items())
        parts.append(f"{part['device']} ({part['backend']}), {part['launch_mode']}, {part['dtype']}: {kinds}")
    out = ", ".join(f"{number} {why}" for why, number in entry["left_out"].items())
    return f"{entry['file']}: {'; '.join(parts)}{f'; left out: {out}' if out else ''}"


def read_all(sources: Sequence[Source], settings: Settings) -> tuple[list[Document], list[Document]]:
    """Entries and records of several files: the same table again, in another file, is another launch.

    Raises InputError as read does, and for a setting that kernels have none of.
    """
    if extra := [name for name in settings.words if name not in ("dtype", "launch_mode", "backend")]:
        raise InputError(f"--set {extra[0]}=…: kernels have dtype, launch_mode and backend")
    entries: list[Document] = []
    records: list[Document] = []
    used: Counter[str] = Counter()
    for source in sources:
        entry, found = read(source, settings)
        entries.append(entry)
        first = {record["cell"]: used[record["cell"]] for record in found}
        for record in found:
            record["launch"] += first[record["cell"]]
            used[record["cell"]] = max(used[record["cell"]], record["launch"] + 1)
        records += found
    return entries, records
