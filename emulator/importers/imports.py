"""``inferometer import``: files of one format → the records of a samples file, with a report on every run."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
from inferometer.emulator.importers.source import STDIN, Source
from inferometer.emulator.importers.tools import ds_bench, mscclpp, nvbandwidth, param, perftest
from inferometer.emulator.importers.traces import flight_recorder, inspector, kineto
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
    with _collector_paused():
        return _imported(format_name, [Source(path) for path in paths], settings or Settings())


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


def _imported(format_name: str, sources: list[Source], given: Settings) -> Imported:
    if format_name == KERNELS:
        return _kernels(sources, given)
    try:
        read = _read(format_name, sources, given)
    except InputError as error:
        raise InputError(f"{error}{hint(_named_in(error, sources), format_name)}") from None
    runs: list[tuple[str, Run]] = []
    for source, run in read:
        apply(given, run, str(source))
        settle_unknown(run)
        runs.append((str(source), run))
    flag_far(runs)
    files = [entry(file, source.sha256, run) for (source, _), (file, run) in zip(read, runs)]
    rows: Counter[str] = Counter()
    for file, run in runs:
        rows[file] += len(run.rows)
    about: list[Document] = [{"path": str(s), "sha256": s.sha256, "rows": rows[str(s)]} for s in sources]
    return Imported(files, header(format_name, about, [run for _, run in runs]), cell_records(runs))


def _kernels(sources: list[Source], settings: Settings) -> Imported:
    """Raises ``InputError`` as the reader of kernels does, and for the same contents twice."""
    entries, records = kernels.read_all(sources, settings)
    _refuse_twice(sources)
    about: list[Document] = [{"path": one["file"], "sha256": one["sha256"], "rows": one["kernels"]} for one in entries]
    devices = sorted({device for one in entries for device in one["devices"]})
    head = header(KERNELS, about, [])
    head["environment"]["hardware"]["devices"] = devices
    return Imported(entries, head, records)


def _read(format_name: str, sources: list[Source], settings: Settings) -> list[tuple[Source, Run]]:
    """Raises ``InputError`` as the format's reader does, and for the same contents twice."""
    if format_name in TRACES:
        read = [(sources[0], run) for run in TRACES[format_name](sources, settings)]
        _refuse_twice(sources)
        return read
    found = [FORMATS[format_name](source, settings) for source in sources]
    _refuse_twice(sources)
    return [(source, run) for source, runs in zip(sources, found) for run in runs]


def _refuse_twice(sources: Sequence[Source]) -> None:
    seen: dict[str, str] = {}
    for source in sources:
        if source.sha256 in seen:
            raise InputError(f"{source}: has the same contents as {seen[source.sha256]}: one measurement cannot count twice")
        seen[source.sha256] = str(source)


def _named_in(error: InputError, sources: list[Source]) -> Source:
    return next((source for source in sources if str(error).startswith(f"{source}:")), sources[0])
