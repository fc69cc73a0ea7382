"""The samples file: JSON Lines, appended as measured, never rewritten.

    1: {"record": "header", "schema": "inferometer/samples/1", "environment": …, "method": …}
       {"record": "launch", "launch": 0, "ranks": [...], "placement": …}       one for each start of the ranks
       {"record": "cell", "launch": 0, "cell": "all_reduce/float32/…", "start_ns": [[…]], "stop_ns": [[…]], …}
       {"record": "launch_end", "launch": 0, "reason": "complete", "dropped": [...], …}

``start_ns`` and ``stop_ns`` hold a list per rank (in the order of ``participants``) with an entry per iteration, in
nanoseconds since ``origin_ns``. Imported cells have null there and ``{"statistic", "us"}`` instead.
Schema history: 1, the first.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import check_regular
from inferometer.emulator.samples.former_names import as_named_now
from inferometer.emulator.samples.identity import Launches
from inferometer.emulator.samples.records import complaint
from inferometer.emulator.samples.statistics import steady_mean, summary
from inferometer.emulator.samples.times import iteration_times_us

if TYPE_CHECKING:
    import pandas

SCHEMA = "inferometer/samples/1"
OVERSUBSCRIBED = "oversubscribed"
"""The flag of a cell that was measured with more ranks × threads of a node than usable cores, or with ranks on one GPU."""
SHARED_GPU = "shared_gpu"
"""The flag of one whose ranks shared a GPU."""
CELL_COLUMNS = (
    "collective implementation backend launch_mode timing dtype concurrent_groups scheduler bytes requested_bytes count "
    "ranks nodes ranks_per_node groups launch operations time_definition warmup wrong stop_reason requested_compute_gap_us "
    "compute_gap_us"
).split()


class SamplesFile:
    """An open samples file to append to."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self._file = file
        self.path = path

    @classmethod
    def create(cls, path: Path, header: dict[str, Any], schema: str = SCHEMA) -> SamplesFile:
        """Start a file of records of schema. Raises ``InputError`` where the path cannot be written."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = cls(path.open("x"), path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        samples.append({"record": "header", "schema": schema, **header})
        return samples

    @classmethod
    def reopen(cls, path: Path) -> SamplesFile:
        """Append to a file; a last line that was cut off while being written is dropped first."""
        try:
            with path.open("rb+") as raw:
                raw.truncate(_end_of_last_whole_line(raw.read()))
            return cls(path.open("a"), path)
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None

    def append(self, record: dict[str, Any]) -> None:
        """Write one line and hand it to the kernel: what is appended survives the death of this process."""
        self._file.write(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def _end_of_last_whole_line(content: bytes) -> int:
    end = content.rfind(b"\n") + 1
    return end


def read_records(path: str | Path, allow_cut: bool = False, schema: str = SCHEMA) -> Iterator[dict[str, Any]]:
    """The records of a samples file, header first.

    ``allow_cut``: pass over a last line that was cut off (an interrupted run about to be resumed).
    Raises ``InputError`` naming file, line and what is wrong.
    """
    path = Path(path)
    check_regular(path)
    try:
        with path.open() as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    if allow_cut:
                        return
                    advice = f"; `inferometer measure --resume -o {path}` completes the file" if schema == SCHEMA else ""
                    raise InputError(f"{path}: line {number} is cut off{advice}")
                yield _parse(path, number, line, schema)
            if file.tell() == 0:
                raise InputError(f"{path}: the file is empty")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a samples file: not text") from None


def _parse(path: Path, number: int, line: str, schema: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
        if "\\u" in line:
            json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair, which no text can hold
    except (ValueError, RecursionError):  # no JSON, a number too long, brackets too deep
        raise InputError(f"{path}: line {number} is not JSON") from None
    if not isinstance(record, dict) or "record" not in record:
        raise InputError(f"{path}: line {number} has no key 'record': not a samples file")
    if (number == 1) != (record["record"] == "header"):
        what = "has no header" if number == 1 else "is a second header: two files were joined"
        raise InputError(f"{path}: line {number} {what}")
    if number == 1 and record.get("schema") != schema:
        raise InputError(f"{path}: schema is {record.get('schema')!r}, this version reads {schema!r}")
    return as_named_now(record)


def checked_records(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records with their line numbers, each looked at key by key. Raises ``InputError`` as `read_records` does."""
    for number, record in enumerate(read_records(path), 1):
        wrong = complaint(record)
        if wrong:
            raise InputError(f"{path}: line {number}: {wrong}")
        yield number, record


