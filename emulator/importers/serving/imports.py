"""Files of serving benchmarks → served points: each run a row, completed by what the user says of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from inferometer.emulator.documents import read_text
from inferometer.emulator.economics.serving.points.checks import checked_points
from inferometer.emulator.economics.serving.points.named import accelerator_named, model_named
from inferometer.emulator.economics.serving.points.record import ServedPoint
from inferometer.emulator.economics.serving.points.table import COLUMNS, REQUIRED, point_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.serving.formats import READERS
from inferometer.emulator.regular import shown_path


def import_points(form: str, paths: Sequence[str | Path], settings: Mapping[str, str]) -> list[ServedPoint]:
    """The points of benchmark results in one format. settings: columns that no file says, or says wrongly.

    Raises InputError in one line for a file that is no such result, for a column that nothing gives.
    """
    found = []
    for path in paths:
        where = shown_path(path)
        for row in READERS[form](read_text(path), where):
            cells = {name: "" if value is None else str(value) for name, value in row.items()} | dict(settings)
            for name in REQUIRED:
                if not cells.get(name):
                    raise InputError(f"{where}: {name} is not in the file: give --set {name}=…")
            cells["model"] = model_named(cells["model"], where)
            cells["accelerator"] = accelerator_named(cells["accelerator"], where)
            found.append(point_of(cells, where))
    return checked_points(found)


def point_settings(text: str | None) -> dict[str, str]:
    """``tp=4,accelerator=h200`` as columns of a points file. Raises InputError for others."""
    found = {}
    for part in (text or "").split(","):
        if not part:
            continue
        name, equals, value = part.partition("=")
        if not equals or name not in COLUMNS:
            raise InputError(f"--set {part}: column=value, with a column of a points file (docs/serving.md)")
        found[name] = value
    return found
