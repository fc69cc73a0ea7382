"""The file of an emulation: JSON Lines, appended as measured.

    1: {"record": "header", "schema": "inferometer/emulation/1", "environment": …, "method": …}
       {"record": "launch", "launch": 0, "one_clock": true, "ranks": [...], …}
       {"record": "cell", "launch": 0, "cell": 0, "ranks": [{"stage": 0, "groups": …, "lines": {"decode": [...]}}]}
       {"record": "step", "launch": 0, "cell": 0, "rank": 0, "phase": "decode", "block": 0, "stamps_ns": [...], …}
       {"record": "launch_end", "launch": 0, "reason": "complete", …}

``cell``: its place among the cells of the header's method; in a launch they run in a random order. ``stamps_ns`` are start
and stop of every operation in the order of the lines, once for each micro-batch, in nanoseconds since the step's
``begin_ns``; null in a plain step. ``lead``: the first step of a block, which is not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.errors import InputError
from inferometer.parallel.line import Line

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """One rank's steps of one phase in one launch, in the order in which they ran. Times in ns."""

    stage: int
    groups: dict[str, list[int]]
    """By axis: the ranks of this rank's group."""
    lines: list[Line]
    """Of each micro-batch."""
    block: Numbers
    """[steps]"""
    lead: NDArray[np.bool_]
    begin: Numbers
    end: Numbers
    instrumented: NDArray[np.bool_]
    stamps: Numbers
    """[instrumented steps, micro-batches, lines, 2], of the machine's monotonic clock."""
    executed: Numbers
    """[instrumented steps, micro-batches, lines whose size depends on routing]: the sizes."""


def traces(records: Iterable[dict[str, Any]], phase: str, cell: int = 0) -> list[tuple[bool, list[Trace]]]:
    """For each launch: whether its ranks share one clock, and the trace of every rank in one cell of the file.

    Launches without steps are left out. Raises InputError for stamps that are not those of the lines.
    """
    one_clock: dict[int, bool] = {}
    ranks: dict[int, list[dict[str, Any]]] = {}
    steps: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        if record["record"] == "launch":
            one_clock[record["launch"]] = record["one_clock"]
        elif record.get("cell") != cell:
            continue
        elif record["record"] == "cell":
            ranks[record["launch"]] = record["ranks"]
        elif record["record"] == "step" and record["phase"] == phase:
            steps[record["launch"], record["rank"]].append(record)
    found = []
    for number, of_launch in ranks.items():
        whole = min(len(steps[number, rank]) for rank in range(len(of_launch)))
        if whole:
            of_rank = [_trace(each, phase, steps[number, rank][:whole]) for rank, each in enumerate(of_launch)]
            found.append((one_clock[number], of_rank))
    return found


def _trace(rank: dict[str, Any], phase: str, steps: list[dict[str, Any]]) -> Trace:
    lines = [Line(name, kind, tuple(size), *further) for name, kind, size, *further in rank["lines"][phase]]
    instrumented = [step for step in steps if step["instrumented"]]
    if any(len(step["stamps_ns"]) % (2 * len(lines)) for step in instrumented):
        raise InputError(
            f"launch {steps[0]['launch']}: stamps_ns do not hold two readings for each of {len(lines)} operations"
        )
    begins = np.array([step["begin_ns"] for step in instrumented], np.int64).reshape(-1, 1, 1, 1)
    stamps = np.array([step["stamps_ns"] for step in instrumented], np.int64).reshape(len(instrumented), -1, len(lines), 2)
    varying = sum(line.varies for line in lines)
    executed = np.array([step["executed"] for step in instrumented], np.int64).reshape(*stamps.shape[:2], varying)
    return Trace(
        rank["stage"],
        rank["groups"],
        lines,
        np.array([step["block"] for step in steps], np.int64),
        np.array([step["lead"] for step in steps], bool),
        np.array([step["begin_ns"] for step in steps], np.int64),
        np.array([step["end_ns"] for step in steps], np.int64),
        np.array([step["instrumented"] for step in steps], bool),
        begins + stamps,
        executed,
    )
