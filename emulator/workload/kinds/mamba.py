"""State-space layers: Mamba-2 (Nemotron-H, Bamba, Granite 4, Falcon-H1) and the first Mamba (Jamba)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from inferometer.emulator.workload.kinds.kind import Demand, Smaller, State, at_least
from inferometer.emulator.workload.kinds.recurrence import Recurrence
from inferometer.emulator.workload.operations import Op
from inferometer.emulator.workload.rank import STATISTIC_BYTES, RankWork
from inferometer.emulator.workload.weights import Weight, vector

PART = "linear_attn"


@dataclass(frozen=True)
class Mamba2(Recurrence):
    """h ← e^{A·dt} h + dt·B xᵀ, y = C·h + D·x per head, h of head_dim × state_size (Dao and Gu 2024, section 7)."""

    kind: ClassVar[str] = "mamba-2"

    head_dim: int
    groups: int
    state_size: int
    kernel: int
    conv_bias: bool = True
    proj_bias: bool = False
    norm: bool = True
    """Whether a norm stands before the output projection, of each group's part of the inner width."""
    name: str = "mixer"
    """Of the module in a checkpoint."""
    out_bias: bool | None = None
    """Whether the projection of the output adds a bias; None: as proj_bias says."""

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "head_dim", "groups", "state_size", "kernel")

    @property
    def inner(self) -> int:
        return self.heads * self.head_dim

    @property
    def channels(self) -> int:
        """Of the convolution."""
        return self.inner + 2 * self.groups * self.state_size

    def describe(self) -> str:
        return "mamba-2"

    def weights(self, d: int) -> tuple[Weight, ...]:
        name = self.name
        found = [
            Weight(f"{name}.in_proj", PART, d, self.inner + self.channels + self.heads, self.proj_bias),
            vector(f"{name}.conv1d", PART, self.channels * (self.kernel + self.conv_bias)),
            vector(f"{name}.dt", PART, 3 * self.heads),
        ]
        if self.norm:
            found.append(vector(f"{name}.norm", PART, self.inner))
        out_bias = self.proj_bias if self.out_bias is None else self.out_bias
        return (*found, Weight(f"{name}.out_proj", PART, self.inner, d, out_bias))

    def whole_state(self) -> State:
        return State(self.inner * self.state_size, self.channels * self.kernel)

    def flop_per_token(self) -> float:
        """The update and the output, a product with the state each, and the convolution."""
        return 4.0 * self.inner * self.state_size + 2.0 * self.channels * self.kernel

    def share(self, ranks: int) -> Mamba2:
        """With more ranks than groups, several ranks have the same group."""
        return replace(self, heads=self.heads // ranks, groups=max(1, self.groups // ranks))

    def between(self, work: RankWork) -> list[Op]:
        """A group that several ranks have parts of: its squares are summed for the norm."""
        if not self.norm or self.groups % work.layout.attention_ranks == 0:
            return []
        return [*work.collective("attention.norm_sums", "all_reduce", "tensor", work.tokens * self.groups * STATISTIC_BYTES)]

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.heads, "state heads")]

    def scaled(self, by: Smaller) -> Mamba2:
        groups = by.count(self.groups)
        return replace(self, groups=groups, heads=groups * max(1, self.heads // self.groups))


@dataclass(frozen=True)
class Mamba1(Recurrence):
    """The first state-space layer with a choice (Gu and Dao 2023): a state per channel. heads: channels."""

    kind: ClassVar[str] = "mamba"

    state_size: int
    kernel: int
    dt_rank: int
    conv_bias: bool = True
    proj_bias: bool = False
    inner_norms: bool = False
    """Whether dt, B and C pass norms (Jamba)."""
    name: str = "mixer"

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "state_size", "kernel", "dt_rank")

    def describe(self) -> str:
        return "mamba"

    def weights(self, d: int) -> tuple[Weight, ...]:
        name, inner = self.name, self.heads
        norms = self.dt_rank + 2 * self.state_size if self.inner_norms else 0
        return (
            Weight(f"{name}.in_proj", PART, d, 2 * inner, self.proj_bias),
            Weight(f"{name}.x_proj", PART, inner, self.dt_rank + 2 * self.state_size),
            Weight(f"{name}.dt_proj", PART, self.dt_rank, inner, True),
            vector(f"{name}.conv1d", PART, inner * (self.kernel + self.conv_bias)),
            vector(f"{name}.state", PART, inner * (self.state_size + 1) + norms),
            Weight(f"{name}.out_proj", PART, inner, d, self.proj_bias),
        )

    def whole_state(self) -> State:
        return State(self.heads * self.state_size, self.heads * self.kernel)

    def flop_per_token(self) -> float:
        return 4.0 * self.heads * self.state_size + 2.0 * self.heads * self.kernel

    def summed(self) -> tuple[str, ...]:
        """Every channel has its part in dt, B and C."""
        return (f"{self.name}.x_proj",)

    def scaled(self, by: Smaller) -> Mamba1:
        return replace(self, heads=by.beside(self.heads), dt_rank=by.width(self.dt_rank))
