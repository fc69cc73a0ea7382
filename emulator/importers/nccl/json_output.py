"""The document that nccl-tests write with ``-J FILE``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, FiniteFloat, NonNegativeInt, ValidationError

from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.nccl.table import NcclRun, TableCell, TableRow, library_version, table_cell
from inferometer.emulator.importers.run import tool_name
from inferometer.emulator.importers.source import MAX_ROWS, Source


class Lenient(BaseModel):
    """Further keys are passed over: versions add some."""

    model_config = ConfigDict(defer_build=True, extra="ignore")


class Times(Lenient):
    """Further keys are looked through for ``times_us``, the single iterations that -I records."""

    model_config = ConfigDict(defer_build=True, extra="allow")

    time: FiniteFloat | None = None
    cpu_time: FiniteFloat | None = None
    alg_bw: FiniteFloat
    bus_bw: FiniteFloat
    nwrong: FiniteFloat | None = None


class Result(Lenient):
    size: NonNegativeInt
    count: NonNegativeInt = 0
    type: str
    redop: str | None = None
    root: int | str | None = None
    out_of_place: Times | None = None
    in_place: Times | None = None
    experiment_name: str | None = None


class Device(Lenient):
    rank: NonNegativeInt
    group: int = 0
    hostname: str
    device_info: str = ""


class Config(Lenient):
    nthreads: NonNegativeInt | None = None
    ngpus: NonNegativeInt | None = None
    minimum_bytes: NonNegativeInt | None = None
    maximum_bytes: NonNegativeInt | None = None
    step_factor: NonNegativeInt | None = None
    iterations: NonNegativeInt | None = None
    warmup_iters: NonNegativeInt | None = None
    aggregated_iterations: NonNegativeInt | None = None
    validation: int | None = None
    graph: int | None = None
    devices: list[Device] = []


class Count(Lenient):
    count: int | None = None


class Bandwidth(Lenient):
    bandwidth: FiniteFloat | None = None


class Document(Lenient):
    args: list[str] = []
    nccl_version: int | str | None = None
    config: Config = Config()
    results: list[Result]
    out_of_bounds: Count | None = None
    average_bus_bandwidth: Bandwidth | None = None


NAMES = {
    "nthreads": "nthread",
    "ngpus": "ngpus",
    "minimum_bytes": "min_bytes",
    "maximum_bytes": "max_bytes",
    "step_factor": "step",
    "iterations": "iters",
    "warmup_iters": "warmup_iters",
    "aggregated_iterations": "agg_iters",
    "validation": "validation",
    "graph": "graph",
}


def run_of(source: Source) -> NcclRun:
    """Raises ``InputError`` naming the key where the document is not nccl-tests'."""
    content = source.json()
    if not isinstance(content, dict) or "results" not in content:
        raise InputError(f"{source}: not nccl-tests' JSON: no key 'results'")
    try:
        document = Document.model_validate(content)
    except (ValidationError, RecursionError) as error:
        what = first_error(error) if isinstance(error, ValidationError) else "brackets too deep"
        raise InputError(f"{source}: not nccl-tests' JSON: {what}") from None
    if len(document.results) > MAX_ROWS:
        raise InputError(f"{source}: more than {MAX_ROWS} rows: not one benchmark's output")
    config = document.config
    settings: dict[str, Any] = {ours: getattr(config, theirs) for theirs, ours in NAMES.items()}
    run = NcclRun(settings={k: v for k, v in settings.items() if v is not None}, header=True)
    run.settings["step_is_factor"] = config.step_factor is not None
    _devices(run, config)
    program = document.args[0].rsplit("/", 1)[-1] if document.args else ""
    named = [result.experiment_name for result in document.results[:1] if result.experiment_name]
    for name in (program.partition("_perf")[0], *named):
        run.program = run.program or tool_name(name.partition("_perf")[0])
    run.rows = [_row(result) for result in document.results]
    run.cpu_time = any(times and times.time is None for r in document.results for times in (r.out_of_place, r.in_place))
    run.library_version = _version(document.nccl_version)
    if document.out_of_bounds:
        run.out_of_bounds, run.footer = document.out_of_bounds.count, True
    if document.average_bus_bandwidth and document.average_bus_bandwidth.bandwidth is not None:
        run.average, run.footer = f"{document.average_bus_bandwidth.bandwidth:f}", True
    return run


def _devices(run: NcclRun, config: Config) -> None:
    """The list has an entry per process, of its first rank (or one per rank): the others are on the same host."""
    ranks = [device.rank for device in config.devices]
    each = run.per_process or 1
    per_process = each <= 1024 and sorted(ranks) == [each * i for i in range(len(ranks))]
    for device in config.devices:
        for rank in range(device.rank, device.rank + (each if per_process else 1)):
            run.devices.add(rank, device.group, device.hostname, device.device_info.strip())


def _row(result: Result) -> TableRow:
    try:
        root = None if result.root is None else int(result.root)
    except ValueError:
        root = None
    return TableRow(
        result.size,
        result.type,
        result.redop or None,
        root,
        _cell(result.out_of_place),
        _cell(result.in_place),
        result.count or None,
    )


def _cell(times: Times | None) -> TableCell | None:
    if times is None:
        return None
    time = times.time if times.time is not None else times.cpu_time
    if time is None or min(time, times.alg_bw, times.bus_bw) < 0:
        return None
    cell = table_cell(f"{time:f}", f"{times.alg_bw:f}", f"{times.bus_bw:f}", times.nwrong)
    cell.iterations_us = _iterations(times.model_extra or {})
    return cell


def _iterations(extra: dict[str, Any], depth: int = 0) -> list[float] | None:
    """times_us at whatever depth a version has it, without the first ones that its statistics skip."""
    found = extra.get("times_us")
    if isinstance(found, list) and 0 < len(found) <= MAX_ROWS:
        skipped = next(
            (n for key, n in extra.items() if "skip" in key.lower() and type(n) is int and 0 <= n < len(found)), 0
        )
        times = found[skipped:]
        whole = all(isinstance(us, (int, float)) and not isinstance(us, bool) and 0 < us < 1e12 for us in times)
        return [float(us) for us in times] if whole else None
    if depth < 3:
        for value in extra.values():
            if isinstance(value, dict) and (inner := _iterations(value, depth + 1)):
                return inner
    return None


def _version(code: int | str | None) -> str | None:
    if isinstance(code, int):
        return library_version(code)
    return code
