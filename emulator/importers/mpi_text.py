"""The text of the OSU micro-benchmarks (``osu_allreduce`` …) and of the Intel MPI Benchmarks (``IMB-MPI1 Allreduce``).

Their size is what one rank hands in: per rank for all_gather, per pair of ranks for all_to_all. Samples count the total, as
nccl-tests do, so that those need the rank count. IMB prints it; OSU does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import MAX_ROWS, Source
from inferometer.parallel.collectives import COLLECTIVES

MAX_RUNS = 1000
SUITES = {"MPI": "mpi", "NCCL": "nccl", "RCCL": "rccl"}

_OSU = re.compile(r"#\s*OSU\s+(MPI|NCCL|RCCL)\S*\s+([A-Za-z_-]+)\s+Latency\s+Test(?:\s+v?(\S+))?")
_OSU_OTHER = re.compile(r"#\s*OSU\s+\S+.*\bTest\b")
_OSU_HEAD = re.compile(r"#\s*Size\b(.*Latency\s*\(us\).*)")
_OSU_DTYPE = re.compile(r"#\s*Datatype:\s*MPI_(\w+)")
_IMB = re.compile(r"#\s*Benchmarking\s+(\w+)")
_IMB_RANKS = re.compile(r"#\s*#processes\s*=\s*(\d{1,7})")
_IMB_GROUPS = re.compile(r"(\d{1,7})\s+groups?\s+of\s+(\d{1,7})\s+processes")
_IMB_HEAD = re.compile(r"#bytes\s+#repetitions\b(.*)")
_IMB_DTYPE = re.compile(r"#\s*MPI_Datatype for reductions\s*:\s*MPI_(\w+)")
_PREFIX = re.compile(r"^\s*(?:\[\d+,\d+\]\s?<std(?:out|err)>:?|\[?\d{1,7}(?:\]|:)(?=\s))")
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?(?:[eE][+-]?\d{1,2})?")
_MPI_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64", "INT": "int32", "CHAR": "int8", "BYTE": "uint8"}


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` where the file holds no table of either suite."""
    runs = []
    for seen, run in enumerate(_runs(source), 1):
        if seen > MAX_RUNS:
            raise InputError(f"{source}: more than {MAX_RUNS} runs: not one benchmark's log")
        if run.rows:
            runs.append(run)
    if not runs:
        raise InputError(f"{source}: no table of latencies of the OSU or the Intel MPI benchmarks in it")
    if source.cut_off and runs[-1].rows:
        runs[-1].flag("truncated", "the file ends in a line")
        runs[-1].rows[-1].excluded = "cut_off"
    for run in runs:
        if run.ranks is None:
            run.ranks = settings.ranks
            if settings.ranks:
                run.flag("ranks_given", f"{settings.ranks}, given by --set")
        if run.collective and COLLECTIVES[run.collective].tools.mpi_counts_shards:
            for row in run.rows:
                row.extra["printed_bytes"] = row.bytes
                if run.ranks is None:
                    row.bytes, row.excluded = None, row.excluded or "size_needs_ranks"
                elif row.bytes is not None:
                    row.bytes *= run.ranks
            if run.ranks is None:
                run.flag("size_needs_ranks", "the total size is the printed one times the ranks: --set ranks=…")
        check(run)
    return runs


def _runs(source: Source) -> Iterator[Run]:
    run: Run | None = None
    columns: list[str] = []
    imb_dtype: str | None = None
    rows = 0
    for number, line in source.lines():
        line = _PREFIX.sub("", line[:2000])
        if "#" not in line:
            if run is not None and columns and (row := _row(line, columns)):
                row.dtype = run.facts.get("dtype_printed")
                run.rows.append(row)
                rows += 1
                if rows > MAX_ROWS:
                    raise InputError(f"{source}: line {number}: more than {MAX_ROWS} rows: not one benchmark's log")
            elif not line.strip() and run is not None and run.rows:
                columns = []
            continue
        if found := _OSU.search(line):
            yield from _done(run)
            run, columns = _osu(found), []
        elif found := _IMB.search(line):
            yield from _done(run)
            run, columns = _imb(found[1], imb_dtype), []
        elif _OSU_OTHER.search(line):
            yield from _done(run)
            run, columns = None, []
        elif found := _IMB_DTYPE.search(line):
            imb_dtype = _MPI_DTYPES.get(found[1])
        elif run is not None:
            columns = _about(run, line) or columns
    yield from _done(run)


def _done(run: Run | None) -> Iterator[Run]:
    if run is not None:
        yield run


def _osu(found: re.Match[str]) -> Run:
    suite = SUITES[found[1].upper()]
    run = Run([], implementation=suite, backend="mpi" if suite == "mpi" else "nccl", launch_mode="host", timing="isolated")
    _name(run, found[2])
    run.facts["tool_version"] = found[3]
    return run


def _imb(name: str, dtype: str | None) -> Run:
    run = Run([], implementation="mpi", backend="mpi", launch_mode="host", timing="pipelined")
    _name(run, name)
    if run.collective and COLLECTIVES[run.collective].sums:
        run.facts["dtype_printed"] = dtype
    return run


def _name(run: Run, printed: str) -> None:
    plain = "".join(c for c in printed.lower() if c.isalpha())
    run.tool_collective = tool_name(plain)
    run.facts["benchmark"] = printed
    if run.tool_collective is None:
        run.flag("collective_unknown", f"{printed} is no collective known here")
    else:
        run.collective = TOOL_COLLECTIVES[run.tool_collective]


def _about(run: Run, line: str) -> list[str]:
    """What a comment line says of the run; the column names where it is the table's head."""
    if found := _IMB_RANKS.search(line):
        run.ranks = int(found[1]) or None
    elif found := _IMB_GROUPS.search(line):
        run.ranks, run.concurrent_groups = int(found[2]) or None, "all" if int(found[1]) > 1 else 1
    elif found := _OSU_DTYPE.search(line):
        run.facts["dtype_printed"] = _MPI_DTYPES.get(found[1])
    elif found := _OSU_HEAD.search(line):
        kinds = [kind.lower() for kind in re.findall(r"(Avg|Min|Max)?\s*Lat(?:ency)?\s*\(us\)", found[1])]
        return ["bytes", *(f"{kind or 'avg'}_us" for kind in kinds)]
    elif found := _IMB_HEAD.search(line):
        kinds = re.findall(r"t_(min|max|avg)\[usec\]", found[1])
        return ["bytes", "repetitions", *(f"{kind}_us" for kind in kinds)]
    return []


def _row(line: str, columns: list[str]) -> Row | None:
    parts = line.split()
    if len(parts) < len(columns) or "avg_us" not in columns or not all(_NUMBER.fullmatch(p) for p in parts[: len(columns)]):
        return None
    if not parts[0].isdigit():
        return None
    values = dict(zip(columns, parts))
    extra = {name: float(values[name]) for name in columns if name.endswith("_us") and name != "avg_us"}
    return Row(int(values["bytes"]), float(values["avg_us"]), extra=dict(extra))
