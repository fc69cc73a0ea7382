"""The text that nccl-tests print (rccl-tests too), of every version, as it comes out of a launcher: lines → runs.

Lines may carry a launcher's prefix, stand between a library's own messages, be torn, or belong to several runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.nccl.lines import TYPES, table_lines
from inferometer.emulator.importers.nccl.row import NUMBER, plain_row, table_row
from inferometer.emulator.importers.nccl.table import NcclRun, TableRow, library_version
from inferometer.emulator.importers.run import tool_name
from inferometer.emulator.importers.source import MAX_ROWS, Source

MAX_STREAMS = 4096
MAX_RUNS = 1000

_INT = r"\d{1,18}"
_DTYPE = re.compile(TYPES)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A line of a run's head or footer. first: it stands before a table, so it begins a run where one has a table."""

    name: str
    pattern: re.Pattern[str]
    first: bool = False


_SETTINGS = _Kind(
    "settings",
    re.compile(rf"nThread\s+({_INT})\s+nGpus\s+({_INT})\s+minBytes\s+({_INT})\s+maxBytes\s+({_INT})(.*)"),
    first=True,
)
_DEVICE = _Kind(
    "device",
    re.compile(
        r"""(?:Rank|Device)\s+(\d{1,7})\s+(?:->\s*\d+\s*|(?:Group\s+(-?\d{1,9})\s+)?
            (?:Pid\s+\d+\s+)?on\s+(\S+)\s+device\s+\d+\s+)\[[^\]]*\]\s*(.*)""",
        re.VERBOSE,
    ),
    first=True,
)
_HEAD = _Kind("head", re.compile(r"(?:size\s+count\s+(?:type|time)|(bytes)\s+N\s+type)\b(.*)"))
_VERSION = _Kind("version", re.compile(r"[nr]ccl-tests\s+version\s+(\S+)(.*)"), first=True)
_KINDS = {
    "nThread": _SETTINGS,
    "Rank": _DEVICE,
    "Device": _DEVICE,
    "size": _HEAD,
    "bytes": _HEAD,
    "Avg": _Kind("average", re.compile(r"Avg\s+bus\s+bandwidth\s*:\s*([\d.eE+-]+)")),
    "Out": _Kind("out_of_bounds", re.compile(rf"Out\s+of\s+bounds\s+values\s*:\s*({_INT})")),
    "nccl-tests": _VERSION,
    "rccl-tests": _VERSION,
    "Collective": _Kind("program", re.compile(r"Collective\s+test\s+(starting|concluded):\s*(\S+)")),
    "in-place": _Kind("order", re.compile(r"in-place\s+out-of-place")),
}
"""By the word they begin with."""
_FURTHER = {
    "warmup_iters": re.compile(rf"warmup iters:\s*({_INT})"),
    "iters": re.compile(rf"(?<!warmup )(?<!agg )iters:\s*({_INT})"),
    "agg_iters": re.compile(rf"agg iters:\s*({_INT})"),
    "validation": re.compile(rf"validation:\s*({_INT})"),
    "graph": re.compile(rf"graph:\s*({_INT})"),
    "step": re.compile(rf"step:\s*({_INT})"),
    "step_is_factor": re.compile(r"step:\s*\d+\((factor)\)"),
    "registered": re.compile(rf"(?:local_)?reg(?:ister|istration)?\s*:\s*({_INT})"),
}
_PERF = re.compile(r"([a-z_]+)_(?:perf|test)(?![a-z])")
_COMMAND = re.compile(r"[a-z_]+_(?:perf|test)(?:_mpi)?\s.*?\s-(?:R|-local_register)\s+(\d)\b")
_LIBRARY = re.compile(r"[NR]CCL version\s*:?\s*(\d+\.\d+\.\d+)")
_LIBRARY_CODE = re.compile(r"-library=(\d{4,9})")
_COMPILED = re.compile(r"compiled with NCCL\s+(\d+\.\d+(?:\.\d+)?)")


