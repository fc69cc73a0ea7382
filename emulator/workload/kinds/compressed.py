"""Attention on compressed entries (DeepSeek V4, section 2.3): a window of tokens, and one entry for every so many before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from inferometer.emulator.workload.kinds.core import output
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store, at_least
from inferometer.emulator.workload.operations import Compute, Op, Size
from inferometer.emulator.workload.rank import RankWork, attended_tokens, cached_tokens
from inferometer.emulator.workload.weights import Weight, vector


@dataclass(frozen=True)
class Compressed:
    """One key-value head whose keys are its values, for all query heads; sinks; an output projection in groups.

    every: tokens that one entry stands for; None: no compressed entries, the window alone. index_heads: of the index that
    chooses among the entries, whose windows then overlap; 0: all entries are read.
    """

    kind: ClassVar[str] = "compressed"

    query_heads: int
    query_rank: int
    head_dim: int
    out_rank: int
    out_groups: int
    window: int
    every: int | None = None
    index_heads: int = 0
    index_dim: int = 0
    index_entries: int = 0

    def __post_init__(self) -> None:
        at_least(1, self, "query_heads", "query_rank", "head_dim", "out_rank", "out_groups", "window")

    @property
    def overlap(self) -> int:
        """Series that an entry is made from: of its own tokens, and with an index of those before them."""
        return 2 if self.index_heads else 1

    def describe(self) -> str:
        if self.every is None:
            return f"window {self.window}, one KV head"
        return f"window {self.window} + 1/{self.every}" + (f", {self.index_entries} indexed" if self.index_heads else "")

    def weights(self, d: int) -> tuple[Weight, ...]:
        name, part, dim = "self_attn", "attention", self.head_dim
        width = self.query_heads * dim
        found = [
            Weight(f"{name}.q_a_proj", part, d, self.query_rank),
            vector(f"{name}.q_a_norm", part, self.query_rank),
            Weight(f"{name}.q_b_proj", part, self.query_rank, width),
            Weight(f"{name}.kv_proj", part, d, dim),
            vector(f"{name}.kv_norm", part, dim),
            Weight(f"{name}.o_a_proj", part, width // self.out_groups, self.out_groups * self.out_rank),
            Weight(f"{name}.o_b_proj", part, self.out_groups * self.out_rank, d),
            vector(f"{name}.sinks", part, self.query_heads),
        ]
        if self.every is not None:
            found += self._compressor(d, "self_attn.compressor", part, dim)
        if self.index_heads:
            name = "self_attn.compressor.indexer"
            found += self._compressor(d, name, "indexer", self.index_dim)
            found += [
                Weight(f"{name}.q_b_proj", "indexer", self.query_rank, self.index_heads * self.index_dim),
                Weight(f"{name}.weights_proj", "indexer", d, self.index_heads),
            ]
        return tuple(found)

    def _compressor(self, d: int, name: str, part: str, dim: int) -> list[Weight]:
        wide = self.overlap * dim
        return [
            Weight(f"{name}.kv_proj", part, d, wide),
            Weight(f"{name}.gate_proj", part, d, wide),
            vector(f"{name}.kv_norm", part, dim),
            vector(f"{name}.position_bias", part, (self.every or 0) * wide),
        ]

    def stores(self, ranks: int) -> tuple[Store, ...]:
        """Every rank keeps all of it. Values are the keys, but transformers keeps them twice where nothing is compressed."""
        if self.every is None:
            return (Store(2 * self.head_dim, self.window),)
        dims = self.head_dim + self.index_dim
        return (
            Store(self.head_dim, self.window),
            Store(dims, every=self.every),
            Store(2 * self.overlap * dims, every=self.every, rest=True),
        )

    def read_elements(self, ranks: int) -> int:
        return self.head_dim

    def state(self, ranks: int) -> State:
        """Of the tokens of the last entry, which the next one overlaps."""
        if not self.index_heads or self.every is None:
            return State()
        return State(0, 2 * self.every * (self.head_dim + self.index_dim))

    def flop_per_pair(self) -> int:
        return 4 * self.query_heads * self.head_dim

    def block(self, work: RankWork) -> list[Op]:
        ranks = work.layout.attention_ranks
        heads, rows, d = self.query_heads // ranks, work.tokens, work.d_model
        ops: list[Op] = [
            *work.into("attention.query_down", rows, self.query_rank, of=("self_attn.q_a_proj",)),
            work.matmul("attention.query_up", rows, self.query_rank, heads * self.head_dim, of=("self_attn.q_b_proj",)),
            *work.into("attention.kv", rows, self.head_dim, of=("self_attn.kv_proj",)),
        ]
        whole = [weight for weight in self.weights(d) if ".compressor." in weight.name]
        ops += work.extras("attention.compressor", whole)
        ops.append(self._core(work, heads))
        groups = max(1, self.out_groups // ranks)
        inner = self.query_heads * self.head_dim // self.out_groups
        out = work.matmul(
            "attention.out_down",
            rows * groups,
            inner,
            self.out_rank,
            of=("self_attn.o_a_proj",),
            matrices_read=float(groups),
            matrices_kept=groups,
        )
        return [*ops, out, *output(work, groups * self.out_rank, of="self_attn.o_b_proj")]

    def _core(self, work: RankWork, heads: int) -> Compute:
        step, p = work.step, work.precision
        pairs: Size = step.sequences * attended_tokens(step.context, step.new_tokens, self.window)
        pairs = pairs + step.prefill_tokens * (cached_tokens(step.prefill_context, self.window) + 1)
        read = step.sequences * cached_tokens(step.context, self.window) * self.head_dim
        flop = 4.0 * heads * self.head_dim * pairs
        if self.every is not None:
            entries = np.floor_divide(step.context + step.new_tokens, self.every)
            chosen = np.minimum(entries, self.index_entries) if self.index_heads else entries
            flop = flop + 4.0 * heads * self.head_dim * step.tokens * chosen
            read = read + step.sequences * np.minimum(chosen * step.new_tokens, entries) * self.head_dim
            if self.index_heads:
                flop = flop + 2.0 * self.index_heads * self.index_dim * step.tokens * entries
                read = read + step.sequences * entries * self.index_dim
        small = (self.query_rank + self.head_dim + heads) * p.weight_bytes
        return Compute(
            "attention.core",
            "attention",
            flop=flop,
            activation_bytes=step.tokens * 2 * heads * self.head_dim * p.residual_bytes,
            kv_bytes=(read + step.tokens * self.head_dim) * p.kv_bytes,
            weight_bytes=small,
            resident_bytes=small,
        )

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.query_heads, "query heads"), (self.out_groups, "output groups")]

    def scaled(self, by: Smaller) -> Compressed:
        heads = by.count(self.query_heads, self.out_groups) // self.out_groups * self.out_groups
        return replace(self, query_heads=heads, query_rank=by.width(self.query_rank), out_rank=by.width(self.out_rank))

    def proportions(self, d: int) -> list[Proportion]:
        return [Proportion("query heads", self.query_heads, grows=True)]
