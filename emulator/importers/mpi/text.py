"""The text of the OSU micro-benchmarks (``osu_allreduce`` …) and of the Intel MPI Benchmarks (``IMB-MPI1 Allreduce``).

Their size is what one rank hands in: per rank for all_gather, per pair of ranks for all_to_all. Samples count the total, as
nccl-tests do, so that those need the rank count. IMB prints it; OSU does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import prefix
from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.mpi import imb, osu
from inferometer.emulator.importers.mpi.columns import BARRIERS, NUMBER, Columns, imb_columns, osu_columns, row_of
from inferometer.emulator.importers.run import Row, Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import MAX_ROWS, Source
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.dtypes import DTYPES

MAX_RUNS = 1000
MAX_STREAMS = 4096
MPI_DTYPES = {name: dtype.name for dtype in DTYPES.values() for name in dtype.mpi}
LIBRARIES = re.compile(r"\b(open ?mpi|mpich|mvapich2?|intel(?:\(r\))? ?mpi|cray[- ]mpich)\b", re.IGNORECASE)
"""As module loads, banners and paths write them between the tables of a log."""
LONGEST = 4000


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where the file holds no table of either suite, naming the first line that looked like one."""
    text = _Text(source)
    runs = []
    for seen, run in enumerate(text.runs(), 1):
        if seen > MAX_RUNS:
            raise InputError(f"{source}: more than {MAX_RUNS} runs: not one benchmark's log")
        if run.rows:
            runs.append(run)
    if not runs:
        raise InputError(f"{source}: no table of the OSU or the Intel MPI benchmarks in it{text.why()}")
    if source.cut_off and text.last is not None and text.last.rows:
        text.last.flag("truncated", "the file ends in a line")
        text.last.rows[-1].excluded = "cut_off"
    several = len({run.facts["mpi_library"] for run in runs} - {None}) > 1
    for run in runs:
        _settle(run, settings)
        if several:
            run.variant = "/".join(part for part in (run.facts["mpi_library"], run.variant) if part)
            run.flag("several_libraries", "the log names several MPI libraries: runs of each are kept apart")
        check(run)
    return runs


