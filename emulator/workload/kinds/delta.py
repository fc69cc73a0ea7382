"""Linear attention by the delta rule: gated (Qwen3-Next, Qwen3.5, OLMo hybrid), with a gate per channel (Kimi)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.kind import Demand, Smaller, State, at_least
from inferometer.emulator.workload.kinds.recurrence import Recurrence
from inferometer.emulator.workload.weights import Weight, vector

NAME, PART = "linear_attn", "linear_attn"


@dataclass(frozen=True)
class GatedDelta(Recurrence):
    """S ← g·S + k (v − Sᵀk)ᵀ per value head, of key_dim × value_dim (Yang et al. 2024, equation 10). heads: of values."""

    kind: ClassVar[str] = "gated delta"

    key_heads: int
    key_dim: int
    value_dim: int
    kernel: int
    """Tokens that the convolution over queries, keys and values spans."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "key_heads", "key_dim", "value_dim", "kernel")
        if self.heads % self.key_heads:
            raise InputError(f"linear value heads = {self.heads} is no multiple of linear key heads = {self.key_heads}")

    @property
    def channels(self) -> int:
        """Of the convolution."""
        return 2 * self.key_heads * self.key_dim + self.heads * self.value_dim

    def describe(self) -> str:
        return "gated delta"

    def weights(self, d: int) -> tuple[Weight, ...]:
        values = self.heads * self.value_dim
        return (
            Weight(f"{NAME}.in_proj_qkv", PART, d, self.channels),
            Weight(f"{NAME}.in_proj_z", PART, d, values),
            Weight(f"{NAME}.in_proj_b", PART, d, self.heads),
            Weight(f"{NAME}.in_proj_a", PART, d, self.heads),
            vector(f"{NAME}.conv1d", PART, self.channels * self.kernel),
            vector(f"{NAME}.dt", PART, 2 * self.heads),
            vector(f"{NAME}.norm", PART, self.value_dim),
            Weight(f"{NAME}.out_proj", PART, values, d),
        )

    def whole_state(self) -> State:
        return State(self.heads * self.key_dim * self.value_dim, self.channels * self.kernel)

    def flop_per_token(self) -> float:
        """Three products with the state (Sᵀk, the update, Sᵀq), and the convolution."""
        return 6.0 * self.heads * self.key_dim * self.value_dim + 2.0 * self.channels * self.kernel

    def share(self, ranks: int) -> GatedDelta:
        return replace(self, heads=self.heads // ranks, key_heads=self.key_heads // ranks)

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.heads, "linear value heads"), (self.key_heads, "linear key heads")]

    def scaled(self, by: Smaller) -> GatedDelta:
        key_heads = by.count(self.key_heads)
        return replace(self, key_heads=key_heads, heads=key_heads * (self.heads // self.key_heads))


@dataclass(frozen=True)
class KimiDelta(Recurrence):
    """The delta rule with a decay per channel of the key (Kimi Linear, section 3)."""

    kind: ClassVar[str] = "kimi delta"

    dim: int
    kernel: int
    decay_rank: int | None
    """The width between the two matrices that make the decay; None: one matrix of full rank."""
    gate_rank: int | None
    """The same of the output's gate."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "dim", "kernel")

    def describe(self) -> str:
        return "kimi delta"

    def weights(self, d: int) -> tuple[Weight, ...]:
        width = self.heads * self.dim
        found = [Weight(f"self_attn.{each}_proj", PART, d, width) for each in "qkv"]
        for letter, rank in (("f", self.decay_rank), ("g", self.gate_rank)):
            if rank is None:
                found.append(Weight(f"self_attn.{letter}_proj", PART, d, width))
            else:
                found.append(Weight(f"self_attn.{letter}_a_proj", PART, d, rank))
                found.append(Weight(f"self_attn.{letter}_b_proj", PART, rank, width))
        return (
            *found,
            Weight("self_attn.b_proj", PART, d, self.heads),
            vector("self_attn.conv1d", PART, 3 * width * self.kernel),
            vector("self_attn.dt", PART, width + self.heads),
            vector("self_attn.o_norm", PART, self.dim),
            Weight("self_attn.o_proj", PART, width, d),
        )

    def whole_state(self) -> State:
        return State(self.heads * self.dim * self.dim, 3 * self.heads * self.dim * self.kernel)

    def flop_per_token(self) -> float:
        return 6.0 * self.heads * self.dim * self.dim + 6.0 * self.heads * self.dim * self.kernel
