"""The table of kernel times as a summary of one GPU has it: a list for each kind, microseconds, rates beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.tables import number

SIGN = "matmul_bf16_us"
RATES = {"read_GBs": "read", "copy_GBs_rw": "copy"}
RATE_BYTES = 1_000_000_000


def is_summary(document: Mapping[str, Any]) -> bool:
    return SIGN in document


def rows_of(document: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    """The rows by the documented columns. Whole steps are no kernels, and are passed over.

    Raises InputError where a list is none.
    """
    common = {"device": document.get("gpu"), "backend": "torch", "dtype": "bfloat16", "launch_mode": "graph"}
    for one in _list(document, SIGN, where):
        yield {**common, "kind": "matmul", **one}
    for one in _list(document, "stream_us", where):
        yield {**common, "kind": "stream", **one}
    for name, one_tensor in (("attention_us", 0), ("attention_us_keys_and_values_one_tensor", 1)):
        for one in _list(document, name, where):
            yield {**common, "kind": "attention", "op": one.get("phase"), "one_tensor": one_tensor, **one}
    null = document.get("null_us") or {}
    if not isinstance(null, dict):
        raise InputError(f"{where}: null_us is no object of launch modes")
    for mode, us in null.items():
        yield {**common, "kind": "null", "launch_mode": mode, "us": us}
    for name, op in RATES.items():
        if document.get(name) is not None:
            rate = number(document[name], where, name)
            if not rate:
                raise InputError(f"{where}: {name} is 0")
            yield {**common, "kind": "memory", "op": op, "bytes": RATE_BYTES, "us": RATE_BYTES / rate / 1e3}


def _list(document: Mapping[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise InputError(f"{where}: {name} is no list of objects")
    return found
