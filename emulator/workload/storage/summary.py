"""What was read of a model, as one record: parameters by part, cache, states, precision, layers by kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inferometer.emulator.workload.cache import kv_bytes_per_token, kv_elements, state_elements
from inferometer.emulator.workload.catalogue import load_shape, model_names
from inferometer.emulator.workload.hugging_face.model_types import model_types
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.storage.stored import formats_in_use, weight_bytes

CONTEXT = 8192
"""Tokens of the sequence whose cache is shown unless another number is asked for."""


def models(model: str | Path | Shape | None = None, **asked: Any) -> dict[str, Any]:
    """What is read of a model: a built-in name, a config.json, its folder or a Shape. asked: as model_record has it.

    Without a model the names of the built-in ones and the types of configurations that are read. Raises InputError for
    anything that cannot be found or read.
    """
    if model is None:
        return {"models": model_names(), "types": model_types()}
    return {"model": model_record(model if isinstance(model, Shape) else load_shape(model), **asked)}


def model_record(
    shape: Shape,
    *,
    context: int = CONTEXT,
    kv_bits: int | None = None,
    state_bits: int | None = None,
    weight_bits: int | None = None,
) -> dict[str, Any]:
    """The record. Bits that are not given are those of the checkpoint, else 16.

    cache_bytes: of one sequence of context tokens between two steps, states included; cache_bytes_bfloat16: the same with
    every number in 16 bits, whatever the checkpoint asks for.
    """
    parameters, state = count(shape), state_elements(shape)
    scheme = shape.quantization
    kv = kv_bits or (scheme.kv_bits if scheme is not None else None) or 16
    of_state = state_bits or shape.state_bits
    state_bytes = (state.recurrent * of_state + state.recent * 16) / 8
    kept = float(kv_elements(shape, context))
    return {
        "name": shape.name,
        "type": shape.model_type,
        "parameters": parameters.total,
        "active_parameters": parameters.active,
        "parts": parameters.parts,
        "kv_bytes_per_token": kv_bytes_per_token(shape, kv),
        "state_bytes_per_sequence": state_bytes,
        "context": context,
        "max_context": shape.max_context,
        "cache_bytes": kept * kv / 8 + state_bytes,
        "cache_bytes_bfloat16": 2 * (kept + state.recurrent + state.recent),
        "weight_bytes": weight_bytes(shape, weight_bits),
        "precision": {
            "weights": f"{weight_bits} bits throughout" if weight_bits else scheme.name if scheme is not None else "bf16",
            "formats": None if weight_bits else formats_in_use(shape),
            "kv_bits": kv,
            "state_bits": of_state,
        },
        "layers": layers_by_kind(shape),
        "notes": list(shape.notes),
        "source": shape.source,
    }


def layers_by_kind(shape: Shape) -> dict[str, int]:
    """Layers of each kind, in the order in which the kinds come."""
    found: dict[str, int] = {}
    for layer, number in shape.kinds.items():
        words = layer.describe()
        found[words] = found.get(words, 0) + number
    return found


def one_line(record: dict[str, Any]) -> str:
    """What `inferometer predict` says of the model it has read."""
    layers = ", ".join(f"{number} × {words}" for words, number in record["layers"].items())
    state = record["state_bytes_per_sequence"]
    cache = f"{size(record['kv_bytes_per_token'])} KV per token"
    cache += f", {size(state)} state per sequence" if state else ""
    precision = f"weights {record['precision']['weights']}, {size(record['weight_bytes'])}"
    parameters = f"{short(record['parameters'])} parameters, {short(record['active_parameters'])} active"
    return f"read as {record['type']}: {layers}; {parameters}; {cache}; {precision}"


def short(number: float) -> str:
    """``671B``: three digits of a number."""
    for unit, words in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{words}"
    return f"{number:.3g}"


def size(amount: float) -> str:
    """Bytes in decimal units."""
    for unit, words in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if amount >= unit:
            return f"{amount / unit:.4g} {words}"
    return f"{amount:.4g} B"
