"""Attention with keys and values per head: full, in a sliding window, in chunks, on another layer's cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.core import core, one_by_one, output
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.kind import Demand, Proportion, Smaller, State, Store, at_least
from inferometer.emulator.workload.operations import Op, Pass
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.weights import Weight, vector

INTO = tuple(f"self_attn.{letter}_proj" for letter in "qkvg")
"""What one matmul makes queries, keys, values and gates with."""


@dataclass(frozen=True)
class Heads:
    """Grouped-query attention; kv_heads = query_heads is MHA, kv_heads = 1 is MQA."""

    kind: ClassVar[str] = "heads"

    query_heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    """Whether the q, k and v projections add a bias."""
    out_bias: bool = False
    """Whether the output projection adds a bias."""
    qk_norm: bool = False
    """Whether queries and keys pass a norm of head_dim each (Qwen3)."""
    window: int | None = None
    """Tokens that a query sees, itself included; None: all before it."""
    chunked: bool = False
    """Whether the window is a chunk that begins anew every window tokens (Llama 4), not one that slides."""
    value_dim: int | None = None
    """The width of a value where it is not head_dim."""
    sinks: bool = False
    """Whether each head has a learned logit that takes weight from the tokens (gpt-oss)."""
    gate: Literal["none", "query", "element", "head"] = "none"
    """What multiplies the heads' outputs: a sigmoid of a projection, per element or per head; "query": per element, made by
    a query projection of twice the width (Qwen3-Next)."""
    cache: Literal["own", "shared"] = "own"
    """"shared": queries only; keys and values are those of an earlier layer."""
    values: bool = True
    """Whether values have a projection; else they are the keys."""
    rotary: bool = True
    """Whether queries and keys are rotated by their positions."""
    index: Index | None = None
    """What chooses the tokens that are attended to (MiniMax M3's sparse layers)."""
    extra: tuple[Weight, ...] = ()
    """Weights of inner norms and the like that the fields above do not tell."""

    def __post_init__(self) -> None:
        at_least(1, self, "query_heads", "kv_heads", "head_dim")
        for field in ("window", "value_dim"):
            if getattr(self, field) is not None:
                name = "sliding_window" if field == "window" else field
                at_least(1, _Named(name, getattr(self, field)), name)
        if self.query_heads % self.kv_heads:
            raise InputError(
                f"query_heads = {self.query_heads} is no multiple of kv_heads = {self.kv_heads} "
                f"({self.query_heads} = {self.query_heads // self.kv_heads}·{self.kv_heads} "
                f"+ {self.query_heads % self.kv_heads})"
            )

    @property
    def value_width(self) -> int:
        return self.head_dim if self.value_dim is None else self.value_dim

    def describe(self) -> str:
        reach = "full" if self.window is None else f"{'chunk' if self.chunked else 'window'} {self.window}"
        reach += f", {self.index.tokens} indexed" if self.index is not None else ""
        return reach + (", shared KV" if self.cache == "shared" else "") + (", sinks" if self.sinks else "")

    def weights(self, d: int) -> tuple[Weight, ...]:
        width, out = self.query_heads * self.head_dim, self.query_heads * self.value_width
        queries = 2 * width if self.gate == "query" else width
        found = [Weight("self_attn.q_proj", "attention", d, queries, self.bias)]
        if self.cache == "own":
            found.append(Weight("self_attn.k_proj", "attention", d, self.kv_heads * self.head_dim, self.bias))
            if self.values:
                found.append(Weight("self_attn.v_proj", "attention", d, self.kv_heads * self.value_width, self.bias))
        if self.gate in ("element", "head"):
            gates = width if self.gate == "element" else self.query_heads
            found.append(Weight("self_attn.g_proj", "attention", d, gates))
        found.append(Weight("self_attn.o_proj", "attention", out, d, self.out_bias))
        if self.qk_norm:
            found.append(vector("self_attn.q_norm", "attention", self.head_dim))
            if self.cache == "own":
                found.append(vector("self_attn.k_norm", "attention", self.head_dim))
        if self.sinks:
            found.append(vector("self_attn.sinks", "attention", self.query_heads))
        if self.index is not None:
            found += self.index.weights(d)
        return (*found, *self.extra)

    def stores(self, ranks: int) -> tuple[Store, ...]:
        if self.cache == "shared":
            return ()
        own = Store(self.read_elements(ranks), self.window)
        return (own,) if self.index is None else (own, *self.index.stores())

    def read_elements(self, ranks: int) -> int:
        """Cached elements of a token that attention reads, of its own cache or another layer's."""
        return kv_heads_of_rank(self, ranks) * (self.head_dim + self.value_width)

    def state(self, ranks: int) -> State:
        return State()

    def flop_per_pair(self) -> int:
        return 2 * self.query_heads * (self.head_dim + self.value_width)

    def block(self, work: RankWork) -> list[Op]:
        ranks = work.layout.attention_ranks
        heads = self.query_heads // ranks
        width, out = heads * self.head_dim, heads * self.value_width
        kv_heads = kv_heads_of_rank(self, ranks) if self.cache == "own" else 0
        kv_width = kv_heads * (self.head_dim + (self.value_width if self.values else 0))
        gate = {"none": 0, "query": width, "element": width, "head": heads}[self.gate]
        outer = work.layout.width * (width + kv_width + gate)
        keys = 2 if self.cache == "own" else 1
        read = keys * self.head_dim * self.qk_norm + heads * self.sinks
        flop = self.flop_per_pair() / self.query_heads * heads
        cost: dict[str, Any] = {"flop_per_pair": flop, "moved": width + out, "norms": read}
        cost["chosen"] = None if self.index is None else self.index.tokens
        cost["head_dim"] = self.head_dim if self.value_width == self.head_dim else 0
        return [
            *work.into("attention.qkv", work.tokens, outer, collective="reduce_scatter", of=INTO, bias=self.bias),
            *(self.index.block(work) if self.index is not None else []),
            core(work, self, passes=self._passes(work), **cost),
            *output(work, out, bias=self.out_bias),
            *work.extras("attention.extra", self.extra),
        ]

    def _passes(self, work: RankWork) -> tuple[Pass, ...]:
        """Over queries, keys, values of the new tokens, before they are attended with, and over what comes out."""
        p, ranks = work.precision, work.layout.attention_ranks
        heads, kv_heads = self.query_heads // ranks, kv_heads_of_rank(self, ranks) if self.cache == "own" else 0
        queries, keys = (work.step.tokens * count * self.head_dim for count in (heads, kv_heads))
        turned = (queries, keys) if kv_heads else (queries,)
        sizes = tuple(elements * p.residual_bytes for elements in turned)
        found = [Pass("head_norm", sizes)] if self.qk_norm else []
        found += [Pass("rotate", sizes)] if self.rotary else []
        if kv_heads:
            values = work.step.tokens * kv_heads * self.value_width
            found.append(Pass("cache", (keys * p.kv_bytes, values * p.kv_bytes)))
        if not one_by_one(work):
            found.append(Pass("join", (work.step.tokens * heads * self.value_width * p.residual_bytes,)))
        return tuple(found)

    def demands(self, ranks: int) -> list[Demand]:
        return [(self.query_heads, "query heads")]

    def scaled(self, by: Smaller) -> Heads:
        kv_heads = by.count(self.kv_heads)
        query_heads = kv_heads * (self.query_heads // self.kv_heads)
        # Where the group forces more heads than the scale asks for they are narrower, so that attention keeps its share.
        wide = self.query_heads * self.head_dim / by.before * by.after / query_heads
        dim = max(2, 2 * round(wide / 2))
        value = None if self.value_dim is None else max(2, 2 * round(self.value_dim / self.head_dim * dim / 2))
        index = None if self.index is None else self.index.scaled(by)
        return replace(self, query_heads=query_heads, kv_heads=kv_heads, head_dim=dim, value_dim=value, index=index)

    def proportions(self, d: int) -> list[Proportion]:
        return [
            Proportion("query heads", self.query_heads, grows=True),
            Proportion("key-value heads", self.kv_heads, grows=True),
            Proportion("head_dim", self.head_dim),
            Proportion("heads·head_dim/d_model", self.query_heads * self.head_dim / d),
        ]


def kv_heads_of_rank(attention: Heads, ranks: int) -> int:
    """Key-value heads a rank keeps; with more ranks than heads each head is kept by several ranks."""
    return max(1, attention.kv_heads // ranks)


class _Named:
    """A value under the name that messages know it by."""

    def __init__(self, name: str, value: object) -> None:
        setattr(self, name, value)
