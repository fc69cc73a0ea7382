"""Which layers read what an earlier one keeps: its keys and values, or the tokens that its index has chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferometer.parallel.layers.architecture import LayerOf


def shares(attention: Any) -> bool:
    """Whether a kind of attention reads another layer's cache or choice; attention: None for a layer that has none."""
    index = getattr(attention, "index", None)
    return getattr(attention, "cache", "own") == "shared" or (index is not None and not index.own)


def source_of(stack: Sequence[LayerOf], number: int) -> int | None:
    """The layer that a layer reads from, None for one that keeps its own: the last one before it of the same reach
    (Gemma 3n, Gemma 4), or that has an index of its own (GLM 5.2). Raises ValueError where there is none."""
    layer: Any = stack[number].attention
    if not shares(layer):
        return None
    for earlier in range(number - 1, -1, -1):
        other: Any = stack[earlier].attention
        if other is None or shares(other):
            continue
        if getattr(layer, "cache", "own") == "shared":
            if _reach(other) == _reach(layer):
                return earlier
        elif getattr(other, "index", None) is not None:
            return earlier
    raise ValueError(f"layer {number} reads what an earlier layer keeps, but there is none of its kind")


def _reach(attention: Any) -> tuple[object, ...]:
    return tuple(getattr(attention, field, None) for field in ("kind", "window", "chunked"))
