"""A whole validation's launches: every number of ranks in turn, round after round, so that all see the same machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from inferometer.emulator.units import format_seconds
from inferometer.emulator.validate.plan import Part
from inferometer.launch.ranks.events import Event
from inferometer.launch.runs.emulating import kept_in, launch_here, open_emulation
from inferometer.launch.runs.sampling import require_mpi

Turn = Callable[[int], None]
"""Launches something in the round of that number."""


def beside(output: Path, name: str) -> Path:
    """``mine.calibration.json`` for ``mine.json`` and ``calibration.json``."""
    return output.with_name(f"{output.name.removesuffix('.json')}.{name}")


def samples_path(output: Path, ranks: int) -> Path:
    """Where the samples of so many ranks go."""
    return beside(output, f"ranks-{ranks}.emulation.jsonl")


def validate_here(parts: Sequence[Part], paths: Sequence[Path], also: Turn | None = None) -> None:
    """Emulate each part on local ranks, its samples in its own file; also: what else has a turn in every round of launches.

    Each round begins with another of them (the first with also): what comes first or last in all of them would see another
    machine where its speed follows what ran before. Raises as emulating.launch_here does.
    """
    if any(part.matrix.backend == "mpi" for part in parts):
        require_mpi()
    for part, path in zip(parts, paths):
        open_emulation(path, part.matrix)
    began = time.monotonic()
    turns = [also] if also else []
    turns += [partial(_launch, part, path, list(paths), began) for part, path in zip(parts, paths)]
    try:
        for number in range(parts[0].matrix.launches):
            first = number % len(turns)
            for turn in turns[first:] + turns[:first]:
                turn(number)
    except KeyboardInterrupt as interrupt:  # between two launches nobody has said yet what is kept
        raise KeyboardInterrupt(str(interrupt) or kept_in(*paths)) from None


def _launch(part: Part, path: Path, paths: list[Path], began: float, number: int) -> None:
    matrix, ranks = part.matrix, part.matrix.world_size
    words = f"launch {number + 1} of {matrix.launches}, {ranks} rank{'s' if ranks > 1 else ''}"
    launch_here(matrix, path, number, paths, Progress(words, part, began))


class Progress:
    """Says on the error stream which launch, which cell."""

    def __init__(self, words: str, part: Part, began: float) -> None:
        self._words, self._part, self._began = words, part, began
        self._seen: list[int] = []

    def __call__(self, event: Event) -> None:
        cell = event.get("cell")
        if event["event"] != "doing" or cell in self._seen or cell is None:
            return
        self._seen.append(cell)
        count = f"cell {len(self._seen)} of {len(self._part.places)}"
        what = self._part.matrix.cells[cell].words()
        passed = format_seconds(time.monotonic() - self._began)
        print(f"{self._words}: {count}: {what} ({passed})", file=sys.stderr, flush=True)
