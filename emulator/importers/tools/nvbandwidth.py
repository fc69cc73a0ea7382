"""nvbandwidth: copies between the GPUs of a machine, as text or as the JSON of ``-j``.

    Running device_to_device_memcpy_read_ce.
    memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)
               0         1
     0       N/A    395.08
     1    395.08       N/A

A pair's copy is a message from one GPU's memory to another's: a send_recv on two ranks, whose time follows from the size of
its buffer. The output does not hold the size: it is the tool's default unless its command line stands in the log. What
several GPUs do at once, copies to the host, and latencies of single loads are no messages of a law here.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.run import Row, Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source

_RUNNING = re.compile(r"Running\s+(\w+?)\.?\s*$")
_PROCESS = re.compile(r"Process\s+(\d{1,5})\s+\(([^)]{1,200})\):\s+device\s+\d+:\s*(.*?)\s*(?:\(|$)")
MULTINODE = "multinode_"
_VERSION = re.compile(r"nvbandwidth Version:\s*(\S+)")
_DEVICE = re.compile(r"Device\s+\d+:\s*(.*?)(?:\s*\(|$)")
_LISTED = re.compile(r"^\s*\d+:\s*(.*?)\s*(?:\(|$)")
_BUFFER = re.compile(r"nvbandwidth\b.*?\s(?:-b|--bufferSize)[= ]\s*(\d{1,7})\b")
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,6})?")
PAIRED = re.compile(r"device_to_device_memcpy_(read|write)_(ce|sm)")
"""The tests that copy one message from one GPU to another at a time."""
MIB = 1 << 20
DEFAULT_BUFFER = 512 * MIB
"""``-b, --bufferSize``, MiB."""
OLD_BUFFER = 64 * MIB
"""Of the first versions, which print 0.00 and not N/A for a GPU to itself."""
MAX_GPUS = 1024
SLACK = 0.01


@dataclass
class _Test:
    name: str
    line: int
    matrix: list[list[float | None]] = field(default_factory=list)
    sum: float | None = None
    zeros: bool = False
    """Whether a GPU to itself is 0.00."""


@dataclass
class _Found:
    tests: list[_Test] = field(default_factory=list)
    version: str | None = None
    devices: set[str] = field(default_factory=set)
    buffer: int | None = None
    hosts: dict[int, str] = field(default_factory=dict)
    """Of each process, whose number is that of its GPU in the tables."""


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where there is no test of nvbandwidth in it."""
    found = _of_json(source) if source.starts_like_json() else _of_text(source)
    tests = [test for test in found.tests if any(value for row in test.matrix for value in row)]
    if not tests:
        near = f": line {found.tests[0].line}: {found.tests[0].name}, but no matrix follows" if found.tests else ""
        raise InputError(f"{source}: no test of nvbandwidth in it{near}")
    return [_run(test, found, nodes, rates) for test in tests for nodes, rates in _links(test, found.hosts)]


def _links(test: _Test, hosts: dict[int, str]) -> list[tuple[int | None, list[float]]]:
    """The rates of a test's copies, of several nodes those inside a node apart from those between two."""
    found: dict[int | None, list[float]] = {}
    for source, row in enumerate(test.matrix):
        for target, value in enumerate(row):
            if not value:
                continue
            known = source in hosts and target in hosts
            nodes = 1 if not test.name.startswith(MULTINODE) else 1 + (hosts[source] != hosts[target]) if known else None
            found.setdefault(nodes, []).append(value)
    return list(found.items())