class Log:
    """The runs in a log; near: the first line that looked like a row of a table and was none, with the test it failed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.near: str | None = None
        self.in_place_first: int | None = None

    def runs(self) -> Iterator[NcclRun]:
        """In the order of their ends. Raises ``InputError`` for what is no text, or no log by its size."""
        for count, run in enumerate(self._runs(), 1):
            if count > MAX_RUNS:
                raise InputError(f"{self.source}: more than {MAX_RUNS} runs: not one benchmark's log")
            yield run

    def _runs(self) -> Iterator[NcclRun]:
        streams: dict[str, _Stream] = {}
        number = rows = 0
        for number, raw in table_lines(self.source):
            if raw[:1] != "#" and (plain := plain_row(raw)):
                rows = self._another(rows, number)
                stream = streams.get("") or streams.setdefault("", _Stream(""))
                if ended := stream.add(plain, number, prefixed=False):
                    yield ended
                continue
            if len(raw) < 4 and raw.strip("# \t") == "":
                continue
            label, line = ("", raw) if raw[:1] in ("#", " ") and raw[:40].lstrip()[:1] == "#" else prefix.strip(raw)
            parts = [] if label == "" and line[:1] == "#" else line.split()
            comment = None if parts and parts[0][0].isdigit() else _comment_in(line)
            at = None
            if comment is None:
                parts = parts or line.split()
                at = _dtype_at(parts)
                if at is None and self.near is None and len(parts) > 5 and any(map(_DTYPE.fullmatch, parts[2:5])):
                    self.near = f"line {number} looks like a row, but its size and count are no whole numbers"
                if at is None and not _worth_a_look(line, parts):
                    continue
            stream = streams.get(label) or streams.setdefault(label, _Stream(label))
            if len(streams) > MAX_STREAMS:
                raise InputError(f"{self.source}: tables of more than {MAX_STREAMS} processes: not one benchmark's log")
            prefixed = len(line) < len(raw)
            ended = None
            if comment is not None:
                kind, found = comment
                if kind.name == "order":
                    self.in_place_first = self.in_place_first or number
                    continue
                before = found.start() > 0 and line[: found.start()].strip("# \t") != ""
                ended = stream.comment(kind, found, number, prefixed=prefixed or before)
            elif at is not None:
                torn = stream.run.torn
                ended = stream.row(parts, at, number, prefixed)
                if stream.run.torn > torn and self.near is None:
                    self.near = f"line {number} looks like a row, but has no root and groups of four numbers after its type"
                rows = self._another(rows, number)
            else:
                stream.other(line, parts)
                if self.near is None and len(parts) >= 4 and _fragment(parts):
                    self.near = f"line {number} looks like a row, but has no size, count and type at its start"
            if ended:
                yield ended
        for stream in streams.values():
            if ended := stream.close():
                yield ended

    def _another(self, rows: int, number: int) -> int:
        if rows >= MAX_ROWS:
            raise InputError(f"{self.source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
        return rows + 1


def _comment_in(line: str) -> tuple[_Kind, re.Match[str]] | None:
    """A line that begins as one of a head or footer, or holds one after other output."""
    bare = line.lstrip("# \t")
    kind = _KINDS.get(bare.partition(" ")[0])
    if kind is not None and (found := kind.pattern.match(line, len(line) - len(bare))):
        return kind, found
    for word, kind in _KINDS.items():
        if (at := line.find(word)) >= 0 and (found := kind.pattern.match(line, at)):
            return kind, found
    return None


def _dtype_at(parts: list[str]) -> int | None:
    """Where the type of a row stands: after a number, itself after one."""
    for i in range(2, min(len(parts), 40)):
        if not parts[i][0].isdigit() and parts[i - 1].isdigit() and _DTYPE.fullmatch(parts[i]):
            return i
    return None


def _worth_a_look(line: str, parts: list[str]) -> bool:
    known = any(words in line for words in ("_perf", "_test", "CCL version", "maxBytes to", "compiled with"))
    return known or (len(parts) >= 4 and _fragment(parts))


def _fragment(parts: list[str]) -> bool:
    """Whether a line is a piece of a table row: at least four numbers and nothing else."""
    return all(part == "N/A" or NUMBER.fullmatch(part) for part in parts)


class _Stream:
    """The lines of one process, cut into runs."""

    def __init__(self, rank: str) -> None:
        self.rank = rank
        self.run = NcclRun(from_rank=rank)
        self.mentioned: str | None = None
        self.library: str | None = None
        self.registered = 0

    def close(self) -> NcclRun | None:
        """The run read so far, if it has a table; another begins."""
        run = self.run
        self.run = NcclRun(from_rank=self.rank)
        if run.empty and not run.header:
            return None
        run.library_version = run.library_version or self.library
        run.mentioned = run.mentioned or self.mentioned
        run.registered = int(run.settings.get("registered") or self.registered)
        self.mentioned, self.registered = None, 0
        return run

    def comment(self, kind: _Kind, found: re.Match[str], number: int, prefixed: bool) -> NcclRun | None:
        """Take in a line of head or footer; what is returned is the run that ended before it."""
        run, name = self.run, kind.name
        ended = None
        starts = kind.first or (name == "program" and found[1] == "starting")
        if (
            (starts and (run.rows or run.header or run.footer))
            or (name == "settings" and run.settings)
            or (name == "head" and (run.rows or run.footer))
        ):
            ended = self.close()
            run = self.run
        run.first_line = run.first_line or number
        run.last_line = number
        run.prefixed |= prefixed
        if name == "device":
            rank, group, host, device = found.groups()
            run.devices.add(int(rank), int(group or 0), host or "one process", device.strip())
        elif name == "settings":
            names = ("nthread", "ngpus", "min_bytes", "max_bytes")
            run.settings = dict(zip(names, map(int, found.group(1, 2, 3, 4))))
            for further, pattern in _FURTHER.items():
                if value := pattern.search(found[5]):
                    run.settings[further] = True if further == "step_is_factor" else int(value[1])
        elif name == "head":
            run.header, run.cpu_time = True, "cputime" in found[2]
            run.milliseconds = found[1] is not None
            run.errors = run.milliseconds or "error" in found[2]
        elif name == "average":
            run.average, run.footer = found[1], True
        elif name == "out_of_bounds":
            run.out_of_bounds, run.footer = int(found[1]), True
        elif name == "version":
            run.tool_version = found[1]
            if code := _LIBRARY_CODE.search(found[2]):
                run.library_version = library_version(int(code[1]))
        elif name == "program":
            run.program = run.program or tool_name(re.sub(r"_perf.*", "", found[2].rsplit("/", 1)[-1]))
        return ended

    def row(self, parts: list[str], at: int, number: int, prefixed: bool) -> NcclRun | None:
        return self.add(table_row(parts, at), number, prefixed or at > 2 or not parts[0].isdigit())

    def add(self, row: TableRow | None, number: int, prefixed: bool) -> NcclRun | None:
        """row: None for one that is torn. What is returned is the run that ended before it."""
        ended = self.close() if self.run.footer else None
        run = self.run
        run.first_line = run.first_line or number
        run.last_line = number
        if row is None:
            run.torn += 1
        else:
            run.prefixed |= prefixed
            run.rows.append(row)
        return ended

    def other(self, line: str, parts: list[str]) -> None:
        if version := _LIBRARY.search(line) or _COMPILED.search(line):
            self.library = version[1]
        if found := _COMMAND.search(line):
            self.registered = int(found[1])
        if "maxBytes to" in line:
            self.run.reduced_max_bytes = True
        names = {tool_name(name) for name in _PERF.findall(line[:1000])} - {None}
        if len(names) == 1:
            self.mentioned = names.pop()
        if (self.run.header or self.run.rows) and not self.run.footer and len(parts) >= 4 and _fragment(parts):
            self.run.torn += 1