def on_one_network(records: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records without the cells next to a look that found the network changed (see `measure.reference`).

    A cell counts where neither the look before it nor the one after it has found a change.
    """
    waiting: list[tuple[int, dict[str, Any]]] = []
    looks, changed = False, False
    for number, record in records:
        kind = record["record"]
        if kind == "cell" and looks:
            waiting.append((number, record))
            continue
        if kind in ("reference", "launch", "launch_end"):
            now = kind == "reference" and record["changed"]
            if not changed and not now:
                yield from waiting
            waiting, looks, changed = [], kind == "reference", now
        yield number, record
    if not changed:
        yield from waiting


def read_header(path: str | Path, schema: str = SCHEMA) -> dict[str, Any]:
    """The first record. Raises ``InputError`` as `read_records` does."""
    return next(read_records(path, allow_cut=True, schema=schema), None) or _no_header(path)


def _no_header(path: str | Path) -> dict[str, Any]:
    raise InputError(f"{path}: the header is cut off")


def times_us(cell: dict[str, Any]) -> np.ndarray | None:
    """Time of one operation in each iteration of a cell record, us; None for an imported cell."""
    if cell.get("start_ns") is None:
        return None
    row_of = {rank: row for row, rank in enumerate(cell["participants"])}
    return iteration_times_us(
        cell.get("time_definition", ""),
        np.array(cell["start_ns"], dtype=np.int64),
        np.array(cell["stop_ns"], dtype=np.int64),
        [[row_of[rank] for rank in ranks] for ranks in cell["groups_ranks"]],
        cell.get("operations", 1),
    )


def load_samples(*paths: str | Path, per_rank: bool = False) -> pandas.DataFrame:
    """Every iteration of one or several samples files as one DataFrame.

    One row per iteration: the cell's columns (collective, bytes, ranks, nodes, timing, launch, …), ``iteration``, ``us``
    (time of one operation, as ``time_definition`` says) and ``start_skew_us`` (last start minus first). With ``per_rank``
    one row per iteration and rank: ``rank``, ``start_ns``, ``stop_ns`` (of the machine's monotonic clock) instead.
    Imported cells give one row without iteration. Raises ``InputError`` for a file that is not one.
    """
    import pandas as pd

    frames = []
    for cell, times in _cells(*paths):
        columns = {name: cell.get(name) for name in CELL_COLUMNS}
        if times is None:
            body: dict[str, Any] = {"us": [cell["us"]], "statistic": [cell["statistic"]]}
        else:
            start, stop = np.array(cell["start_ns"]), np.array(cell["stop_ns"])
            if per_rank:
                ranks, iterations = start.shape
                body = {
                    "iteration": np.tile(np.arange(iterations), ranks),
                    "rank": np.repeat(cell["participants"], iterations),
                    "start_ns": start.ravel() + cell["origin_ns"],
                    "stop_ns": stop.ravel() + cell["origin_ns"],
                }
            else:
                in_step = (start.max(axis=0) - start.min(axis=0)) / 1e3
                body = {"iteration": np.arange(len(times)), "us": times, "start_skew_us": in_step}
        # concurrent_groups holds 1 or "all": text keeps the column of one kind
        frames.append(pd.DataFrame({**{k: [v] * len(next(iter(body.values()))) for k, v in columns.items()}, **body}))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*CELL_COLUMNS, "iteration", "us"])


class CellRows:
    """The rows of a cell table, collected record by record from one or several files."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[tuple[int, str], dict[str, Any]]] = {}

    def add(self, path: str | Path, cell: dict[str, Any], times: np.ndarray | None) -> None:
        """times: of the cell's iterations, as `times_us` finds them."""
        numbers = summary(times) if times is not None else {"median": cell["us"], "n": cell.get("n") or 1}
        row = {name: cell.get(name) for name in CELL_COLUMNS}
        row |= {"us": numbers.pop("median"), **numbers}
        if cell["timing"] == "in_step" and times is not None:
            row["us"] = steady_mean(times)
        flags = cell.get("flags", [])
        row |= {"flags": flags, "iterations_us": times}
        row["oversubscribed"] = None if times is None else OVERSUBSCRIBED in flags
        self._rows.setdefault(str(path), {})[cell["launch"], cell["cell"]] = row

    def table(self, without: Launches = frozenset()) -> pandas.DataFrame:
        """As `cell_table` says. Several files are several sets of launches."""
        import pandas as pd

        rows: list[dict[str, Any]] = []
        launch_base = 0
        for path, held in self._rows.items():
            kept = [row for (launch, _), row in held.items() if (path, launch) not in without]
            rows += [row | {"launch": row["launch"] + launch_base} for row in kept]
            launch_base += max(launch for launch, _ in held) + 1  # also of those left out: probes are numbered so too
        return pd.DataFrame(rows)


def cell_table(*paths: str | Path, without: Launches = frozenset()) -> pandas.DataFrame:
    """One row per cell and launch: what a fit works on. without: launches to pass over.

    Columns: those of the cell, ``us`` (median over the iterations; of in_step, whose times add up in a step, the
    `statistics.steady_mean`), ``n``, ``flags``, ``oversubscribed`` (of the flags; None if imported), ``wrong``,
    ``iterations_us`` (numpy array, None if imported) and the other numbers of `statistics.summary`. Cells of one launch slot
    that were measured twice (an interrupted run resumed) keep the last.
    """
    rows = CellRows()
    for path in paths:
        for _, cell in on_one_network(timed(path, checked_records(path))):
            if is_timed(cell):
                rows.add(path, cell, cell["times_us"])
    return rows.table(without)


def timed(path: str | Path, records: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records, each cell with ``times_us`` of its iterations (None if imported) in the place of the readings.

    Raises ``InputError`` for an unknown time definition, and for numbers beyond 64 bits.
    """
    for number, record in records:
        if record["record"] == "cell" and "unmeasured" not in record:
            try:
                times = times_us(record)
            except (ValueError, OverflowError) as error:
                raise InputError(f"{path}: line {number}: {error}") from None
            record = {**record, "start_ns": None, "stop_ns": None, "times_us": times}
        yield number, record


def is_timed(record: dict[str, Any]) -> bool:
    """Whether a record that came through `timed` is a cell that was measured or imported."""
    return "times_us" in record


def _cells(*paths: str | Path) -> Iterator[tuple[dict[str, Any], np.ndarray | None]]:
    """Each cell record that was measured or imported, whole, with the times of its iterations."""
    for path in paths:
        for number, record in on_one_network(checked_records(path)):
            for _, cell in timed(path, [(number, record)]):
                if is_timed(cell):
                    yield record, cell["times_us"]
