"""The text that nccl-tests print (rccl-tests too), of every version, as it comes out of a launcher: lines → runs.

Lines may carry a launcher's prefix, stand between a library's own messages, be torn, or belong to several runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.nccl.table import NcclRun, TableCell, TableRow, library_version
from inferometer.emulator.importers.run import tool_name
from inferometer.emulator.importers.source import MAX_ROWS, Source

MAX_STREAMS = 4096
MAX_RUNS = 1000
LONGEST_TABLE_LINE = 2048
TELLING = ("#", "float", "half", "double", "int", "char", "f8", "fp8", "_perf", "CCL version", "maxBytes")
"""A line with none of these, and without a number at its start, is other output: most lines of a debug log."""

_INT = r"\d{1,18}"
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,2})?")
_SIZE = re.compile(rf"(?:^|.*[:>|\])])({_INT})")
_DTYPE = re.compile(r"u?int(?:8|16|32|64)|char|half|float|double|bfloat16|(?:fp8|f8)_?e\dm\d\w*")
_RANK_OF_LINE = re.compile(r"\[(\d+,\d+)\]\s?<std(?:out|err)>|^\s*(\d{1,7}):(?=\s|#|$)|^\s*\[(\d{1,7})\]\s")
_COMMENT = re.compile(
    rf"""\#\s*(?:
      (?P<settings>nThread\s+(?P<nthread>{_INT})\s+nGpus\s+(?P<ngpus>{_INT})\s+minBytes\s+(?P<min_bytes>{_INT})
                   \s+maxBytes\s+(?P<max_bytes>{_INT})(?P<rest>.*))
    | (?P<device>Rank\s+(?P<rank>\d{{1,7}})\s+(?:Group\s+(?P<group>-?\d{{1,9}})\s+)?Pid\s+\d+\s+on\s+(?P<host>\S+)
                 \s+device\s+\d+\s+\[[^\]]*\]\s*(?P<name>.*))
    | (?P<head>size\s+count\s+type\b(?P<columns>.*))
    | Avg\s+bus\s+bandwidth\s*:\s*(?P<average>[\d.eE+-]+)
    | Out\s+of\s+bounds\s+values\s*:\s*(?P<out_of_bounds>{_INT})
    | [nr]ccl-tests\s+version\s+(?P<version>\S+)(?P<libraries>.*)
    | Collective\s+test\s+(?P<phase>starting|concluded):\s*(?P<program>\S+)
    )""",
    re.VERBOSE,
)
_FURTHER = {
    "warmup_iters": re.compile(rf"warmup iters:\s*({_INT})"),
    "iters": re.compile(rf"(?<!warmup )(?<!agg )iters:\s*({_INT})"),
    "agg_iters": re.compile(rf"agg iters:\s*({_INT})"),
    "validation": re.compile(rf"validation:\s*({_INT})"),
    "graph": re.compile(rf"graph:\s*({_INT})"),
    "step": re.compile(rf"step:\s*({_INT})"),
    "step_is_factor": re.compile(r"step:\s*\d+\((factor)\)"),
}
_PERF = re.compile(r"([a-z_]+)_perf(?![a-z])")
_LIBRARY = re.compile(r"[NR]CCL version\s*:?\s*(\d+\.\d+\.\d+)")
_LIBRARY_CODE = re.compile(r"-library=(\d{4,9})")


def runs_of(source: Source) -> Iterator[NcclRun]:
    """The runs in a log, in the order of their ends. Raises ``InputError`` for what is no text, or no log by its size."""
    for count, run in enumerate(_runs(source), 1):
        if count > MAX_RUNS:
            raise InputError(f"{source}: more than {MAX_RUNS} runs: not one benchmark's log")
        yield run


def _runs(source: Source) -> Iterator[NcclRun]:
    streams: dict[str, _Stream] = {}
    number = rows = 0
    for number, line in source.lines():
        if len(line) > LONGEST_TABLE_LINE or not (line[:60].strip()[:1].isdigit() or any(word in line for word in TELLING)):
            continue
        if "\x1b" in line:
            line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", line)
        comment = _COMMENT.search(line) if "#" in line else None
        parts = line.split() if comment is None else []
        at = next((i for i, part in enumerate(parts[2:40], 2) if _DTYPE.fullmatch(part) and parts[i - 1].isdigit()), None)
        if comment is None and at is None and not _worth_a_look(line, parts):
            continue
        found = _RANK_OF_LINE.search(line[:200])
        rank = next((group for group in found.groups() if group), "") if found else ""
        stream = streams.get(rank) or streams.setdefault(rank, _Stream(rank))
        if len(streams) > MAX_STREAMS:
            raise InputError(f"{source}: tables of more than {MAX_STREAMS} processes: not one benchmark's log")
        if comment is not None:
            yield from stream.comment(comment, number, prefixed=bool(line[: comment.start()].strip()))
        elif at is not None:
            yield from stream.row(parts, at, number)
        else:
            stream.other(line, parts)
        rows += at is not None
        if rows > MAX_ROWS:
            raise InputError(f"{source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
    for stream in streams.values():
        yield from stream.close()


def _worth_a_look(line: str, parts: list[str]) -> bool:
    known = any(words in line for words in ("_perf", "CCL version", "maxBytes to"))
    return known or (len(parts) >= 4 and _fragment(parts))


def _fragment(parts: list[str]) -> bool:
    """Whether a line is a piece of a table row: at least four numbers and nothing else."""
    return all(part == "N/A" or _NUMBER.fullmatch(part) for part in parts)


class _Stream:
    """The lines of one process, cut into runs."""

    def __init__(self, rank: str) -> None:
        self.rank = rank
        self.run = NcclRun(from_rank=rank)
        self.mentioned: str | None = None
        self.library: str | None = None

    def close(self) -> Iterator[NcclRun]:
        """Hand over the run read so far, if it has a table, and begin another."""
        run = self.run
        if not run.empty or run.header:
            run.library_version = run.library_version or self.library
            run.mentioned = run.mentioned or self.mentioned
            yield run
            self.mentioned = None
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
            run.devices.add(int(found["rank"]), int(found["group"] or 0), found["host"], found["name"].strip())
        elif found["head"]:
            run.header, run.cpu_time = True, "cputime" in found["columns"]
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

    def row(self, parts: list[str], at: int, number: int) -> Iterator[NcclRun]:
        if self.run.footer:
            yield from self.close()
        run = self.run
        run.first_line = run.first_line or number
        run.last_line = number
        row = table_row(parts, at)
        if row is None:
            run.torn += 1
            return
        run.prefixed |= at > 2 or not parts[0].isdigit()
        run.rows.append(row)

    def other(self, line: str, parts: list[str]) -> None:
        if version := _LIBRARY.search(line):
            self.library = version[1]
        if "maxBytes to" in line:
            self.run.reduced_max_bytes = True
        names = {tool_name(name) for name in _PERF.findall(line[:1000])} - {None}
        if len(names) == 1:
            self.mentioned = names.pop()
        if (self.run.header or self.run.rows) and not self.run.footer and len(parts) >= 4 and _fragment(parts):
            self.run.torn += 1


def table_row(parts: list[str], at: int) -> TableRow | None:
    """The row whose dtype stands at parts[at]; None where it is torn.

    After the dtype: redop (or nothing), root (or nothing), then per column group time, algbw, busbw, #wrong, and with
    per-iteration report four more; at last perhaps a date and a time.
    """
    size = _SIZE.fullmatch(parts[at - 2])
    rest = parts[at + 1 :]
    redop = None
    if rest and re.fullmatch(r"[a-z]{3,8}", rest[0]):
        redop = rest.pop(0)
    if len(rest) > 2 and re.fullmatch(r"\d{4}-\d\d-\d\d", rest[-2]):
        rest = rest[:-2]
    root = None
    if len(rest) % 4 == 1:
        head = rest.pop(0)
        if not re.fullmatch(r"-?\d{1,7}", head):
            return None
        root = int(head)
    if size is None or len(rest) not in (4, 8, 16) or not all(part == "N/A" or _NUMBER.fullmatch(part) for part in rest):
        return None
    width = 8 if len(rest) == 16 else 4
    cells = [_cell(rest[i : i + 4]) for i in range(0, len(rest), width)]
    if None in cells:
        return None
    return TableRow(int(size[1]), parts[at], redop, root, cells[0], cells[1] if len(cells) > 1 else None)


def _cell(texts: list[str]) -> TableCell | None:
    if "N/A" in texts[:3]:
        return None
    return TableCell(texts[0], texts[1], texts[2], None if texts[3] == "N/A" else float(texts[3]))
