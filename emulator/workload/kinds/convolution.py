"""A short gated convolution in place of attention (LFM2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from inferometer.emulator.workload.kinds.kind import Smaller, State, at_least
from inferometer.emulator.workload.kinds.recurrence import Recurrence
from inferometer.emulator.workload.weights import Weight, vector


@dataclass(frozen=True)
class ShortConvolution(Recurrence):
    """C ∘ conv(B ∘ x) over the last kernel tokens. heads: channels, as many as the model is wide."""

    kind: ClassVar[str] = "convolution"

    kernel: int
    bias: bool = False

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "kernel")

    def describe(self) -> str:
        return f"convolution of {self.kernel}"

    def weights(self, d: int) -> tuple[Weight, ...]:
        return (
            Weight("conv.in_proj", "linear_attn", d, 3 * self.heads, self.bias),
            vector("conv.conv", "linear_attn", self.heads * (self.kernel + self.bias)),
            Weight("conv.out_proj", "linear_attn", self.heads, d, self.bias),
        )

    def whole_state(self) -> State:
        return State(0, self.heads * self.kernel)

    def flop_per_token(self) -> float:
        return 2.0 * self.heads * (self.kernel + 1)

    def scaled(self, by: Smaller) -> ShortConvolution:
        return replace(self, heads=by.after)