def _run(test: _Test, found: _Found, nodes: int | None, rates: list[float]) -> Run:
    """A row for a test: its pairs are different links, alike within a few percent, and no repetitions of one cell."""
    default = OLD_BUFFER if test.zeros else DEFAULT_BUFFER
    size = found.buffer or default
    run = Run([], ranks=2, nodes=nodes, implementation="cuda", backend="cuda", launch_mode="stream", timing="pipelined")
    run.facts |= {"benchmark": test.name, "tool_version": found.version, "pairs": len(rates)}
    run.device = " | ".join(sorted(found.devices)) or None
    row = Row(size, float(f"{size / statistics.fmean(rates) / 1e3:.6g}"))
    row.extra = {"min_us": size / max(rates) / 1e3, "max_us": size / min(rates) / 1e3, "pairs": len(rates)}
    run.rows.append(row)
    paired = PAIRED.fullmatch(test.name.removeprefix(MULTINODE))
    if paired:
        run.call("send_recv")
        run.variant = f"{paired[2]}_{paired[1]}"
    else:
        run.tool_collective = test.name[:60]
        run.flag("no_law", f"{test.name[:60]}: no message of one GPU to another alone")
        row.us = None if "latency" in test.name else row.us
    if found.buffer is None:
        run.flag("size_assumed", f"the output does not hold the buffer's size: {default // MIB} MiB, the tool's default")
    if len(rates) > 1:
        run.flag("mean_over_pairs", f"one row for {len(rates)} copies, {min(rates):g} to {max(rates):g} GB/s")
    whole = sum(value for row in test.matrix for value in row if value)
    if test.sum is not None and abs(whole - test.sum) > SLACK * test.sum:
        run.flag("sum_contradicted", f"the matrix adds up to {whole:.6g}, its SUM says {test.sum:g}: cells are missing")
        run.exclude_all("sum_contradicted")
    check(run)
    return run


def _of_text(source: Source) -> _Found:
    found = _Found()
    columns = 0
    for number, raw in source.lines():
        line = prefix.strip(raw[:8000])[1]
        if told := _RUNNING.search(line):
            found.tests.append(_Test(told[1], number))
            columns = 0
        elif told := _PROCESS.search(line):
            found.hosts[int(told[1])] = told[2]
            found.devices.add(told[3][:80])
        elif told := _VERSION.search(line):
            found.version = told[1]
        elif told := _BUFFER.search(line):
            found.buffer = int(told[1]) * MIB or None
        elif (told := _DEVICE.match(line.strip())) and not found.tests:
            found.devices.add(told[1].strip()[:80])
        elif found.tests:
            columns = _table_line(line.split(), columns, found.tests[-1])
    return found


def _table_line(parts: list[str], columns: int, test: _Test) -> int:
    """Take in a line of a matrix; what is returned is the number of its columns."""
    if parts[:1] == ["SUM"] and len(parts) == 3:
        if parts[1] == test.name and _NUMBER.fullmatch(parts[2]):
            test.sum = float(parts[2])
        return 0
    if (
        parts
        and len(parts) <= MAX_GPUS
        and parts == [str(at) for at in range(len(parts))]
        and (not columns or len(parts) > 1)
    ):
        test.matrix.clear()  # a test of both directions prints several: the last is their sum
        return len(parts)
    if columns and len(parts) == columns + 1 and parts[0].isdigit():
        cells = [_value(part) for part in parts[1:]]
        if None in [cell for cell, part in zip(cells, parts[1:]) if part not in ("N/A", "0.00")]:
            return 0
        test.zeros |= parts[1 + len(test.matrix) : 2 + len(test.matrix)] == ["0.00"]
        test.matrix.append(cells)
        return columns
    return columns if not parts else 0


def _value(cell: Any) -> float | None:
    text = str(cell)
    return float(text) or None if _NUMBER.fullmatch(text) else None


def _of_json(source: Source) -> _Found:
    """Raises ``InputError`` for another document, and with the error that nvbandwidth itself reports."""
    content = source.json()
    document = content.get("nvbandwidth") if isinstance(content, dict) else None
    if not isinstance(document, dict) or not isinstance(document.get("testcases"), list):
        error = document.get("error") if isinstance(document, dict) else None
        raise InputError(f"{source}: " + (f"nvbandwidth says: {str(error)[:100]}" if error else "not nvbandwidth's JSON"))
    listed = document.get("GPU Device list")
    found = _Found(version=str(document["version"])[:40] if document.get("version") else None)
    for name in listed if isinstance(listed, list) else []:
        if told := _LISTED.match(str(name)[:200]):
            found.devices.add(told[1][:80])
    found.tests = list(_tests(document["testcases"]))
    return found


def _tests(cases: list[Any]) -> Iterator[_Test]:
    for at, case in enumerate(cases, 1):
        if not isinstance(case, dict) or str(case.get("status", "Passed")) != "Passed":
            continue
        test = _Test(str(case.get("name"))[:80], at, sum=_value(case.get("sum")))
        matrix = case.get("bandwidth_matrix")
        for row in matrix[:MAX_GPUS] if isinstance(matrix, list) else []:
            test.matrix.append([_value(cell) for cell in row[:MAX_GPUS]] if isinstance(row, list) else [])
        yield test
