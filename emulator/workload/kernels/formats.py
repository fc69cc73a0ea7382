"""The formats of numbers in which kernels are timed: a matmul's two operands, an attention's cache. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from inferometer.parallel.dtypes import NAMED

KernelFormat = Literal[
    "float32", "bfloat16", "float16", "fp8", "fp8_block", "nvfp4", "int8_smooth", "int8_weights", "int4_weights",
    "mxfp4_weights", "mxfp4_fp8",
]  # fmt: skip


@dataclass(frozen=True)
class Format:
    """weight_bits, activation_bits: of the operands; scale_bits: of the scales for each weight.

    aiconfigurator: its names for it, of matmuls and caches.
    """

    name: str
    weight_bits: int
    activation_bits: int
    scale_bits: float = 0.0
    aiconfigurator: tuple[str, ...] = ()

    @property
    def weight_bytes(self) -> float:
        """Of a weight with its part of the scales, or of an element of a cache."""
        return (self.weight_bits + self.scale_bits) / 8

    @property
    def activation_bytes(self) -> float:
        return self.activation_bits / 8


#: By name, for each pair of widths the one to take first. Scales: of fp8_block 32 bits for 128 × 128, of nvfp4 8 for 16, of
#: MXFP4 8 for 32, of int4 16 for 128.
FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        one.name: one
        for one in (
            Format("float32", 32, 32),
            Format("bfloat16", 16, 16, 0, ("bfloat16",)),
            Format("float16", 16, 16, 0, ("float16", "half")),
            Format("fp8", 8, 8, 0, ("fp8",)),
            Format("fp8_block", 8, 8, 32 / 128**2, ("fp8_block",)),
            Format("int8_smooth", 8, 8, 0, ("sq",)),
            Format("nvfp4", 4, 4, 8 / 16, ("nvfp4",)),
            Format("mxfp4_fp8", 4, 8, 8 / 32, ("w4a8_mxfp4_mxfp8",)),
            Format("int8_weights", 8, 16, 0, ("int8_wo",)),
            Format("int4_weights", 4, 16, 16 / 128, ("int4_wo",)),
            Format("mxfp4_weights", 4, 16, 8 / 32, ("w4a16_mxfp4",)),
        )
    }
)
OF_AICONFIGURATOR: Mapping[str, Format] = MappingProxyType(
    {name: one for one in FORMATS.values() for name in one.aiconfigurator}
)


def format_of(name: str) -> Format | None:
    """By its own name, or that of a dtype of the same width; None where there is none."""
    known = NAMED[name].name if name in NAMED else name
    if known in ("float8_e4m3fn", "float8_e5m2"):
        known = "fp8"
    return FORMATS.get(known)


def formats_of_widths(weight_bits: int, activation_bits: int) -> list[str]:
    """Names of those with operands of these widths, the one to take first first."""
    return [one.name for one in FORMATS.values() if (one.weight_bits, one.activation_bits) == (weight_bits, activation_bits)]
