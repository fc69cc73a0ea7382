"""The traces of torch.profiler (Kineto's Chrome trace): NCCL's kernels with what torch recorded of them, or gloo's calls.

A kernel's args have Collective name, In msg nelems, Out msg nelems, Group size, dtype, Process Group Name and Ranks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.run import Run
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.traces.events import MAX_EVENTS, OUTPUT_IS_TOTAL, Event, collective_of, runs_of
from inferometer.parallel.dtypes import NAMED

FLAG = ("kernel_time", "kernel durations in a program: with the wait for the slowest rank, without the launch")
TORCH_DTYPES = {
    "bfloat16": "bfloat16", "half": "float16", "float": "float32", "double": "float64", "byte": "uint8", "char": "int8",
    "int": "int32", "long": "int64", "float8_e4m3fn": "float8_e4m3fn", "float8_e5m2": "float8_e5m2",
    **{name: name for name in ("float16", "float32", "float64", "int8", "int32", "int64", "uint8")},
}  # fmt: skip
"""c10::toString's names in small letters, and those that traces of other makers have."""


def read_all(sources: list[Source], settings: Settings) -> list[Run]:
    """Raises ``InputError`` for what is no trace, and where no communication was recorded."""
    files = [list(_events(source)) for source in sources]
    runs = runs_of(files, "kernel", FLAG)
    if not runs:
        wanted = "NCCL's kernels with 'Collective name' (torch 2.2 or later), or gloo's calls"
        raise InputError(f"{sources[0]}: no collective in the trace: {wanted}")
    return runs


def _events(source: Source) -> Iterator[Event]:
    document = source.json()
    events = document.get("traceEvents") if isinstance(document, dict) else document
    if not isinstance(events, list):
        raise InputError(f"{source}: not a trace of torch.profiler: no list 'traceEvents'")
    about = document.get("distributedInfo") if isinstance(document, dict) else None
    about = about if isinstance(about, dict) else {}
    found = 0
    for event in sorted(events, key=_start):
        if not isinstance(event, dict) or event.get("ph") != "X" or not isinstance(event.get("args"), dict):
            continue
        made = _kernel(event, event["args"]) or _gloo(event, event["args"], about)
        if made is not None:
            found += 1
            if found > MAX_EVENTS:
                raise InputError(f"{source}: more than {MAX_EVENTS} collectives: trace fewer steps")
            yield made


def _start(event: Any) -> float:
    """Threads' events lie one after the other; the order in time separates the calls."""
    return _number(event.get("ts")) or 0.0 if isinstance(event, dict) else 0.0


def _kernel(event: dict[str, Any], args: dict[str, Any]) -> Event | None:
    name = args.get("Collective name")
    if event.get("cat") != "kernel" or not isinstance(name, str):
        return None
    us, taken, given = _number(event.get("dur")), _number(args.get("In msg nelems")), _number(args.get("Out msg nelems"))
    dtype = TORCH_DTYPES.get(str(args.get("dtype")).lower())
    if us is None or us <= 0 or taken is None or dtype is None:
        return None
    collective = collective_of(name)
    elements = given if collective in OUTPUT_IS_TOTAL and given else taken
    size = _number(args.get("Group size"))
    splits = str(args.get("In split size") or "[]").strip("[] ")
    uneven = collective == "alltoall" and bool(splits) and len(set(splits.replace(" ", "").split(","))) > 1
    ranks = 2 if collective == "send_recv" else int(size) if size else None
    mode = "graph" if args.get("graph node id") or args.get("graph id") else "eager"
    group = str(args.get("Process Group Name", ""))[:60]
    return Event(collective, name, int(elements * NAMED[dtype].itemsize), dtype, ranks, group, us, "nccl", mode, uneven)


def _gloo(event: dict[str, Any], args: dict[str, Any], about: dict[str, Any]) -> Event | None:
    """A call of gloo: its group is known only where there is one."""
    name = str(event.get("name"))
    if not name.startswith("gloo:") or event.get("cat") != "user_annotation":
        return None
    us, dims, types = _number(event.get("dur")), args.get("Input Dims") or [], args.get("Input type") or []
    collective = collective_of(name.removeprefix("gloo:"))
    dtype = TORCH_DTYPES.get(str(types[0]).lower()) if isinstance(types, list) and types else None
    shape = dims[0] if isinstance(dims, list) and dims else []
    if us is None or us <= 0 or (collective != "barrier" and (dtype is None or not isinstance(shape, list))):
        return None
    elements = 1.0
    for extent in shape if isinstance(shape, list) else []:
        elements *= _number(extent) or 0
    world = _number(about.get("world_size")) if _number(about.get("pg_count")) == 1 else None
    ranks = int(world) if world else None
    if collective in OUTPUT_IS_TOTAL:
        if ranks is None:
            return None
        elements *= ranks
    size = 0 if collective == "barrier" or dtype is None else int(elements * NAMED[dtype].itemsize)
    return Event(collective, name, size, dtype, ranks, "default", us, "gloo", "host")


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if 0 <= found < 1e15 else None
