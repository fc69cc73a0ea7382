"""What kinds of layers share that keep a state of fixed size instead of a cache: projections, a step of the state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from inferometer.emulator.workload.kinds.core import output
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store
from inferometer.emulator.workload.operations import Compute, Op
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, elements


@dataclass(frozen=True)
class Recurrence:
    """A state per sequence that every token changes. heads: parts of the state that ranks may share."""

    heads: int

    @property
    def query_heads(self) -> int:
        return self.heads

    @property
    def window(self) -> int | None:
        return None

    def weights(self, d: int) -> tuple[Weight, ...]:
        raise NotImplementedError

    def whole_state(self) -> State:
        raise NotImplementedError

    def flop_per_token(self) -> float:
        """Of the recurrence and its convolution, without projections."""
        raise NotImplementedError

    def whole_vectors(self) -> int:
        """Elements of the small weights that every rank keeps whole."""
        return 0

    def stores(self, ranks: int) -> tuple[Store, ...]:
        return ()

    def read_elements(self, ranks: int) -> int:
        return 0

    def state(self, ranks: int) -> State:
        """What one of ranks keeps; a state that has fewer heads than ranks is kept by several."""
        whole, ranks = self.whole_state(), min(ranks, self.heads)
        return State(-(-whole.recurrent // ranks), -(-whole.recent // ranks))

    def flop_per_pair(self) -> int:
        return 0

    def block(self, work: RankWork) -> list[Op]:
        """Projections in, the state's step, the projection out; partial sums, not yet reduced."""
        d, ranks = work.d_model, work.layout.attention_ranks
        linear = [weight for weight in self.weights(d) if weight.linear]
        into, out = linear[:-1], linear[-1]
        ops: list[Op] = []
        for weight in into:
            name = f"attention.{weight.name.rpartition('.')[2]}"
            if weight.inner == d:
                ops += work.into(name, work.tokens, -(-weight.outer // ranks), of=(weight.name,), bias=weight.bias)
            else:
                ops.append(
                    work.matmul(
                        name, work.tokens, weight.inner, -(-weight.outer // ranks), of=(weight.name,), bias=weight.bias
                    )
                )
        step, p, state = work.step, work.precision, self.state(ranks)
        vectors = elements(weight for weight in self.weights(d) if not weight.linear)
        small = ((vectors - self.whole_vectors()) / ranks + self.whole_vectors()) * p.weight_bytes
        sequences = step.sequences * (step.new_tokens > 0)
        kept = state.recurrent * p.state_bytes + state.recent * p.residual_bytes
        moved = sum(weight.outer for weight in into) // ranks + out.inner // ranks
        ops.append(
            Compute(
                "attention.core",
                "attention",
                flop=self.flop_per_token() / ranks * step.tokens,
                activation_bytes=step.tokens * moved * p.residual_bytes,
                kv_bytes=2 * sequences * kept,  # every step reads the state and writes it again
                weight_bytes=small,
                resident_bytes=small,
            )
        )
        return [*ops, *output(work, out.inner // ranks, of=out.name, bias=out.bias)]

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.heads, "state heads")]

    def scaled(self, by: Smaller) -> Self:
        return replace(self, heads=by.count(self.heads))

    def proportions(self, d: int) -> list[Proportion]:
        return [Proportion("state heads", self.heads, grows=True)]
