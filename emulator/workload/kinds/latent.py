"""Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values live in one latent per token."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from inferometer.emulator.workload.kinds.core import core, output
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store, at_least
from inferometer.emulator.workload.operations import Op
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, vector

DOWN, UP = "self_attn.kv_a_proj_with_mqa", ("self_attn.kv_b_proj",)


@dataclass(frozen=True)
class Latent:
    """Absorbed decode reads kv_rank + rope_dim elements per token and layer, whatever the number of heads."""

    kind: ClassVar[str] = "latent"

    query_heads: int
    query_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int
    window: int | None = None
    bias: bool = False
    """Whether the projections from the residual stream into the latents, and the output, add a bias."""
    index: Index | None = None
    """What chooses the tokens that are attended to (DeepSeek V3.2)."""
    extra: tuple[Weight, ...] = ()

    def __post_init__(self) -> None:
        at_least(1, self, "query_heads", "kv_rank", "nope_dim", "value_dim")
        at_least(0, self, "rope_dim")
        if self.query_rank is not None:
            at_least(1, self, "query_rank")

    def describe(self) -> str:
        words = "latent" if self.window is None else f"latent, window {self.window}"
        return words if self.index is None else f"{words}, {self.index.describe()}"

    @property
    def inner_norms(self) -> int:
        return (self.query_rank or 0) + self.kv_rank

    def weights(self, d: int) -> tuple[Weight, ...]:
        queries = self.query_heads * (self.nope_dim + self.rope_dim)
        expanded = self.query_heads * (self.nope_dim + self.value_dim)
        found = []
        if self.query_rank is None:
            found.append(Weight("self_attn.q_proj", "attention", d, queries))
        else:
            found += [
                Weight("self_attn.q_a_proj", "attention", d, self.query_rank, self.bias),
                vector("self_attn.q_a_layernorm", "norms", self.query_rank),
                Weight("self_attn.q_b_proj", "attention", self.query_rank, queries),
            ]
        found += [
            Weight("self_attn.kv_a_proj_with_mqa", "attention", d, self.kv_rank + self.rope_dim, self.bias),
            vector("self_attn.kv_a_layernorm", "norms", self.kv_rank),
            Weight("self_attn.kv_b_proj", "attention", self.kv_rank, expanded),
            Weight("self_attn.o_proj", "attention", self.query_heads * self.value_dim, d, self.bias),
        ]
        if self.index is not None:
            found += self.index.weights(d)
        return (*found, *self.extra)

    def stores(self, ranks: int) -> tuple[Store, ...]:
        """Every rank keeps the whole latent."""
        own = Store(self.read_elements(ranks), self.window)
        return (own,) if self.index is None else (own, *self.index.stores())

    def read_elements(self, ranks: int) -> int:
        """Cached elements of a token that attention reads."""
        return self.kv_rank + self.rope_dim

    def state(self, ranks: int) -> State:
        return State()

    def flop_per_pair(self) -> int:
        """Absorbed."""
        return 2 * self.query_heads * (2 * self.kv_rank + self.rope_dim)

    def block(self, work: RankWork) -> list[Op]:
        """Queries and the latent are made on every rank (their matrices are small), heads are cut.

        Against a cache the up-projections of keys and values are absorbed into queries and outputs, so that attention runs
        on the latent itself; a prompt's own keys and values are expanded, which costs less for many new tokens. Both read
        the same weights and do the same projections' FLOP.
        """
        heads = self.query_heads // work.layout.attention_ranks
        query_width = heads * (self.nope_dim + self.rope_dim)
        value_width = heads * self.value_dim
        ops: list[Op] = []
        if self.query_rank is None:
            outer = work.layout.width * query_width
            ops += work.into("attention.query_up", work.tokens, outer, collective="reduce_scatter", of=("self_attn.q_proj",))
        else:
            ops += work.into(
                "attention.query_down", work.tokens, self.query_rank, of=("self_attn.q_a_proj",), bias=self.bias
            )
            ops.append(
                work.matmul("attention.query_up", work.tokens, self.query_rank, query_width, of=("self_attn.q_b_proj",))
            )
        ops += work.into("attention.latent_down", work.tokens, self.kv_rank + self.rope_dim, of=(DOWN,), bias=self.bias)
        chosen = None if self.index is None else self.index.tokens
        if self.index is not None:
            ops += self.index.block(work)
        cost: dict[str, Any] = {"moved": query_width + value_width, "norms": self.inner_norms, "chosen": chosen}
        cost["head_dim"] = self.kv_rank + self.rope_dim
        if absorbed(work):
            per_head: dict[str, Any] = {"matrices_read": heads, "matrices_kept": heads, "of": UP}
            pair = 2.0 * heads * (2 * self.kv_rank + self.rope_dim)
            if self.index is None:  # prompts that enter with decoding are expanded
                cost["flop_per_prompt_pair"] = 2.0 * heads * (self.nope_dim + self.rope_dim + self.value_dim)
            ops += [
                work.matmul("attention.key_up", work.tokens * heads, self.nope_dim, self.kv_rank, **per_head),
                core(work, self, flop_per_pair=pair, **cost),
                work.matmul("attention.value_up", work.tokens * heads, self.kv_rank, self.value_dim, **per_head),
            ]
        else:
            pair = 2.0 * heads * (self.nope_dim + self.rope_dim + self.value_dim)
            expanded = heads * (self.nope_dim + self.value_dim)
            ops += [
                work.matmul("attention.latent_up", work.tokens, self.kv_rank, expanded, of=UP),
                core(work, self, flop_per_pair=pair, **cost),
            ]
        return [*ops, *output(work, value_width, bias=self.bias), *work.extras("attention.extra", self.extra)]

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.query_heads, "query heads")]

    def scaled(self, by: Smaller) -> Latent:
        return replace(
            self,
            query_heads=by.count(self.query_heads),
            query_rank=None if self.query_rank is None else by.width(self.query_rank),
            kv_rank=by.width(self.kv_rank),
            index=None if self.index is None else self.index.scaled(by),
        )

    def proportions(self, d: int) -> list[Proportion]:
        found = [
            Proportion("query heads", self.query_heads, grows=True),
            Proportion("kv_rank", self.kv_rank, grows=True),
        ]
        if self.query_rank is not None:
            found.append(Proportion("query_rank", self.query_rank, grows=True))
        return found


def absorbed(work: RankWork) -> bool:
    """Whether attention runs on the latents: with a cache, or one token at a time."""
    return bool(np.all(np.asarray(work.step.new_tokens) == 1) or np.any(np.asarray(work.step.context) > 0))
