"""The text that nccl-tests print (rccl-tests too), of every version, as it comes out of a launcher: lines → runs.

Lines may carry a launcher's prefix, stand between a library's own messages, be torn, or belong to several runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

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
_COMMENT = re.compile(
    rf"""(?:
      (?P<settings>nThread\s+(?P<nthread>{_INT})\s+nGpus\s+(?P<ngpus>{_INT})\s+minBytes\s+(?P<min_bytes>{_INT})
                   \s+maxBytes\s+(?P<max_bytes>{_INT})(?P<rest>.*))
    | (?P<device>(?:Rank|Device)\s+(?P<rank>\d{{1,7}})\s+(?:->\s*\d+\s*|(?:Group\s+(?P<group>-?\d{{1,9}})\s+)?
                 (?:Pid\s+\d+\s+)?on\s+(?P<host>\S+)\s+device\s+\d+\s+)\[[^\]]*\]\s*(?P<name>.*))
    | (?P<head>(?:size\s+count\s+(?:type|time)|(?P<bytes>bytes)\s+N\s+type)\b(?P<columns>.*))
    | Avg\s+bus\s+bandwidth\s*:\s*(?P<average>[\d.eE+-]+)
    | Out\s+of\s+bounds\s+values\s*:\s*(?P<out_of_bounds>{_INT})
    | [nr]ccl-tests\s+version\s+(?P<version>\S+)(?P<libraries>.*)
    | Collective\s+test\s+(?P<phase>starting|concluded):\s*(?P<program>\S+)
    | (?P<order>in-place\s+out-of-place)
    )""",
    re.VERBOSE,
)
_BEGINNINGS = (
    "Rank", "size", "nThread", "Avg", "Out", "Collective", "nccl-tests", "rccl-tests", "Device", "bytes", "in-place"
)  # fmt: skip
"""The words that the alternatives of `_COMMENT` begin with: a search for all of them at every place takes far longer."""
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
            if plain := plain_row(raw):
                rows = self._another(rows, number)
                stream = streams.get("") or streams.setdefault("", _Stream(""))
                yield from stream.add(plain, number, prefixed=False)
                continue
            if len(raw) < 4 and raw.strip("# \t") == "":
                continue
            label, line = ("", raw) if raw[:1] in ("#", " ") and raw[:40].lstrip()[:1] == "#" else prefix.strip(raw)
            parts = line.split()
            comment = None if parts and parts[0][0].isdigit() else _comment_in(line)
            at = None
            if comment is None:
                at = _dtype_at(parts)
                if at is None and self.near is None and len(parts) > 5 and any(map(_DTYPE.fullmatch, parts[2:5])):
                    self.near = f"line {number} looks like a row, but its size and count are no whole numbers"
                if at is None and not _worth_a_look(line, parts):
                    continue
            stream = streams.get(label) or streams.setdefault(label, _Stream(label))
            if len(streams) > MAX_STREAMS:
                raise InputError(f"{self.source}: tables of more than {MAX_STREAMS} processes: not one benchmark's log")
            prefixed = len(line) < len(raw)
            if comment is not None:
                if comment["order"]:
                    self.in_place_first = self.in_place_first or number
                    continue
                before = line[: comment.start()].strip().strip("#")
                yield from stream.comment(comment, number, prefixed=prefixed or bool(before))
            elif at is not None:
                torn = stream.run.torn
                yield from stream.row(parts, at, number, prefixed)
                if stream.run.torn > torn and self.near is None:
                    self.near = f"line {number} looks like a row, but has no root and groups of four numbers after its type"
            else:
                stream.other(line, parts)
                if self.near is None and len(parts) >= 4 and _fragment(parts):
                    self.near = f"line {number} looks like a row, but has no size, count and type at its start"
            if at is not None:
                rows = self._another(rows, number)
        for stream in streams.values():
            yield from stream.close()

    def _another(self, rows: int, number: int) -> int:
        if rows >= MAX_ROWS:
            raise InputError(f"{self.source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
        return rows + 1


def _comment_in(line: str) -> re.Match[str] | None:
    if found := _COMMENT.match(line, len(line) - len(line.lstrip("# \t"))):
        return found
    for word in _BEGINNINGS:
        if (at := line.find(word)) >= 0 and (found := _COMMENT.match(line, at)):
            return found
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

    def close(self) -> Iterator[NcclRun]:
        """Hand over the run read so far, if it has a table, and begin another."""
        run = self.run
        if not run.empty or run.header:
            run.library_version = run.library_version or self.library
            run.mentioned = run.mentioned or self.mentioned
            run.registered = int(run.settings.get("registered") or self.registered)
            yield run
            self.mentioned, self.registered = None, 0
        self.run = NcclRun(from_rank=self.rank)

    def comment(self, found: re.Match[str], number: int, prefixed: bool) -> Iterator[NcclRun]:
        run = self.run
        begun = bool(run.rows) or run.header or run.footer
        starts = found["settings"] or found["version"] or found["device"] or found["phase"] == "starting"
        if (starts and begun) or (found["settings"] and run.settings) or (found["head"] and (run.rows or run.footer)):
            yield from self.close()
            run = self.run
        run.first_line = run.first_line or number
        run.last_line = number
        run.prefixed |= prefixed
        if found["settings"]:
            names = ("nthread", "ngpus", "min_bytes", "max_bytes")
            run.settings = {name: int(found[name]) for name in names}
            for name, pattern in _FURTHER.items():
                if value := pattern.search(found["rest"]):
                    run.settings[name] = True if name == "step_is_factor" else int(value[1])
        elif found["device"]:
            host = found["host"] or "one process"
            run.devices.add(int(found["rank"]), int(found["group"] or 0), host, found["name"].strip())
        elif found["head"]:
            run.header, run.cpu_time = True, "cputime" in found["columns"]
            run.milliseconds = found["bytes"] is not None
            run.errors = run.milliseconds or "error" in found["columns"]
        elif found["average"] is not None:
            run.average, run.footer = found["average"], True
        elif found["out_of_bounds"] is not None:
            run.out_of_bounds, run.footer = int(found["out_of_bounds"]), True
        elif found["version"]:
            run.tool_version = found["version"]
            if code := _LIBRARY_CODE.search(found["libraries"]):
                run.library_version = library_version(int(code[1]))
        elif found["phase"]:
            run.program = run.program or tool_name(re.sub(r"_perf.*", "", found["program"].rsplit("/", 1)[-1]))

    def row(self, parts: list[str], at: int, number: int, prefixed: bool) -> Iterator[NcclRun]:
        yield from self.add(table_row(parts, at), number, prefixed or at > 2 or not parts[0].isdigit())

    def add(self, row: TableRow | None, number: int, prefixed: bool) -> Iterator[NcclRun]:
        """row: None for one that is torn."""
        if self.run.footer:
            yield from self.close()
        run = self.run
        run.first_line = run.first_line or number
        run.last_line = number
        if row is None:
            run.torn += 1
            return
        run.prefixed |= prefixed
        run.rows.append(row)

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
