"""AIConfigurator's tables ``nccl_perf``, ``oneccl_perf`` and ``custom_allreduce_perf``: Parquet, or text of older releases.

message_size counts ELEMENTS (of nccl-tests' size), latency is in ms. Its collectors (collector/network) run nccl-tests
with a thread per GPU of one machine, and engines' own all_reduce kernels in a CUDA graph; rows whose kernel_source ends in
``_eager`` were launched one by one. Tables of ``moe_a2a`` and ``wideep_deepep`` are in µs per call of dispatch and combine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.grouped import Reading, runs_from
from inferometer.emulator.importers.parquet import is_parquet, parquet_records
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, Row, Run, tool_name
from inferometer.emulator.importers.settings import Settings
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.tables import columns_of, count, number, records_of, us_of_ms
from inferometer.parallel.dtypes import NAMED

NEEDED = ("op_name", "num_gpus", "message_size", "latency", "kernel_source")
DTYPE_COLUMNS = ("nccl_dtype", "allreduce_dtype", "oneccl_dtype", "dtype")
OPTIONAL = ("framework", "version", "device")
EXPERT_COLUMNS = ("num_topk", "moe_dtype", "num_token", "num_tokens", "topk", "ep_size", "moe_ep_size")
"""Of the tables of expert dispatch and combine."""
LIBRARIES = {"nccl": "stream", "oneccl": "stream", "rccl": "stream", "trtllm": "graph"}
"""kernel_source → how its collector launches it: libraries by their own benchmark, TensorRT-LLM's kernels in a graph."""


def read(source: Source, settings: Settings) -> list[Run]:
    """Raises ``InputError`` without pyarrow, for what is no such table, and for a table without the columns."""
    runs = runs_from(source, _readings(source), statistic="mean")
    for run in runs:
        run.flag("one_node_format", "the table has no node count: its collectors measure one machine")
        if run.launch_mode is None:
            run.flag("launch_mode_unknown", f"how {run.implementation} was launched is not known: --set launch_mode=…")
    return runs


def _readings(source: Source) -> Iterator[Reading]:
    for line, record in _records(source):
        where = f"{source}: row {line}"
        dtype = str(next((record[name] for name in DTYPE_COLUMNS if name in record), None))
        if dtype not in NAMED:
            raise InputError(f"{where}: dtype is {dtype[:40]!r}, known are {', '.join(NAMED)}")
        name = str(record["op_name"])
        collective = tool_name(name)
        if collective is None:
            known = ", ".join(name for name, ours in TOOL_COLLECTIVES.items() if ours)
            raise InputError(f"{where}: op_name {name[:40]!r} is no collective known here, known are {known}")
        implementation, mode = _kernel(str(record["kernel_source"]))
        elements = count(record["message_size"], where, "message_size", zero=True)
        ms = number(record["latency"], where, "latency")
        yield Reading(
            Row(elements * NAMED[dtype].itemsize, us_of_ms(ms or 0.0), NAMED[dtype].name),
            tool_collective=collective,
            ranks=count(record["num_gpus"], where, "num_gpus"),
            nodes=1,
            implementation=implementation,
            backend=implementation.partition("_")[0],
            launch_mode=mode,
            timing="pipelined",
            device=record.get("device"),
            backend_version=record.get("version"),
        )


def _kernel(kernel_source: str) -> tuple[str, str | None]:
    """NCCL → (nccl, stream), vLLM_custom_eager → (vllm_custom, eager), TRTLLM → (trtllm, graph); None where not known."""
    name = kernel_source.lower()
    for mode in ("graph", "eager"):
        if name.endswith(f"_{mode}"):
            return name.removesuffix(f"_{mode}"), mode
    return name, LIBRARIES.get(name)


def _check_columns(source: Source, names: set[str]) -> list[str]:
    """The columns to read. Raises ``InputError`` where it is another table."""
    if {"dispatch_avg_t_us", "dispatch_transmit_us"} & names or (len(names & set(EXPERT_COLUMNS)) > 1):
        raise InputError(
            f"{source}: a table of expert dispatch and combine (µs, tokens per rank): no cost law takes it, "
            "read are nccl_perf, oneccl_perf and custom_allreduce_perf"
        )
    missing = [name for name in NEEDED if name not in names]
    if missing or not names & set(DTYPE_COLUMNS):
        wanted = missing[0] if missing else " or ".join(DTYPE_COLUMNS[:2])
        raise InputError(f"{source}: not nccl_perf or custom_allreduce_perf: no column {wanted}")
    return [name for name in (*NEEDED, *DTYPE_COLUMNS, *OPTIONAL) if name in names]


def _records(source: Source) -> Iterator[tuple[int, dict[str, Any]]]:
    if not is_parquet(source) and (columns := _text_columns(source)):
        _check_columns(source, set(columns))
        yield from records_of(source, columns)
        return
    yield from parquet_records(source, _check_columns)


def _text_columns(source: Source) -> list[str] | None:
    """Of the text form; None where the first line is no head of such a table."""
    if b"\0" in source.head or not source.head:
        return None
    columns = columns_of(source)
    return columns if columns and ("op_name" in columns or "latency" in columns) else None
