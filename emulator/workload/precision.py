"""The widths in which a model's numbers are stored, computed, sent."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.errors import InputError

WIDTHS = (4, 8, 16, 32)


@dataclass(frozen=True)
class Precision:
    """Bits of weights, of activations entering a matmul, of the KV cache.

    The residual stream, and with it every reduction, keeps 16 bits at least: sums of 8-bit numbers are of no use.
    """

    weight_bits: int = 16
    activation_bits: int = 16
    kv_bits: int = 16
    state_bits: int = 32
    """Of the state that a recurrence sums up, where layers have one."""
    shipped: bool = False
    """Whether matrices have the formats of the model's checkpoint; weight_bits are then of all other weights."""

    def __post_init__(self) -> None:
        for field in ("weight_bits", "activation_bits", "kv_bits", "state_bits"):
            if getattr(self, field) not in WIDTHS:
                raise InputError(f"{field} = {getattr(self, field)}: known widths are {', '.join(map(str, WIDTHS))}")

    @property
    def weight_bytes(self) -> float:
        return self.weight_bits / 8

    @property
    def activation_bytes(self) -> float:
        return self.activation_bits / 8

    @property
    def kv_bytes(self) -> float:
        return self.kv_bits / 8

    @property
    def state_bytes(self) -> float:
        return self.state_bits / 8

    @property
    def residual_bytes(self) -> float:
        return max(16, self.activation_bits) / 8

    @property
    def matmul_bits(self) -> int:
        """A matmul runs at the rate of its wider operand."""
        return max(self.weight_bits, self.activation_bits)

    @property
    def attention_bits(self) -> int:
        """Scores and values are 16-bit at least, whatever the width in which the cache is kept."""
        return max(16, self.activation_bits)