class _Text:
    """The lines of a log, cut into runs; each process that a launcher labels has its own."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.near: str | None = None
        self.title: str | None = None
        self.last: Run | None = None
        self.imb_version: str | None = None
        self.imb_old = False
        self.imb_dtype: str | None = None
        self.library: str | None = None

    def why(self) -> str:
        if self.near:
            return f": {self.near}"
        return f": {self.title}" if self.title else ""

    def runs(self) -> Iterator[Run]:
        streams: dict[str, _Stream] = {}
        rows = 0
        for number, raw in self.source.lines():
            label, line = prefix.strip(raw[:LONGEST])
            stream = streams.get(label)
            if stream is None:
                if len(streams) >= MAX_STREAMS:
                    raise InputError(f"{self.source}: output of more than {MAX_STREAMS} processes: not one benchmark's log")
                stream = streams[label] = _Stream(self)
            yield from stream.line(line, number)
            if stream.added:
                rows += max(1, len(stream.windows))
                self.last, stream.added = stream.latest, False
                if label and stream.run is not None:
                    stream.run.flag("launcher_prefix", "lines carry a launcher's prefix")
                if rows > MAX_ROWS:
                    raise InputError(f"{self.source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
        for stream in streams.values():
            yield from stream.close()


class _Stream:
    def __init__(self, text: _Text) -> None:
        self.text = text
        self.run: Run | None = None
        self.columns = Columns()
        self.suite = ""
        self.pairs: int | None = None
        self.varied = self.rates = False
        """Whether the table has a column for each window (osu_mbw_mr -V); whether its rates are being read."""
        self.windows: dict[int, Run] = {}
        self.added = False

    @property
    def latest(self) -> Run | None:
        """The run that the last row belongs to."""
        return [*self.windows.values()][-1] if self.windows else self.run

    def close(self) -> Iterator[Run]:
        if self.run is not None and not self.windows:
            yield self.run
        yield from self.windows.values()
        self.run, self.columns, self.pairs, self.varied, self.rates, self.windows = None, Columns(), None, False, False, {}

    def line(self, line: str, number: int) -> Iterator[Run]:
        bare = line.strip()
        if not bare:
            return
        first = bare[0]
        if first.isdigit() or first in "+-." or (first == "n" and bare[:3] == "nan"):
            self._row(bare.split(), number)
            return
        if self.columns.names[:1] == ["benchmark"] and first.isalpha():
            self._row(bare.split(), number)
            return
        if found := osu.TITLE.search(line):
            yield from self.close()
            self.run, self.suite = osu.begin(found, number), "osu"
            self.run.facts["mpi_library"] = self.text.library
            self.text.title = f"line {number}: a title of OSU's {self.run.facts['benchmark']}, but no row follows"
        elif found := imb.TITLE.search(line):
            yield from self.close()
            self.run, self.suite = imb.begin(found[1], number, self.text.imb_version), "imb"
            self.run.facts["mpi_library"] = self.text.library
            if self.run.collective and COLLECTIVES[self.run.collective].sums:
                self.run.facts["dtype_printed"] = self.text.imb_dtype
            self.text.title = f"line {number}: a title of IMB's {found[1]}, but no row follows"
        elif found := imb.SUITE.search(line):
            self.text.imb_version, self.text.imb_old = found["version"], False
        elif found := imb.DTYPE.search(line):
            self.text.imb_dtype = MPI_DTYPES.get(found[1])
        elif found := osu.USAGE.match(bare):
            self.text.title = f"line {number}: {found[1]} printed its usage: it refused an option"
        elif self.run is not None:
            self._about(self.run, line, bare)
        if first != "#" and (found := LIBRARIES.search(line)):
            self.text.library = "".join(c for c in found[1].lower() if c.isalnum()).replace("intelr", "intel")

    def _about(self, run: Run, line: str, bare: str) -> None:
        """What a line between title and table says of the run, its head included."""
        if found := imb.RANKS.search(line):
            run.ranks = int(found[1]) or None
            if (threads := imb.THREADS.search(line)) and int(threads[1]) > 1:
                run.variant = f"threads{threads[1]}"
        elif found := imb.GROUPS.search(line):
            run.ranks, run.concurrent_groups = int(found[2]) or None, "all" if int(found[1]) > 1 else 1
        elif found := osu.DTYPE.match(bare):
            run.facts["dtype_printed"] = MPI_DTYPES.get(found[1].upper())
            self.rates = False
        elif found := osu.PAIRS.search(line):
            self.pairs = run.facts["pairs"] = int(found[1]) or None
            run.concurrent_groups = "all" if (self.pairs or 1) > 1 else 1
            if window := osu.WINDOW.search(line):
                self.varied = not window[1].isdigit()
                run.variant = osu.window_variant(window[1], run.variant)
        elif self.varied and (found := osu.WINDOWS.fullmatch(bare)):
            for size in found[1].split():
                variant = osu.window_variant(size, run.variant)
                self.windows.setdefault(int(size), replace(run, rows=[], facts={**run.facts}, variant=variant))
        elif self.varied and osu.RATES.match(bare):
            self.rates = True
        elif found := osu.BUFFERS.search(line):
            run.facts["buffers"] = " ".join(found.groups())
        elif columns := imb_columns(bare) if self.suite == "imb" else osu_columns(bare):
            self.columns = columns
            if self.suite == "imb" and "t[usec]" in line:
                self.text.imb_old = True
            if self.suite == "imb" and not run.facts["tool_version"] and self.text.imb_old:
                run.facts["tool_version"] = "2018"
                run.flag("version_inferred", "the column t[usec] is of versions before 2019")
            if columns.nonblocking:
                run.variant = run.variant or "nonblocking"
                run.flag("pure_communication", "time of the non-blocking operation without computing beside it")

    def _row(self, parts: list[str], number: int) -> None:
        run = self.run
        if run is not None and run.tool_collective == "barrier" and self.suite == "osu" and not self.columns:
            self.columns = Columns(BARRIERS.get((run.variant == "nonblocking", len(parts)), []))
            run.flag("head_missing", "the table has no head: columns as other versions print them")
        if len(parts) < 2 and "bytes" in self.columns.names:
            return
        if run is not None and self.windows:
            self._row_of_windows(run, parts, number)
            return
        if run is None or not self.columns:
            if self.text.near is None and len(parts) >= 2 and all(map(NUMBER.fullmatch, parts)):
                missing = "title and head" if run is None else "head"
                self.text.near = f"line {number} looks like a row, but no {missing} of a table stands before it"
            return
        row = row_of(parts, self.columns)
        if isinstance(row, str):
            if all(map(NUMBER.fullmatch, parts)) or len(parts) == len(self.columns.names):
                self.text.near = self.text.near or f"line {number} looks like a row, but has {row}"
                run.facts["torn_rows"] = run.facts.get("torn_rows", 0) + 1
            return
        if row.us is None and "mb_s" in row.extra:
            row.us = self._us_of_rate(row)
        row.dtype = run.facts.get("dtype_printed")
        if len(parts) < len(self.columns.names):
            run.flag("percentiles_missing", "the head names percentiles, the rows have none")
        run.rows.append(row)
        self.added = True

    def _us_of_rate(self, row: Row) -> float | None:
        """Time of a message of one pair, from what all pairs reach: messages/s, which have more digits, or MB/s."""
        pairs, messages, mb_s = self.pairs or 1, row.extra.get("messages_s"), row.extra["mb_s"]
        if messages:
            return float(f"{pairs * 1e6 / messages:.6g}")
        return float(f"{(row.bytes or 0) * pairs / mb_s:.4g}") if mb_s > 0 and row.bytes else None

    def _row_of_windows(self, run: Run, parts: list[str], number: int) -> None:
        """A size and the bandwidth of each window, or under the second head its rate of messages."""
        if len(parts) != len(self.windows) + 1 or not all(map(NUMBER.fullmatch, parts)) or not parts[0].isdigit():
            self.text.near = self.text.near or f"line {number} looks like a row, but has no number for each window"
            for each in self.windows.values():
                each.facts["torn_rows"] = each.facts.get("torn_rows", 0) + 1
            return
        size, dtype = int(parts[0]), run.facts.get("dtype_printed")
        for each, cell in zip(self.windows.values(), parts[1:]):
            if self.rates:
                row = next((row for row in each.rows if (row.bytes, row.dtype) == (size, dtype)), None)
                if row is None:
                    continue
                row.extra["messages_s"] = float(cell)
            else:
                row = Row(size, None, dtype=dtype, extra={"mb_s": float(cell)})
                each.rows.append(row)
            row.us = self._us_of_rate(row)
        self.added = not self.rates


def _settle(run: Run, settings: Settings) -> None:
    """Ranks that are given, totals of sizes that are of one rank, and what the repetitions were."""
    counts = {row.extra["iterations"] for row in run.rows if "iterations" in row.extra}
    run.iterations = counts.pop() if len(counts) == 1 else None
    if torn := run.facts.get("torn_rows"):
        run.flag("torn_rows", f"{torn} rows are torn or have another number of cells than the head, and are not counted")
    if bad := sum(row.excluded == "statistics_contradicted" for row in run.rows):
        run.flag("statistics_contradicted", f"{bad} rows whose mean is outside their own minimum and maximum")
    for row in run.rows:
        _bandwidth(row, run.facts.get("pairs") or 1)
    if bad := sum(row.excluded == "time_contradicted" for row in run.rows):
        run.flag("time_contradicted", f"{bad} rows whose size over time is not the bandwidth they print")
    if run.tool_collective == "send_recv":
        if settings.ranks and settings.ranks != 2:
            run.flag("ranks_of_a_pair", f"two of the {settings.ranks} ranks exchange messages")
        if settings.nodes:
            run.nodes = min(settings.nodes, 2)
            run.flag("nodes_given", f"{run.nodes} of a pair, given by --set")
        return
    if run.ranks is None:
        run.ranks = settings.ranks
        if settings.ranks:
            run.flag("ranks_given", f"{settings.ranks}, given by --set")
    if run.collective and COLLECTIVES[run.collective].tools.mpi_counts_shards:
        _times_ranks(run)
    elif (
        run.tool_collective == "reduce_scatter"
        and run.timing == "isolated"
        and run.variant.startswith("block")
        and run.ranks
    ):
        for row in run.rows:  # what does not divide is not sent
            part = DTYPES[row.dtype].itemsize * run.ranks if row.dtype else run.ranks
            row.bytes = (row.bytes or 0) // part * part
    elif run.tool_collective == "reduce_scatter" and run.timing == "pipelined":
        parts = imb.parts_are_of_one_rank(run.facts["tool_version"])
        if parts is None:
            run.flag("size_needs_version", "one rank's part since 2019 Update 1, before the whole vector: no version of IMB")
            for row in run.rows:
                row.excluded = row.excluded or "size_needs_version"
        elif parts:
            _times_ranks(run)


def _bandwidth(row: Row, pairs: int) -> None:
    """Size over time is a pair's MB/s, or a half or a quarter where both directions count: another unit cannot pass."""
    us, mb_s = row.extra.get("max_us") or row.us, row.extra.get("mb_s", 0.0) / pairs
    if row.bytes and us and mb_s and mb_s > 0.1 and not 0.2 < row.bytes / us / mb_s < 1.2:
        row.excluded = row.excluded or "time_contradicted"


def _times_ranks(run: Run) -> None:
    for row in run.rows:
        row.extra["printed_bytes"] = row.bytes
        if run.ranks is None:
            row.bytes, row.excluded = None, row.excluded or "size_needs_ranks"
        elif row.bytes is not None:
            row.bytes *= run.ranks
    if run.ranks is None:
        run.flag("size_needs_ranks", "the total size is the printed one times the ranks: --set ranks=…")
