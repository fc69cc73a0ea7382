"""One kernel time of a table, by the documented columns, as an operation of a compute record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.emulator.aliases import Document
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.tables import count, number
from inferometer.emulator.workload.kernels.executions import EXPERTS, TIMES_MOVED
from inferometer.emulator.workload.kernels.formats import FORMATS, Format
from inferometer.emulator.workload.kernels.sizes import (
    attention_sizes,
    experts_sizes,
    latent_sizes,
    matmul_sizes,
    pass_sizes,
)

KEY = ("device", "backend", "launch_mode", "dtype", "launch")
COLUMNS = (
    "kind", "op", "rows", "inner", "outer", "matrices", "gated", "width", "bytes", "batch", "new", "context", "query_heads",
    "kv_heads", "head_dim", "kv_rank", "rope_dim", "nope_dim", "value_dim", "one_tensor", "us", "statistic",
    "working_set_bytes", *KEY,
)  # fmt: skip
LAUNCH_MODES = ("graph", "stream", "eager")


def operation(row: Mapping[str, Any], where: str) -> Document:
    """The operation of one row; its kind says which columns it needs. Raises InputError naming the column."""
    kind = row.get("kind")
    make = KINDS.get(str(kind))
    if make is None:
        raise InputError(f"{where}: kind is {str(kind)[:40]!r}, known are {', '.join(KINDS)}")
    us = number(row.get("us"), where, "us")
    if not us:
        raise InputError(f"{where}: us is 0, and no kernel takes no time")
    form = FORMATS["bfloat16"] if row.get("dtype") is None else FORMATS[str(row["dtype"])]
    return {
        "kind": str(kind),
        **make(row, where, form),
        "ns": None,
        "us": us,
        "statistic": str(row.get("statistic") or "median"),
    }


def _matmul(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """[rows, inner] × [inner, outer]."""
    rows, inner, outer = (count(row.get(name), where, name) for name in ("rows", "inner", "outer"))
    return {"op": "matmul", **matmul_sizes(rows, inner, outer, form)}


def _experts(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """An expert layer as a whole."""
    names = ("rows", "inner", "outer", "matrices")
    rows, inner, outer, matrices = (number(row.get(name), where, name) or 0.0 for name in names)
    if min(rows, inner, outer, matrices) < 1:
        raise InputError(f"{where}: {' × '.join(names)} is {rows:g} × {inner:g} × {outer:g} × {matrices:g}, each from 1 up")
    gated = number(row.get("gated"), where, "gated", optional=True) != 0
    return {"kind": "matmul", "op": EXPERTS, **experts_sizes(rows, inner, outer, matrices, form, gated=gated)}


def _attended(row: Mapping[str, Any], where: str) -> tuple[str, int, int, int]:
    """op; sequences, new tokens of each, context with them.

    decode: one new token of each of batch sequences, context tokens with it; prefill: context new ones, each sees those
    before it.
    """
    op = str(row.get("op"))
    if op not in ("decode", "prefill"):
        raise InputError(f"{where}: op is {op[:40]!r}, of attention known are decode and prefill")
    batch, context = (count(row.get(name), where, name) for name in ("batch", "context"))
    new = 1 if op == "decode" else count(row.get("new") or context, where, "new")
    if new > context:
        raise InputError(f"{where}: new is {new}, of a context of {context}")
    return op, batch, new, context


def _attention(row: Mapping[str, Any], where: str, form: Format) -> Document:
    op, batch, new, context = _attended(row, where)
    query_heads, kv_heads, dim = (count(row.get(name), where, name) for name in ("query_heads", "kv_heads", "head_dim"))
    one_tensor = int(number(row.get("one_tensor"), where, "one_tensor", optional=True) or 0)
    sizes = attention_sizes(batch, new, context, query_heads, kv_heads, dim, form, 1 if one_tensor else 2)
    return {"op": op, **sizes, "one_tensor": one_tensor}


def _latent(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """Multi-head latent attention: absorbed in decode, expanded in prefill."""
    op, batch, new, context = _attended(row, where)
    names = ("query_heads", "kv_rank", "rope_dim", "nope_dim", "value_dim")
    heads, rank, rope, nope, value = (count(row.get(name), where, name) for name in names)
    sizes = latent_sizes(batch, new, context, heads, rank, rope, nope, value, form, absorbed=op == "decode")
    return {"kind": "attention", "op": op, **sizes, "one_tensor": 0}


def _stream(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """A pass over rows × width elements of a function that is known, or over so many bytes."""
    op = row.get("op")
    if not op:
        raise InputError(f"{where}: op is missing: which function passes over the activations?")
    if row.get("bytes") is not None:
        return {"op": str(op), "activation_bytes": count(row["bytes"], where, "bytes")}
    if op not in TIMES_MOVED:
        known = ", ".join(TIMES_MOVED)
        raise InputError(f"{where}: how many bytes {str(op)[:40]} moves is not known: give bytes (known: {known})")
    rows, width = (count(row.get(name), where, name) for name in ("rows", "width"))
    return {"op": str(op), **pass_sizes(str(op), rows, width, form)}


def _null(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """A kernel that does nothing; launched eagerly, what one call costs the host."""
    return {"op": "null"}


def _memory(row: Mapping[str, Any], where: str, form: Format) -> Document:
    """read: bytes read; copy: bytes read and written."""
    op = str(row.get("op"))
    if op not in ("read", "copy"):
        raise InputError(f"{where}: op is {op[:40]!r}, of memory known are read and copy")
    return {"op": op, "activation_bytes": count(row.get("bytes"), where, "bytes")}


KINDS: Mapping[str, Callable[[Mapping[str, Any], str, Format], Document]] = MappingProxyType(
    {
        "matmul": _matmul, "experts": _experts, "attention": _attention, "latent_attention": _latent, "stream": _stream,
        "null": _null, "memory": _memory,
    }
)  # fmt: skip
