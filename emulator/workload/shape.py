"""The shape of a model: every number of its architecture that costs time, memory or traffic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Heads:
    """Grouped-query attention; kv_heads = query_heads is MHA, kv_heads = 1 is MQA."""

    query_heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    """Whether the q, k and v projections add a bias."""


@dataclass(frozen=True)
class Latent:
    """Multi-head latent attention (DeepSeek-V2, section 2.1): keys and values live in one latent per token.

    Absorbed decode reads kv_rank + rope_dim elements per token and layer, whatever the number of heads.
    """

    query_heads: int
    query_rank: int | None
    kv_rank: int
    nope_dim: int
    rope_dim: int
    value_dim: int


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: top-k routed feed-forwards of width d_ff beside shared ones that every token passes."""

    count: int
    active: int
    d_ff: int
    shared: int = 0
    first_dense: int = 0
    """Layers at the start that keep one plain feed-forward of the shape's d_ff."""


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer. d_ff is the width of a dense feed-forward (of the first_dense layers in a MoE)."""

    name: str
    layers: int
    d_model: int
    d_ff: int
    vocab: int
    attention: Heads | Latent
    experts: Experts | None = None
    gated: bool = True
    """Three feed-forward matrices (SwiGLU, GeGLU) or two."""
    tied_embeddings: bool = False
    parallel_attention: bool = False
    """Attention and feed-forward read the same input and their outputs are summed: one reduction instead of two."""
    sliding_window: int | None = None
    max_context: int | None = None
    learned_positions: int = 0
    norms_per_layer: int = 2
    norm_bias: bool = False
    linear_bias: bool = False
    """Whether the attention output and the feed-forward matrices add a bias."""
    source: str = ""
