"""What NCCL's inspector (a profiler plugin, NCCL_INSPECTOR_ENABLE=1; RCCL's too) writes: a JSON object for each collective.

    {"header": {"id": "0x…", "rank": 0, "n_ranks": 8, "nnodes": 1}, "metadata": {…, "hostname": "…"},
     "coll_perf": {"coll": "AllReduce", "coll_sn": 7, "coll_msg_size_bytes": 1048576, "coll_exec_time_us": 61,
                   "coll_algobw_gbs": 17.2, "coll_busbw_gbs": 30.1}}

Since format 4.3 the header stands once, in the dump_stats object before its communicator's objects; some collectors write
its fields beside coll_perf. algobw × time shows which bytes the size of an all_gather counts: those of one rank, or of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.run import Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.tables import count, number
from inferometer.emulator.importers.traces.events import MAX_EVENTS, Event, collective_of, runs_of

FLAG = ("kernel_time", "durations in a program, by NCCL's inspector: with the wait for the slowest rank")
SLACK = 0.15


def read_all(sources: list[Source], settings: Settings) -> list[Run]:
    """Raises ``InputError`` naming the line where a file is not the inspector's."""
    denied: list[str] = []
    runs = runs_of([list(_events(source, denied)) for source in sources], "kernel", FLAG)
    if not runs:
        raise InputError(denied[0] if denied else f"{sources[0]}: no object with coll_perf: not written by NCCL's inspector")
    for run in runs:
        if denied:
            first = denied[0].partition(": ")[2]
            run.flag("time_contradicted", f"{len(denied)} objects of the files contradict themselves: {first}")
    return runs


def _events(source: Source, denied: list[str]) -> Iterator[Event]:
    """denied: takes in what contradicts itself, in words."""
    header: Any = None
    found = 0
    for line, record in source.json_objects():
        if not isinstance(record, dict):
            continue
        perf = record.get("coll_perf")
        held = record.get("header")
        if isinstance(held, dict):
            header = held
        elif "n_ranks" in record:
            header = record
        if not isinstance(perf, dict) or not isinstance(header, dict):
            continue
        found += 1
        if found > MAX_EVENTS:
            raise InputError(f"{source}: more than {MAX_EVENTS} collectives: not one step's")
        event = _event(perf, header, f"{source}: line {line}")
        if isinstance(event, str):
            denied.append(event)
        else:
            yield event


def _event(perf: dict[str, Any], header: dict[str, Any], where: str) -> Event | str:
    """The collective, or the arithmetic by which its object contradicts itself."""
    size = count(perf.get("coll_msg_size_bytes"), where, "coll_msg_size_bytes", zero=True)
    us = number(perf.get("coll_exec_time_us"), where, "coll_exec_time_us") or 0.0
    ranks = count(header.get("n_ranks"), where, "n_ranks")
    nodes = count(header["nnodes"], where, "nnodes") if header.get("nnodes") is not None else None
    algbw = number(perf.get("coll_algobw_gbs"), where, "coll_algobw_gbs", optional=True)
    if algbw and us and size:
        moved = algbw * us * 1e3
        total = next((n for n in (size, size * ranks) if abs(moved - n) <= SLACK * n), None)
        if total is None:
            return f"{where}: {size} bytes / {us:g} µs is not {algbw:g} GB/s, nor is that of {ranks} times as many"
        size = total
    name = str(perf.get("coll", ""))[:60]
    group = str(header.get("id", ""))[:60]
    return Event(collective_of(name), name, size, None, ranks, group, us, "nccl", None, nodes=nodes)
