"""Writing an export: the file, what belongs beside it, and FILE.loss.txt, which says what is lost."""

from __future__ import annotations

from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.loss import lines_of
from inferometer.emulator.exporters.targets import Exported

LOSS_SUFFIX = ".loss.txt"


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
