"""One cell as its ranks measure it: who takes part, what runs between two readings, and the readings so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.measure.plan import Cell
from inferometer.emulator.measure.timing import Readings, Run, Timer
from inferometer.emulator.measure.work import Work
from inferometer.emulator.samples.times import iteration_times_us


@dataclass
class Visit:
    """The readings are all ranks', on rank 0 alone: int64 [ranks, iterations] in ns."""

    index: int
    """Of the cell in this launch."""
    cell: Cell
    work: Work
    groups: list[tuple[int, ...]]
    """World ranks of the groups that run it."""
    before: Run
    """What precedes each first reading: see `timing.Timer`."""
    loops: int
    """Runs between two readings."""
    definition: str
    """How an iteration's time follows from the readings: see `samples.times`."""
    timer: Timer
    count: int
    """Iterations of the next batch."""
    wrong: int
    """Elements on this rank so far, in checks before the cell was timed."""
    in_turns: bool
    """Whether others are measured in between."""
    turns: int = 0
    """Batches so far."""
    elapsed_s: float = 0.0
    """In them, on rank 0."""
    starts: np.ndarray = field(init=False)
    stops: np.ndarray = field(init=False)
    gaps: np.ndarray = field(init=False)
    """From an operation's stop to the next one's start."""

    def __post_init__(self) -> None:
        self.starts = self.stops = self.gaps = np.empty((len(self.ranks), 0), np.int64)

    @property
    def ranks(self) -> list[int]:
        return [rank for group in self.groups for rank in group]

    def take(self, count: int) -> Readings:
        """This rank's readings of so many iterations, and of those that do not count."""
        if self.cell.timing == "pipelined":
            return self.timer.pipelined(self.before, self.work.run, count, self.loops)
        take = self.timer.in_step if self.cell.timing == "in_step" else self.timer.isolated
        return take(self.before, self.work.run, count + self.uncounted)

    @property
    def operations(self) -> int:
        """Between two readings."""
        return self.work.record.operations * self.loops

    @property
    def uncounted(self) -> int:
        """Iterations of a batch that do not count: a step's first call follows the control plane, not a step."""
        return 1 if self.cell.timing == "in_step" else 0

    def add(self, readings: list[Readings]) -> None:
        """Of one batch, by rank."""
        starts, stops = (np.array([reading[end] for reading in readings], np.int64) for end in (0, 1))
        self.starts = np.hstack([self.starts, starts[:, self.uncounted :]])
        self.stops = np.hstack([self.stops, stops[:, self.uncounted :]])
        self.gaps = np.hstack([self.gaps, starts[:, 1:] - stops[:, :-1]])

    def times_us(self) -> Array:
        """Of one operation, [iterations]."""
        rows = {rank: row for row, rank in enumerate(self.ranks)}
        group_rows = [[rows[rank] for rank in group] for group in self.groups]
        return iteration_times_us(self.definition, self.starts, self.stops, group_rows, self.operations)

    def record(self) -> dict[str, Any]:
        """The readings and what they are of, as a samples file has them."""
        origin = int(self.starts.min())
        found = {
            "bytes": self.work.accounted_bytes,
            "count": self.work.call.elements if self.work.record.sized else 0,
            "groups_ranks": [list(group) for group in self.groups],
            "operations": self.operations,
            "time_definition": self.definition,
            "bus_factor": self.work.record.bus_factor(self.cell.ranks),
            "origin_ns": origin,
            "start_ns": (self.starts - origin).tolist(),
            "stop_ns": (self.stops - origin).tolist(),
        }
        if self.cell.timing == "in_step":
            # of the typical iteration, as the cell's time is
            compute_gap_us = float(np.median(self.gaps.mean(axis=0))) / 1e3
            found |= {"requested_compute_gap_us": self.cell.compute_gap_us, "compute_gap_us": compute_gap_us}
        return found
