"""AIConfigurator's tables of kernel times: one table of one engine on one GPU, Parquet, or text of older releases.

latency is in ms. Its collectors capture a kernel in a CUDA graph and time replays of it, but not vLLM's fp8_block matmuls,
which are launched eagerly: of small ones the time is the host's. A matmul runs through six copies of its weights (one of
fp8_block and nvfp4), so that small ones stay in the L2 cache. A quantized matmul's time holds the quantization of its rows.
A table named module holds an attention's projections too, and is refused: its parts are other tables'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.parquet import parquet_records
from inferometer.emulator.importers.source import Source
from inferometer.emulator.importers.tables import count, number, records_of
from inferometer.emulator.workload.kernels.formats import OF_AICONFIGURATOR

ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "trtllm"}
NEEDED = ("framework", "version", "device", "op_name", "kernel_source", "latency")
#: Of DeepSeek's latent attention, which alone its tables are of.
LATENT = {"kv_rank": 512, "rope_dim": 64, "nope_dim": 128, "value_dim": 128}
#: (engine, dtype) of matmuls that are not captured in a graph.
EAGER = {("vllm", "fp8_block")}
COPIES = {"fp8_block": 1, "nvfp4": 1}
OFTEN = 6

OF_NO_SHAPE = ("latency", "power", "kernel_source")

Row = dict[str, Any]
Made = Row | str
"""A row by the documented columns, or why it is none."""


def is_table(columns: Collection[str]) -> bool:
    return {"framework", "op_name", "latency"} <= set(columns)


def rows_of(source: Source, columns: list[str] | None, left_out: Counter[str]) -> Iterator[tuple[str, Row]]:
    """Place and cells of each row, by the documented columns. columns: of the text form, None for Parquet.

    Of two rows of one shape the first counts, as for AIConfigurator itself. Where they are of different kernels it is the
    one of the kernel that most rows of its kind are of: an engine runs one of them, and no law is of both. Raises InputError
    for a table of something else, for unknown engines and dtypes, and for what is no number.
    """
    shapes: dict[tuple[Any, ...], list[tuple[str, Row]]] = {}
    common: Counter[tuple[Any, ...]] = Counter()
    found = parquet_records(source, _checked) if columns is None else _text(source, columns)
    for line, record in found:
        where = f"{source}: row {line}"
        make = OPERATIONS.get(str(record["op_name"]))
        if make is None:
            known = ", ".join(OPERATIONS)
            raise InputError(f"{where}: op_name is {str(record['op_name'])[:40]!r}, read are {known}")
        engine = ENGINES.get(str(record["framework"]).lower())
        if engine is None:
            raise InputError(f"{where}: framework is {str(record['framework'])[:40]!r}, known are {', '.join(ENGINES)}")
        made = make(record, where)
        if isinstance(made, str):
            left_out[made] += 1
            continue
        eager = made["kind"] == "matmul" and (engine, made["dtype"]) in EAGER
        row = {
            "device": record["device"], "backend": f"{engine} {record['version']}", "statistic": "mean",
            "launch_mode": "eager" if eager else "graph", "us": _us(record, where), "source": record["kernel_source"],
            **made,
        }  # fmt: skip
        shape = tuple(value for name, value in record.items() if name not in OF_NO_SHAPE)
        shapes.setdefault((*shape, made.get("gated")), []).append((where, row))
        common[_kernel(row)] += 1
    for rows in shapes.values():
        where, row = max(rows, key=lambda one: common[_kernel(one[1])])  # of several that are as common the first
        left_out["repeated"] += sum(other["source"] == row["source"] for _, other in rows) - 1
        left_out["of a kernel beside the usual one"] += sum(other["source"] != row["source"] for _, other in rows)
        yield where, row
    for why in [why for why, number_ in left_out.items() if not number_]:
        del left_out[why]


def _kernel(row: Row) -> tuple[Any, ...]:
    """What rows of one kernel have in common."""
    return row["kind"], row.get("op"), row["dtype"], row.get("head_dim"), row["source"]


def _text(source: Source, columns: list[str]) -> Iterator[tuple[int, Row]]:
    _checked(source, set(columns))
    yield from records_of(source, columns)


def _checked(source: Source, names: set[str]) -> list[str]:
    """The columns to read. Raises InputError where it is no table of kernels."""
    if missing := [name for name in NEEDED if name not in names]:
        raise InputError(f"{source}: no table of kernels: no column {missing[0]}")
    if "gemm_type" in names:
        raise InputError(
            f"{source}: a table of whole attention modules, their projections included: no law takes it, "
            "read are the tables of attention itself and of matmuls"
        )
    return sorted(names - {"power", "power_limit"})


def _us(record: Mapping[str, Any], where: str) -> float:
    return round((number(record["latency"], where, "latency") or 0.0) * 1000, 6)


def _format(record: Mapping[str, Any], column: str, where: str) -> str:
    form = OF_AICONFIGURATOR.get(str(record.get(column)))
    if form is None:
        known = ", ".join(OF_AICONFIGURATOR)
        raise InputError(f"{where}: {column} is {str(record.get(column))[:40]!r}, known are {known}")
    return form.name


def _matmul(record: Mapping[str, Any], where: str) -> Made:
    """m × k by k × n."""
    dtype = _format(record, "gemm_dtype", where)
    rows, inner, outer = (count(record.get(name), where, name) for name in ("m", "k", "n"))
    working_set = COPIES.get(dtype, OFTEN) * inner * outer
    form = OF_AICONFIGURATOR[str(record["gemm_dtype"])]
    return {
        "kind": "matmul", "dtype": dtype, "rows": rows, "inner": inner, "outer": outer,
        "working_set_bytes": int(working_set * form.weight_bytes),
    }  # fmt: skip


def _attention(op: str) -> Callable[[Mapping[str, Any], str], Made]:
    def make(record: Mapping[str, Any], where: str) -> Made:
        if str(record.get("window_size") or 0) not in ("0", "-1"):
            return "of a sliding window"
        if _format(record, "attn_dtype", where) not in ("bfloat16", "float16"):
            return "computed in 8 bits"
        if count(record.get("beam_width") or 1, where, "beam_width") > 1:
            return "of a beam search"
        heads = count(record.get("num_heads"), where, "num_heads")
        dim = count(record.get("head_dim") or 128, where, "head_dim")
        kv_heads = count(record.get("num_key_value_heads") or heads, where, "num_key_value_heads")
        about = {"kind": "attention", "query_heads": heads, "kv_heads": kv_heads, "head_dim": dim}
        return about | _tokens(record, where, op) | {"dtype": _format(record, "kv_cache_dtype", where)}

    return make


def _latent(op: str) -> Callable[[Mapping[str, Any], str], Made]:
    def make(record: Mapping[str, Any], where: str) -> Made:
        if _format(record, "mla_dtype", where) not in ("bfloat16", "float16"):
            return "computed in 8 bits"
        about = {"kind": "latent_attention", "query_heads": count(record.get("num_heads"), where, "num_heads"), **LATENT}
        return about | _tokens(record, where, op) | {"dtype": _format(record, "kv_cache_dtype", where)}

    return make


def _tokens(record: Mapping[str, Any], where: str, op: str) -> Row:
    """isl new tokens of each sequence behind step cached ones."""
    new, cached = count(record.get("isl"), where, "isl"), count(record.get("step") or 0, where, "step", zero=True)
    return {"op": op, "batch": count(record.get("batch_size"), where, "batch_size"), "new": new, "context": new + cached}


def _experts(record: Mapping[str, Any], where: str) -> Made:
    """num_tokens tokens of the whole group of ep ranks, each with topk experts; the time is of one rank."""
    dtype = _format(record, "moe_dtype", where)
    if record.get("distribution") != "balanced":
        return "of unevenly routed tokens"
    names = ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
    tokens, hidden, inter, topk, experts, tp, ep = (count(record.get(name), where, name) for name in names)
    if inter % tp or experts % ep:
        raise InputError(f"{where}: inter_size {inter} over {tp}, num_experts {experts} over {ep}: no whole numbers")
    rows = tokens * topk / ep
    if rows < 1:
        return "of less than one row on the rank"
    return {
        "kind": "experts", "dtype": dtype, "rows": rows, "inner": hidden, "outer": inter // tp,
        "matrices": min(experts // ep, rows), "gated": 0 if "nongated" in str(record["kernel_source"]) else 1,
    }  # fmt: skip


def _quantization(record: Mapping[str, Any], where: str) -> Made:
    """16 bits of each of m × k elements are read, 8 written."""
    if record.get("quant_dtype") not in ("fp8", "fp8_block"):
        return "of no fp8"
    rows, width = count(record.get("m"), where, "m"), count(record.get("k"), where, "k")
    return {"kind": "stream", "op": str(record["op_name"]), "dtype": "bfloat16", "bytes": 3 * rows * width}


def _difference(record: Mapping[str, Any], where: str) -> Made:
    return "differences of two times"


OPERATIONS: Mapping[str, Callable[[Mapping[str, Any], str], Made]] = MappingProxyType(
    {
        "gemm": _matmul,
        "context_attention": _attention("prefill"),
        "generation_attention": _attention("decode"),
        "mla_context": _latent("prefill"),
        "mla_generation": _latent("decode"),
        "moe": _experts,
        "scale_matrix": _quantization,
        "compute_scale": _difference,
    }
)
"""By op_name: gemm_perf, context_attention_perf, generation_attention_perf, context_mla_perf, generation_mla_perf, moe_perf,
scale_matrix_perf, computescale_perf."""
