"""Linear attention with a fixed decay per head (MiniMax-01, section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inferometer.emulator.workload.kinds.kind import Demand, State, at_least
from inferometer.emulator.workload.kinds.recurrence import Recurrence
from inferometer.emulator.workload.weights import Weight, vector

PART = "linear_attn"


@dataclass(frozen=True)
class Lightning(Recurrence):
    """S ← λ·S + k vᵀ, y = qᵀS per head of dim × dim; a norm and a gate of the output."""

    kind: ClassVar[str] = "lightning"

    dim: int
    tile: int
    """Tokens that are worked on together, for which a checkpoint of transformers keeps tables of decays."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "dim", "tile")

    def describe(self) -> str:
        return "lightning"

    def weights(self, d: int) -> tuple[Weight, ...]:
        name, width = "self_attn", self.heads * self.dim
        return (
            Weight(f"{name}.qkv_proj", PART, d, 3 * width),
            Weight(f"{name}.output_gate", PART, d, width),
            vector(f"{name}.norm", PART, width),
            vector(f"{name}.decays", PART, self.heads * (1 + self.tile * (2 + self.tile))),
            Weight(f"{name}.out_proj", PART, width, d),
        )

    def whole_state(self) -> State:
        return State(self.heads * self.dim * self.dim)

    def flop_per_token(self) -> float:
        """The update and the output, a product with the state each."""
        return 4.0 * self.heads * self.dim * self.dim

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.heads, "state heads")]
