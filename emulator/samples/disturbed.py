"""Launches that something else disturbed: by what the kernel counted meanwhile, and by how long their cells took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from inferometer.emulator.samples.samples import times_us

STEAL = 0.05
"""Of the time of all cores, given to other machines by the hypervisor. A rank is then often missing when others wait."""
OTHERS = 0.2
"""Of the time of all cores, used by processes that are no ranks of the launch."""
SLOWER = 1.3
"""Half of the cells that a launch shares with others took this much longer in it than in the others' median …"""
LEAST_CELLS = 8
"""… of at least so many cells, and at least two other launches."""


class Disturbances:
    """What of a file's records tells which of its launches were disturbed."""

    def __init__(self) -> None:
        self._reasons: dict[int, str] = {}
        self._us: dict[str, dict[int, float]] = defaultdict(dict)

    def add(self, record: Mapping[str, Any], times: np.ndarray | None) -> None:
        """record: checked; times: of a measured cell's iterations. Imported cells have no launches of their own."""
        if record["record"] == "launch_end" and (words := _by_counters(record)):
            self._reasons[record["launch"]] = words
        elif times is not None:
            self._us[record["cell"]][record["launch"]] = float(np.median(times))

    def found(self) -> dict[int, str]:
        """The disturbed launches, each with the reason in words."""
        return _by_cells(self._us) | self._reasons


def disturbed(records: Iterable[Mapping[str, Any]]) -> dict[int, str]:
    """Of the launches in a samples file, those that were disturbed, each with the reason in words.

    records: checked, of one file.
    """
    book = Disturbances()
    for record in records:
        measured = record["record"] == "cell" and "unmeasured" not in record
        book.add(record, times_us(dict(record)) if measured else None)
    return book.found()


def _by_counters(end: Mapping[str, Any]) -> str | None:
    steal, others = end.get("steal_fraction"), end.get("others_fraction")
    if steal is not None and steal > STEAL:
        return f"the hypervisor gave {steal:.0%} of the cores' time to others"
    if others is not None and others > OTHERS:
        return f"other processes used {others:.0%} of the cores' time"
    return None


def _by_cells(us: Mapping[str, Mapping[int, float]]) -> dict[int, str]:
    ratios: dict[int, list[float]] = defaultdict(list)
    for of_launch in us.values():
        for launch, here in of_launch.items():
            others = [time for other, time in of_launch.items() if other != launch]
            if len(others) > 1 and here > 0:
                ratios[launch].append(here / float(np.median(others)))
    middle = {launch: float(np.median(found)) for launch, found in ratios.items() if len(found) >= LEAST_CELLS}
    return {
        launch: f"its cells took {ratio:.2f} times as long as in the others"
        for launch, ratio in middle.items()
        if ratio > SLOWER
    }
