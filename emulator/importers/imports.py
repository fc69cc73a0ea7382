"""``inferometer import``: files of one format → the records of a samples file, with a report on every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inferometer.emulator.aliases import Document
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import aiconfigurator, table, vidur
from inferometer.emulator.importers.cells import cell_records, entry, header, settle_unknown
from inferometer.emulator.importers.guess import hint
from inferometer.emulator.importers.launches import flag_far
from inferometer.emulator.importers.mpi import text as mpi_text
from inferometer.emulator.importers.nccl import nccl_tests, rccl_tests
from inferometer.emulator.importers.run import Run
from inferometer.emulator.importers.settings import Settings, apply
from inferometer.emulator.importers.source import Source
from inferometer.emulator.samples.samples import SamplesFile

FORMATS: dict[str, Callable[[Source, Settings], list[Run]]] = {
    "nccl-tests": nccl_tests.read,
    "rccl-tests": rccl_tests.read,
    "aiconfigurator": aiconfigurator.read,
    "vidur": vidur.read,
    "osu": mpi_text.read,
    "imb": mpi_text.read,
    "csv": table.read,
}


@dataclass(frozen=True)
class Imported:
    """files: an entry for each run; header and cells: the records of the samples file."""

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
    if format_name not in FORMATS:
        raise InputError(f"format {format_name!r}: known are {', '.join(FORMATS)}")
    given = settings or Settings()
    hashes: list[str] = []
    sources: list[Document] = []
    runs: list[tuple[str, Run]] = []
    seen: dict[str, str] = {}
    for path in paths:
        source = Source(path)
        try:
            read = FORMATS[format_name](source, given)
        except InputError as error:
            raise InputError(f"{error}{hint(source, format_name)}") from None
        if source.sha256 in seen:
            raise InputError(f"{source}: has the same contents as {seen[source.sha256]}: one measurement cannot count twice")
        seen[source.sha256] = str(source)
        sources.append({"path": str(source), "sha256": source.sha256, "rows": sum(len(run.rows) for run in read)})
        for run in read:
            apply(given, run, str(source))
            settle_unknown(run)
            runs.append((str(source), run))
            hashes.append(source.sha256)
    flag_far(runs)
    files = [entry(file, sha256, run) for (file, run), sha256 in zip(runs, hashes)]
    return Imported(files, header(format_name, sources, [run for _, run in runs]), cell_records(runs))
