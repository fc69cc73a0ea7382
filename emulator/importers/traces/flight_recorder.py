"""Dumps of torch's flight recorder (TORCH_NCCL_DUMP_ON_TIMEOUT, ``_dump_nccl_trace``): pickle or JSON, a file for each rank.

An entry has profiling_name (nccl:all_reduce), the sizes and types of inputs and outputs, its process group, and, where
TORCH_NCCL_ENABLE_TIMING=1 was set, duration_ms. The pickle is read without building any object but plain containers.
"""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.run import Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.traces.events import MAX_EVENTS, OUTPUT_IS_TOTAL, Event, collective_of, runs_of
from inferometer.emulator.importers.traces.kineto import TORCH_DTYPES
from inferometer.parallel.dtypes import NAMED

FLAG = ("kernel_time", "durations on the GPU in a program: with the wait for the slowest rank, without the launch")


class _Plain(pickle._Unpickler):
    """In Python, whose memory grows with the file, not with the numbers in it."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"names {module}.{name}"[:80])


def read_all(sources: list[Source], settings: Settings) -> list[Run]:
    """Raises ``InputError`` for what is no dump, and where no entry has a duration."""
    untimed = 0
    files: list[list[Event]] = []
    for source in sources:
        events, without = _events(source)
        untimed += without
        files.append(events)
    runs = runs_of(files, "kernel", FLAG)
    if not runs:
        why = f"{untimed} entries, none with duration_ms: set TORCH_NCCL_ENABLE_TIMING=1" if untimed else "no entries"
        raise InputError(f"{sources[0]}: nothing to read in the flight recorder's dump: {why}")
    for run in runs:
        if untimed:
            run.flag("untimed_entries", f"{untimed} entries have no duration")
    return runs


def _document(source: Source) -> dict[str, Any]:
    if source.starts_like_json():
        content = source.json()
    else:
        file = source.open()
        try:
            content = _Plain(file).load()
        except InputError:
            raise
        except Exception as error:  # a damaged pickle raises nearly anything
            raise InputError(
                f"{source}: not a dump of the flight recorder: {type(error).__name__}: {str(error)[:80]}"
            ) from None
    if not isinstance(content, dict) or not isinstance(content.get("entries"), list):
        raise InputError(f"{source}: not a dump of the flight recorder: no list 'entries'")
    return content


def _events(source: Source) -> tuple[list[Event], int]:
    content = _document(source)
    groups = _groups(content.get("pg_config"))
    events: list[Event] = []
    untimed = 0
    for entry in content["entries"]:
        if len(events) > MAX_EVENTS:
            raise InputError(f"{source}: more than {MAX_EVENTS} collectives: not one dump")
        if not isinstance(entry, dict):
            continue
        us = _us(entry)
        if us is None:
            untimed += 1
        else:
            events += _event(entry, us, groups)
    return events, untimed


def _us(entry: dict[str, Any]) -> float | None:
    found = entry.get("duration_ms")
    if isinstance(found, (int, float)) and not isinstance(found, bool) and math.isfinite(found) and 0 < found < 1e9:
        return float(found) * 1000
    return None


def _event(entry: dict[str, Any], us: float, groups: dict[str, int]) -> Iterator[Event]:
    backend, _, name = str(entry.get("profiling_name", "")).partition(":")
    name = name.split(" ")[0]  # "send 0->1"
    collective = collective_of(name)
    side = "output" if collective in OUTPUT_IS_TOTAL else "input"
    sizes, dtypes = entry.get(f"{side}_sizes"), entry.get(f"{side}_dtypes") or entry.get("input_dtypes")
    if not isinstance(sizes, list) or not isinstance(dtypes, list) or not dtypes:
        return
    dtype = TORCH_DTYPES.get(str(dtypes[0]).lower())
    elements = sum(_product(shape) for shape in sizes)
    if dtype is None or elements >= 1 << 50:
        return
    group = entry.get("process_group")
    named = str(group[0]) if isinstance(group, (list, tuple)) and group else str(entry.get("pg_name", ""))
    size = groups.get(named) or (next(iter(groups.values())) if len(groups) == 1 else None)
    ranks = 2 if collective == "send_recv" else size
    yield Event(
        collective, name, elements * NAMED[dtype].itemsize, dtype, ranks, named[:60], us, backend[:20] or "nccl", None
    )


def _product(shape: Any) -> int:
    if (
        not isinstance(shape, (list, tuple))
        or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape)
        or len(shape) > 16
    ):
        return 0
    return math.prod(shape)


def _groups(config: Any) -> dict[str, int]:
    """Ranks of each process group, by its name."""
    if not isinstance(config, dict):
        return {}
    found = {}
    for name, about in config.items():
        ranks = about.get("ranks") if isinstance(about, dict) else None
        listed = re.findall(r"\d+", ranks) if isinstance(ranks, str) else ranks if isinstance(ranks, list) else []
        if listed:
            found[str(name)] = len(listed)
    return found
