"""What kinds of layers share that keep a state of fixed size instead of a cache: projections, a step of the state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

from inferometer.emulator.workload.kinds.core import output
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store
from inferometer.emulator.workload.operations import Compute, Op
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, elements


@dataclass(frozen=True)
class Recurrence(ABC):
    """A state per sequence that every token changes. heads: parts of the state that ranks may share."""

    heads: int

    @property
    def query_heads(self) -> int:
        return self.heads

    @property
    def window(self) -> int | None:
        return None

    @abstractmethod
    def weights(self, d: int) -> tuple[Weight, ...]: ...

    @abstractmethod
    def whole_state(self) -> State: ...

    @abstractmethod
    def flop_per_token(self) -> float:
        """Of the recurrence and its convolution, without projections."""

    def share(self, ranks: int) -> Self:
        """What one of ranks has of it."""
        return replace(self, heads=self.heads // ranks)

    def summed(self) -> tuple[str, ...]:
        """Names of matrices whose products every rank has a part of only."""
        return ()

    def between(self, work: RankWork) -> list[Op]:
        """What stands between the state's step and the projection of the output."""
        return []

    def stores(self, ranks: int) -> tuple[Store, ...]:
        return ()

    def read_elements(self, ranks: int) -> int:
        return 0

    def state(self, ranks: int) -> State:
        """What one of ranks keeps."""
        return self.share(ranks).whole_state()

    def flop_per_pair(self) -> int:
        return 0

    def block(self, work: RankWork) -> list[Op]:
        """Projections in, the state's step, the projection out; partial sums, not yet reduced."""
        own = self.share(work.layout.attention_ranks)
        weights = own.weights(work.d_model)
        linear = [weight for weight in weights if weight.linear]
        into, out = linear[:-1], linear[-1]
        step, p, state, rows = work.step, work.precision, own.whole_state(), work.tokens
        ops: list[Op] = []
        for weight in into:
            name = f"attention.{weight.name.rpartition('.')[2]}"
            ops.append(work.matmul(name, rows, weight.inner, weight.outer, of=(weight.name,), bias=weight.bias))
            if weight.name in self.summed():
                part = rows * weight.outer * p.residual_bytes
                ops += work.collective(f"{name}_reduce", "all_reduce", "tensor", part)
        small = elements(weight for weight in weights if not weight.linear) * p.weight_bytes
        sequences = step.sequences * (step.new_tokens > 0)
        kept = state.recurrent * p.state_bytes + state.recent * p.residual_bytes
        moved = sum(weight.outer for weight in into) + out.inner
        ops.append(
            Compute(
                "attention.core",
                "attention",
                flop=own.flop_per_token() * step.tokens,
                activation_bytes=step.tokens * moved * p.residual_bytes,
                kv_bytes=2 * sequences * kept,  # every step reads the state and writes it again
                weight_bytes=small,
                resident_bytes=small,
            )
        )
        return [*ops, *self.between(work), *output(work, out.inner, of=out.name, bias=out.bias)]

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.heads, "state heads")]

    def scaled(self, by: Smaller) -> Self:
        return replace(self, heads=by.count(self.heads))

    def proportions(self, d: int) -> list[Proportion]:
        return [Proportion("state heads", self.heads, grows=True)]
