"""An index beside attention: small keys that choose which tokens are attended to (DeepSeek V3.2, section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferometer.emulator.workload.kinds.kind import Smaller, Store, at_least
from inferometer.emulator.workload.operations import Compute, Op
from inferometer.emulator.workload.rank import RankWork, attended_tokens
from inferometer.emulator.workload.weights import Weight, vector


@dataclass(frozen=True)
class Index:
    """Every cached token has one key of dim; heads queries of a new token score all of them, the best tokens are read."""

    heads: int
    dim: int
    tokens: int
    """How many tokens are read."""
    query_rank: int | None = None
    """The width of what queries are made from; None: of the residual stream."""
    own: bool = True
    """Whether the layer has an index of its own; else it reads what an earlier layer's chose."""
    weighted: bool = True
    """Whether a projection weighs the heads' scores; keys then pass a norm with a bias."""
    query_norm: bool = False

    def __post_init__(self) -> None:
        at_least(1, self, "heads", "dim", "tokens")

    def describe(self) -> str:
        return f"{self.tokens} indexed" if self.own else f"{self.tokens} indexed by an earlier layer"

    def weights(self, d: int) -> list[Weight]:
        if not self.own:
            return []
        name, part = "self_attn.indexer", "indexer"
        found = [
            Weight(f"{name}.wq_b", part, self.query_rank or d, self.heads * self.dim),
            Weight(f"{name}.wk", part, d, self.dim),
            vector(f"{name}.k_norm", part, (2 if self.weighted else 1) * self.dim),
        ]
        if self.weighted:
            found.append(Weight(f"{name}.weights_proj", part, d, self.heads))
        if self.query_norm:
            found.append(vector(f"{name}.q_norm", part, self.dim))
        return found

    def stores(self) -> tuple[Store, ...]:
        """Every rank keeps all keys."""
        return (Store(self.dim),) if self.own else ()

    def scaled(self, by: Smaller) -> Index:
        """The tokens read stay: contexts are not scaled either."""
        rank = None if self.query_rank is None else by.width(self.query_rank)
        return replace(self, heads=by.count(self.heads), query_rank=rank)

    def block(self, work: RankWork) -> list[Op]:
        """Every rank makes and scores all of it: it must know what all heads attend to."""
        if not self.own:
            return []
        step, p = work.step, work.precision
        rows = work.tokens
        pairs = step.sequences * attended_tokens(step.context, step.new_tokens, None)
        pairs = pairs + step.prefill_tokens * (step.prefill_context + 1)
        name, width = "self_attn.indexer", self.heads * self.dim
        ops: list[Op] = []
        if self.query_rank is None:
            ops += work.into("attention.index_query", rows, width, of=(f"{name}.wq_b",))
        else:
            ops.append(work.matmul("attention.index_query", rows, self.query_rank, width, of=(f"{name}.wq_b",)))
        ops += work.into("attention.index_key", rows, self.dim, of=(f"{name}.wk",))
        if self.weighted:
            ops += work.into("attention.index_weights", rows, self.heads, of=(f"{name}.weights_proj",))
        norms = (1 + self.weighted + self.query_norm) * self.dim * p.weight_bytes
        scores = Compute(
            "attention.index",
            "attention",
            flop=2.0 * self.heads * self.dim * pairs,
            activation_bytes=rows * self.heads * self.dim * p.residual_bytes,
            kv_bytes=(step.sequences * step.context + step.tokens) * self.dim * p.kv_bytes,
            weight_bytes=norms,
            resident_bytes=norms,
        )
        return [*ops, scores]
