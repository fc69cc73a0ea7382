"""Number formats of stored matrices: bits, scales, and in what width they are multiplied."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from inferometer.emulator.workload.weights import Weight


@dataclass(frozen=True)
class Format:
    """How a matrix of inner × outer numbers is stored.

    block: (inner, outer) elements under one scale, 0 for all of that direction; None: no scales. scale_bytes: of one scale;
    matrix_bytes: what comes once per matrix. multiplied_bits: of both operands where the device can; a format of weights
    alone is multiplied in 16.
    """

    name: str
    bits: int
    block: tuple[int, int] | None = None
    scale_bytes: float = 0.0
    matrix_bytes: float = 0.0
    multiplied_bits: int = 16

    def bytes(self, weight: Weight) -> float:
        """Of all copies of a matrix; its bias is kept in 16 bits."""
        kept = weight.matrix * self.bits / 8 + self.matrix_bytes + 2 * weight.biases
        if self.block is not None:
            inner, outer = (of or size for of, size in zip(self.block, (weight.inner, weight.outer)))
            kept += ceil(weight.inner / inner) * ceil(weight.outer / outer) * self.scale_bytes
        return weight.copies * kept


PLAIN = Format("bf16", 16)
FP8_TENSOR = Format("fp8 per tensor", 8, None, 0.0, 8.0, 8)
FP8_CHANNEL = Format("fp8 per channel", 8, (0, 1), 4.0, 0.0, 8)
NVFP4 = Format("nvfp4", 4, (16, 1), 1.0, 8.0, 4)
MXFP4 = Format("mxfp4", 4, (32, 1), 1.0)
MXFP8 = Format("mxfp8", 8, (32, 1), 1.0, 0.0, 8)
NF4 = Format("nf4", 4, (64, 1), 4.0)
NF4_TWICE = Format("nf4, scales in 8 bits", 4, (64, 1), 1.0 + 4.0 / 256)
INT8_ROW = Format("int8 per row", 8, (0, 1), 4.0, 0.0, 8)


def fp8_blocks(inner: int, outer: int, scale_bytes: float = 4.0) -> Format:
    """fp8 under one scale per block (DeepSeek-V3, section 3.3.2)."""
    return Format(f"fp8 in blocks of {outer}×{inner}", 8, (inner, outer), scale_bytes, 0.0, 8)


def integers(bits: int, group: int, *, zeros: bool, wide: bool = False) -> Format:
    """Weights alone as integers, under a 16-bit scale and perhaps a zero per group of inner elements (GPTQ, AWQ).

    wide: activations are 8 bits too.
    """
    scale = 2.0 + (bits / 8 if zeros else 0.0)
    size = max(group, 0)
    return Format(
        f"int{bits} in groups of {group}" if size else f"int{bits}", bits, (size, 1), scale, 0.0, 8 if wide else 16
    )
