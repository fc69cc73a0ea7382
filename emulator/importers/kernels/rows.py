"""One kernel time of a table, by the documented columns, as an operation of a compute record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.emulator.aliases import Document
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.tables import count, number
from inferometer.emulator.workload.kernels.executions import TIMES_MOVED
from inferometer.parallel.dtypes import NAMED

KEY = ("device", "backend", "launch_mode", "dtype", "launch")
COLUMNS = (
    "kind", "op", "rows", "inner", "outer", "width", "bytes", "batch", "new", "context", "query_heads", "kv_heads",
    "head_dim", "one_tensor", "us", "statistic", "working_set_bytes", *KEY,
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
    element = 2 if row.get("dtype") is None else NAMED[str(row["dtype"])].itemsize
    made = make(row, where, element)
    return {"kind": str(kind), **made, "ns": None, "us": us, "statistic": str(row.get("statistic") or "median")}


def _matmul(row: Mapping[str, Any], where: str, element: int) -> Document:
    """[rows, inner] × [inner, outer]."""
    rows, inner, outer = (count(row.get(name), where, name) for name in ("rows", "inner", "outer"))
    return {
        "op": "matmul", "rows": rows, "inner": inner, "outer": outer, "matrices": 1, "flop": 2 * rows * inner * outer,
        "weight_bytes": inner * outer * element, "activation_bytes": rows * (inner + outer) * element,
    }  # fmt: skip


def _attention(row: Mapping[str, Any], where: str, element: int) -> Document:
    """decode: one new token of each of batch sequences, context tokens with it; prefill: context new ones, each sees those
    before it."""
    op = str(row.get("op"))
    if op not in ("decode", "prefill"):
        raise InputError(f"{where}: op is {op[:40]!r}, of attention known are decode and prefill")
    names = ("batch", "context", "query_heads", "kv_heads", "head_dim")
    batch, context, query_heads, kv_heads, dim = (count(row.get(name), where, name) for name in names)
    new = 1 if op == "decode" else count(row.get("new") or context, where, "new")
    pairs = batch * new * (context - (new - 1) / 2)
    one_tensor = int(number(row.get("one_tensor"), where, "one_tensor", optional=True) or 0)
    return {
        "op": op, "flop": 4 * query_heads * dim * pairs, "context": context, "one_tensor": one_tensor,
        "activation_bytes": 2 * batch * new * query_heads * dim * element,
        "kv_bytes": (1 if one_tensor else 2) * batch * context * kv_heads * dim * element,
    }  # fmt: skip


def _stream(row: Mapping[str, Any], where: str, element: int) -> Document:
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
    return {"op": str(op), "activation_bytes": TIMES_MOVED[str(op)] * rows * width * element}


def _null(row: Mapping[str, Any], where: str, element: int) -> Document:
    """A kernel that does nothing; launched eagerly, what one call costs the host."""
    return {"op": "null"}


def _memory(row: Mapping[str, Any], where: str, element: int) -> Document:
    """read: bytes read; copy: bytes read and written."""
    op = str(row.get("op"))
    if op not in ("read", "copy"):
        raise InputError(f"{where}: op is {op[:40]!r}, of memory known are read and copy")
    return {"op": op, "activation_bytes": count(row.get("bytes"), where, "bytes")}


KINDS: Mapping[str, Callable[[Mapping[str, Any], str, int], Document]] = MappingProxyType(
    {"matmul": _matmul, "attention": _attention, "stream": _stream, "null": _null, "memory": _memory}
)
