"""``inferometer import``: files of one format → the records of a samples file, with a report on every run."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from inferometer.emulator.aliases import Document
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import aiconfigurator, table, vidur
from inferometer.emulator.importers.cells import cell_records, entry, header, settle_unknown
from inferometer.emulator.importers.guess import hint
from inferometer.emulator.importers.kernels import read as kernels
from inferometer.emulator.importers.launches import flag_far
from inferometer.emulator.importers.mpi import text as mpi_text
from inferometer.emulator.importers.nccl import nccl_tests, rccl_tests
from inferometer.emulator.importers.run import Run
from inferometer.emulator.importers.settings import Settings, apply
from inferometer.emulator.importers.side_by_side import read_each
from inferometer.emulator.importers.source import STDIN, Source
from inferometer.emulator.importers.tools import ds_bench, mscclpp, nvbandwidth, param, perftest
from inferometer.emulator.importers.traces import flight_recorder, inspector, kineto
from inferometer.emulator.regular import check_regular
from inferometer.emulator.samples.samples import SamplesFile

FORMATS: dict[str, Callable[[Source, Settings], list[Run]]] = {
    "nccl-tests": nccl_tests.read,
    "rccl-tests": rccl_tests.read,
    "aiconfigurator": aiconfigurator.read,
    "vidur": vidur.read,
    "osu": mpi_text.read,
    "imb": mpi_text.read,
    "csv": table.read,
    "mscclpp": mscclpp.read,
    "ds_bench": ds_bench.read,
    "param": param.read,
    "perftest": perftest.read,
    "nvbandwidth": nvbandwidth.read,
}
"""Each file by itself: one measurement, or several."""
TRACES: dict[str, Callable[[list[Source], Settings], list[Run]]] = {
    "torch-trace": kineto.read_all,
    "flight-recorder": flight_recorder.read_all,
    "nccl-inspector": inspector.read_all,
}
"""A file for each rank of one job, read together."""
KERNELS = "kernels"
"""Times of kernels, not of collectives: they become probes of computing."""
KNOWN = (*FORMATS, *TRACES, KERNELS)


@dataclass(frozen=True)
class Imported:
    """files: an entry for each run, or table of kernels; header and cells: the records of the samples file."""

    files: list[Document]
    header: Document
    cells: list[Document]

    def write(self, path: str | Path) -> None:
        """Write the samples file. Raises OSError where that fails; then there is no file."""
        target = Path(path)
        samples = SamplesFile.create(target, self.header)
        try:
            for record in self.cells:
                samples.append(record)
            samples.close()
        except OSError:
            target.unlink()  # part of the samples would pass for all of them
            raise


def import_files(format_name: str, paths: Sequence[str | Path], settings: Settings | None = None) -> Imported:
    """Read files of one of `FORMATS`. The cells go to a samples file as they are.

    Raises ``InputError`` for an unknown format, a file that is not of the format, the same contents twice, and where
    settings contradict a file.
    """
    if format_name not in KNOWN:
        raise InputError(f"format {format_name!r}: known are {', '.join(KNOWN)}")
    if sum(str(path) == STDIN for path in paths) > 1:
        raise InputError("stdin is named twice: it can be read once")
    for path in paths:
        if str(path) != STDIN:
            check_regular(Path(path))
    given = settings or Settings()
    with _collector_paused():
        if format_name == KERNELS:
            return _kernels([Source(path) for path in paths], given)
        if format_name in TRACES:
            return _imported(format_name, _together(format_name, [Source(path) for path in paths], given))
        job = partial(_one, format_name, given)
        if STDIN in map(str, paths):
            return _imported(format_name, [job(path) for path in paths])
        return _imported(format_name, read_each(job, paths))


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Rows and records hold no cycles, and are many: looking for some takes a quarter of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


@dataclass(frozen=True)
class _Read:
    """A file, and the runs in it with --set applied."""

    path: str
    sha256: str
    runs: list[Run]


def _one(format_name: str, given: Settings, path: str | Path) -> _Read:
    """Raises ``InputError`` as the format's reader does."""
    source = Source(path)
    try:
        runs = FORMATS[format_name](source, given)
    except InputError as error:
        raise InputError(f"{error}{hint(source, format_name)}") from None
    return _Read(str(source), source.sha256, _settled(runs, given, str(source)))


def _together(format_name: str, sources: list[Source], given: Settings) -> list[_Read]:
    """A file for each rank of one job: the runs of all stand under the first. Raises ``InputError`` as the reader does."""
    try:
        runs = TRACES[format_name](sources, given)
    except InputError as error:
        named = next((source for source in sources if str(error).startswith(f"{source}:")), sources[0])
        raise InputError(f"{error}{hint(named, format_name)}") from None
    first, *others = (_Read(str(source), source.sha256, []) for source in sources)
    return [replace(first, runs=_settled(runs, given, first.path)), *others]


def _settled(runs: list[Run], given: Settings, where: str) -> list[Run]:
    for run in runs:
        apply(given, run, where)
        settle_unknown(run)
    return runs


def _imported(format_name: str, read: list[_Read]) -> Imported:
    _refuse_twice(read)
    runs = [(one.path, run) for one in read for run in one.runs]
    flag_far(runs)
    files = [entry(one.path, one.sha256, run) for one in read for run in one.runs]
    about: list[Document] = [
        {"path": one.path, "sha256": one.sha256, "rows": sum(len(run.rows) for run in one.runs)} for one in read
    ]
    return Imported(files, header(format_name, about, [run for _, run in runs]), cell_records(runs))


def _kernels(sources: list[Source], settings: Settings) -> Imported:
    """Raises ``InputError`` as the reader of kernels does, and for the same contents twice."""
    entries, records = kernels.read_all(sources, settings)
    _refuse_twice([_Read(str(source), source.sha256, []) for source in sources])
    about: list[Document] = [{"path": one["file"], "sha256": one["sha256"], "rows": one["kernels"]} for one in entries]
    devices = sorted({device for one in entries for device in one["devices"]})
    head = header(KERNELS, about, [])
    head["environment"]["hardware"]["devices"] = devices
    return Imported(entries, head, records)


def _refuse_twice(read: Sequence[_Read]) -> None:
    seen: dict[str, str] = {}
    for one in read:
        if one.sha256 in seen:
            raise InputError(f"{one.path}: has the same contents as {seen[one.sha256]}: one measurement cannot count twice")
        seen[one.sha256] = one.path
