"""One feed-forward that every token passes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from inferometer.emulator.workload.kinds.kind import Proportion, Smaller, at_least
from inferometer.emulator.workload.operations import Op, Pass, Size
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight


@dataclass(frozen=True)
class Dense:
    """Into d_ff (twice, if gated: SwiGLU, GeGLU) and back."""

    kind: ClassVar[str] = "dense"

    d_ff: int
    gated: bool = True
    bias: bool = False
    extra: tuple[Weight, ...] = ()

    def __post_init__(self) -> None:
        at_least(1, self, "d_ff")

    def describe(self) -> str:
        return "dense" if self.gated else "dense, not gated"

    def weights(self, d: int) -> tuple[Weight, ...]:
        return (*pair_weights("mlp", "mlp", d, self.d_ff, gated=self.gated, bias=self.bias), *self.extra)

    def block(self, work: RankWork) -> list[Op]:
        """Cut over the attention ranks; partial sums, not yet reduced."""
        width = self.d_ff // work.layout.ranks("tensor")
        ops = pair(work, "ffn", work.tokens, width, of="mlp", gated=self.gated, bias=self.bias)
        return [*ops, *work.extras("ffn.extra", self.extra)]

    def scaled(self, by: Smaller) -> Dense:
        return replace(self, d_ff=by.beside(self.d_ff))

    def proportions(self, d: int) -> list[Proportion]:
        return [Proportion("d_ff/d_model", self.d_ff / d)]


def pair_weights(
    name: str, part: str, d: int, width: int, *, gated: bool, bias: bool, copies: int = 1, used: int | None = None
) -> list[Weight]:
    """The matrices of a feed-forward, as checkpoints name them."""
    names = ["gate_proj", "up_proj"] if gated else ["up_proj"]
    into = [Weight(f"{name}.{each}", part, d, width, bias, copies, used) for each in names]
    return [*into, Weight(f"{name}.down_proj", part, width, d, bias, copies, used)]


def pair(
    work: RankWork, name: str, rows: Size, width: int, *, of: str, gated: bool, bias: bool, **matrices: Any
) -> list[Op]:
    """Into width (twice, if gated) and back. of: the module whose matrices these are; matrices: how many such pairs."""
    matrices["bias"] = bias
    into = (f"{of}.gate_proj", f"{of}.up_proj")
    up = work.into(f"{name}.up", rows, (2 if gated else 1) * width, of=into, **matrices)
    activated = Pass("gated" if gated else "activated", (rows * width * work.precision.residual_bytes,))
    down = work.matmul(
        f"{name}.down", rows, width, work.width, of=(f"{of}.down_proj",), passes=(activated, work.added(rows)), **matrices
    )
    return [*up, down]
