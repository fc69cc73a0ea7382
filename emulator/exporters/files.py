"""Writing an export: the file, what belongs beside it, and FILE.loss.txt, which says what is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.loss import lines_of
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.targets import Exported, export_query

LOSS_SUFFIX = ".loss.txt"


@dataclass(frozen=True)
class Export:
    """A calibration in another tool's format: what goes into which file, and the statement of what is lost."""

    contents: dict[Path, bytes]
    statement: dict[str, Any]

    def write(self) -> None:
        """Raises InputError for a file that cannot be written."""
        write_export(self.contents)


def prepare_export(
    calibration: str | Path | Calibration,
    to: str,
    output: str | Path,
    *,
    key: Mapping[str, Any] | None = None,
    ranks: Sequence[tuple[int, int | None]] = (),
    first: int | None = None,
    last: int | None = None,
    factor: int | None = None,
) -> Export:
    """What `export` writes, with nothing written yet. Raises InputError as it does."""
    known = calibration if isinstance(calibration, Calibration) else load_calibration(calibration)
    path = Path(output)
    exported = export_query(to, Query(known, dict(key or {}), ranks, first, last, factor), path.suffix)
    return Export(files_of(exported, path), exported.statement)


def export(
    calibration: str | Path | Calibration,
    to: str,
    output: str | Path,
    *,
    key: Mapping[str, Any] | None = None,
    ranks: Sequence[tuple[int, int | None]] = (),
    first: int | None = None,
    last: int | None = None,
    factor: int | None = None,
) -> Export:
    """Write a calibration in another tool's format, and FILE.loss.txt, which says what that format loses.

    calibration: a file, a built-in name or the record. to: a name of `targets.TARGETS`. key: fields of a law's key. ranks:
    (ranks, nodes), nodes None for any; empty for all that were measured. first, last: sizes in bytes, factor between them;
    None as the target needs.

    Raises InputError for an unknown target, for ranks or sizes outside what was measured, where the calibration lacks what
    the target needs, and where a file cannot be written.
    """
    made = prepare_export(calibration, to, output, key=key, ranks=ranks, first=first, last=last, factor=factor)
    made.write()
    return made


def files_of(exported: Exported, path: Path) -> dict[Path, bytes]:
    """What goes into which file, path first. Raises InputError for a sibling in the way.

    A sibling of the same name that says something else belongs to another table and is never overwritten.
    """
    loss = path.with_name(path.name + LOSS_SUFFIX)
    contents = {path: exported.content, loss: ("\n".join(lines_of(exported.statement)) + "\n").encode()}
    for name, content in exported.siblings.items():
        sibling = path.with_name(name)
        if sibling in contents:
            raise InputError(f"{path}: is the name of the file that goes beside it")
        if sibling.exists() and sibling.read_bytes() != content:
            raise InputError(f"{sibling}: is there already and says something else: write into a folder of its own")
        contents[sibling] = content
    return contents


def write_export(contents: dict[Path, bytes]) -> None:
    """Write what `files_of` says. Raises InputError for a path that cannot be written."""
    for where, content in contents.items():
        try:
            where.write_bytes(content)
        except OSError as error:
            raise InputError(f"{where}: cannot be written: {error.strerror}") from error
