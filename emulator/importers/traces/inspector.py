"""What NCCL's inspector (a profiler plugin, NCCL_INSPECTOR_ENABLE=1; RCCL's too) writes: a JSON object for each collective.

    {"header": {"id": "0x…", "rank": 0, "n_ranks": 8, "nnodes": 1}, "metadata": {…, "hostname": "…"},
     "coll_perf": {"coll": "AllReduce", "coll_sn": 7, "coll_msg_size_bytes": 1048576, "coll_exec_time_us": 61,
                   "coll_algobw_gbs": 17.2, "coll_busbw_gbs": 30.1}}

algobw × time shows which bytes the size of an all_gather counts: those of one rank, or of all.
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
    runs = runs_of([list(_events(source)) for source in sources], "kernel", FLAG)
    if not runs:
        raise InputError(f"{sources[0]}: no object with coll_perf in it: not written by NCCL's inspector")
    return runs


def _events(source: Source) -> Iterator[Event]:
    for found, (line, record) in enumerate(source.json_lines(), 1):
        if found > MAX_EVENTS:
            raise InputError(f"{source}: more than {MAX_EVENTS} collectives: not one step's")
        perf = record.get("coll_perf") if isinstance(record, dict) else None
        header = record.get("header") if isinstance(record, dict) else None
        if isinstance(perf, dict) and isinstance(header, dict):
            yield _event(perf, header, f"{source}: line {line}")


def _event(perf: dict[str, Any], header: dict[str, Any], where: str) -> Event:
    size = count(perf.get("coll_msg_size_bytes"), where, "coll_msg_size_bytes", zero=True)
    us = number(perf.get("coll_exec_time_us"), where, "coll_exec_time_us") or 0.0
    ranks = count(header.get("n_ranks"), where, "n_ranks")
    nodes = count(header["nnodes"], where, "nnodes") if header.get("nnodes") is not None else None
    algbw = number(perf.get("coll_algobw_gbs"), where, "coll_algobw_gbs", optional=True)
    if algbw and us and size:
        moved = algbw * us * 1e3
        total = next((n for n in (size, size * ranks) if abs(moved - n) <= SLACK * n), None)
        if total is None:
            raise InputError(
                f"{where}: {size} bytes / {us:g} µs is not {algbw:g} GB/s, nor is that of {ranks} times as many"
            )
        size = total
    name = str(perf.get("coll", ""))[:60]
    group = str(header.get("id", ""))[:60]
    return Event(collective_of(name), name, size, None, ranks, group, us, "nccl", None, nodes=nodes)
