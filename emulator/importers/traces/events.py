"""Collectives of a running program, as its traces record them rank by rank, made into runs with single iterations.

A file is one rank's. The duration of a communication kernel has the wait for the slowest rank in it, and not the launch.
Over the files of one job the n-th call of a collective is one iteration, whose time is the mean over the ranks, as a step
pays it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inferometer.emulator.importers.grouped import check
from inferometer.emulator.importers.run import Row, Run, tool_name

#: torch's and NCCL's names of a call → nccl-tests'.
NAMES = {
    "_allgather_base": "all_gather", "allgather_into_tensor": "all_gather", "all_gather_into_tensor": "all_gather",
    "_all_gather_base": "all_gather", "allgather_into_tensor_coalesced": "all_gather",
    "_reduce_scatter_base": "reduce_scatter", "reduce_scatter_tensor": "reduce_scatter",
    "reduce_scatter_tensor_coalesced": "reduce_scatter", "all_to_all": "alltoall", "all_to_all_single": "alltoall",
    "all_to_allv": "alltoall", "alltoall_base": "alltoall", "allreduce_coalesced": "all_reduce",
    "all_reduce_barrier": "barrier", "send": "send_recv", "recv": "send_recv",
}  # fmt: skip
MAX_EVENTS = 200_000
#: Whose message is larger on the receiving side: the total is what comes out.
OUTPUT_IS_TOTAL = ("all_gather",)


@dataclass(slots=True, frozen=True)
class Event:
    """One call on one rank. bytes: nccl-tests' convention; group: the process group's name."""

    tool_collective: str | None
    printed: str
    bytes: int
    dtype: str | None
    ranks: int | None
    group: str
    us: float
    backend: str
    launch_mode: str | None
    uneven: bool = False
    nodes: int | None = None

    def place(self) -> tuple[object, ...]:
        """What a run has in common; both sides of a message are one call."""
        what = self.tool_collective or self.printed
        return (what, self.group, self.ranks, self.nodes, self.backend, self.launch_mode, self.uneven)


def collective_of(printed: str) -> str | None:
    plain = printed.strip().lower()
    return NAMES.get(plain) or tool_name(plain)


def runs_of(files: Sequence[Iterable[Event]], timing: str, flag: tuple[str, str]) -> list[Run]:
    """files: the events of each rank. One run for each collective and group."""
    runs: dict[tuple[object, ...], Run] = {}
    cells: dict[tuple[object, ...], dict[int, list[float]]] = {}
    first: dict[tuple[object, ...], Event] = {}
    for at, events in enumerate(files):
        for event in events:
            key = (event.place(), event.bytes, event.dtype)
            cells.setdefault(key, {}).setdefault(at, []).append(event.us)
            first.setdefault(key, event)
    for cell, by_rank in cells.items():
        event = first[cell]
        run = runs.get(event.place())
        if run is None:
            runs[event.place()] = run = _run(event, timing, flag)
        run.rows.append(_row(event, list(by_rank.values())))
    for run in runs.values():
        run.rows.sort(key=lambda row: (row.dtype or "", row.bytes or 0))
        check(run)
    return list(runs.values())


def _row(event: Event, ranks: list[list[float]]) -> Row:
    alike = len({len(times) for times in ranks}) == 1
    times = [statistics.fmean(call) for call in zip(*ranks)] if alike else [us for rank in ranks for us in rank]
    row = Row(event.bytes, statistics.fmean(times), event.dtype, iterations_us=times)
    row.extra = {"calls": len(times), "ranks_traced": len(ranks), "min_us": min(times), "max_us": max(times)}
    return row


def _run(event: Event, timing: str, flag: tuple[str, str]) -> Run:
    run = Run([], ranks=event.ranks, nodes=event.nodes, launch_mode=event.launch_mode, timing=timing)
    run.implementation = run.backend = event.backend
    if event.uneven:
        run.tool_collective = "alltoallv"
    else:
        run.call(event.tool_collective)
    if run.tool_collective is None:
        run.flag("collective_unknown", f"{event.printed[:60]} is no collective known here")
    run.facts["group"] = event.group
    run.flag(*flag)
    return run
