"""The precision of a deployment: what was asked for, else what the model's checkpoint is stored in."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.storage.stored import weight_bytes


def as_shipped(shape: Shape, precision: Precision | None) -> Precision:
    """The precision that was asked for; where nothing was, that of the checkpoint, weights and cache."""
    scheme = shape.quantization
    if precision is None:
        kv_bits = 16 if scheme is None else scheme.kv_bits or 16
        return Precision(kv_bits=kv_bits, state_bits=shape.state_bits, shipped=scheme is not None)
    return replace(precision, state_bits=shape.state_bits, shipped=precision.shipped and scheme is not None)


def precision_record(shape: Shape, precision: Precision) -> dict[str, float]:
    """Bits; those of a weight as the checkpoint stores them are the mean over all weights, scales included."""
    weights: float = precision.weight_bits
    if precision.shipped:
        weights = round(8 * weight_bytes(shape) / count(shape).total, 3)
    return {"weight_bits": weights, "activation_bits": precision.activation_bits, "kv_bits": precision.kv_bits}


def precision_notes(shape: Shape, precision: Precision, accelerator: Accelerator) -> list[str]:
    """What to know of weights that the checkpoint stores in other formats than 16 bits."""
    scheme = shape.quantization
    if scheme is None:
        return []
    if not precision.shipped:
        bits, words = precision.weight_bits, "embedding, head, router and norms too"
        return [f"all weights at {bits} bits, {words}, instead of the checkpoint's {scheme.name}"]
    four = any(form.bits == 4 for form in (scheme.default, *(form for _, form in scheme.own)))
    if four and 4 not in accelerator.flop_per_s:
        return [f"{accelerator.name} has no 4-bit units: {scheme.name} weights are read as 4 bits, multiplied as 16"]
    return []
