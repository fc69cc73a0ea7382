"""A model in the format of one of its checkpoints: which matrices are stored how."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from inferometer.emulator.economics.serving.points.weights import Weights
from inferometer.emulator.economics.serving.scenario import shape_of
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.storage.formats import FP8_TENSOR, NVFP4, integers
from inferometer.emulator.workload.storage.quantization import Quantization

ATTENTION = ("re:.*self_attn.*",)
"""Published 4-bit checkpoints of mixtures of experts keep attention in 16 bits (nvidia/DeepSeek-R1-0528-FP4, gpt-oss)."""


@lru_cache(maxsize=128)
def stored_as(model: str, weights: Weights, kv_bits: int | None) -> tuple[Shape, Precision]:
    """The model's shape with the formats of a checkpoint, and the precision in which it is served.

    A checkpoint of the model's own in the same width stands for the format. kv_bits None: 8 where weights have 8 bits or
    fewer, as engines serve such checkpoints, else 16. Activations keep 16 bits between operations; in which width a matmul
    is done follows from the format of its matrix.
    """
    shape = shape_of(model)
    own = shape.quantization
    scheme = own
    if weights == "bf16":
        scheme = None
    elif weights == "fp8" and (own is None or narrowest(own) > 8):
        scheme = Quantization(FP8_TENSOR, name="fp8 per tensor")
    elif weights in ("nvfp4", "int4") and (own is None or narrowest(own) != 4):
        form = NVFP4 if weights == "nvfp4" else integers(4, 32, zeros=False)
        scheme = Quantization(form, exclude=ATTENTION if shape.experts is not None else (), name=form.name)
    served = shape if scheme is own else replace(shape, quantization=scheme)
    if kv_bits is None:
        kv_bits = 16 if scheme is None or narrowest(scheme) > 8 else 8
    return served, Precision(16, 16, kv_bits, state_bits=shape.state_bits, shipped=scheme is not None)


def narrowest(scheme: Quantization) -> int:
    """Bits of the narrowest format of a scheme."""
    return min(form.bits for form in (scheme.default, *(form for _, form in scheme.own)))
