"""The shape of a model: every number of its architecture that costs time, memory or traffic."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.errors import InputError


@dataclass(frozen=True)
class Heads:
    """Grouped-query attention; kv_heads = query_heads is MHA, kv_heads = 1 is MQA."""

    query_heads: int
    kv_heads: int
    head_dim: int
    bias: bool = False
    """Whether the q, k and v projections add a bias."""
    out_bias: bool = False
    """Whether the output projection adds a bias."""
    qk_norm: bool = False
    """Whether queries and keys pass a norm of head_dim each (Qwen3)."""

    def __post_init__(self) -> None:
        _at_least(1, self, "query_heads", "kv_heads", "head_dim")
        if self.query_heads % self.kv_heads:
            raise InputError(
                f"query_heads = {self.query_heads} is no multiple of kv_heads = {self.kv_heads} "
                f"({self.query_heads} = {self.query_heads // self.kv_heads}·{self.kv_heads} "
                f"+ {self.query_heads % self.kv_heads})"
            )


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

    def __post_init__(self) -> None:
        _at_least(1, self, "query_heads", "kv_rank", "nope_dim", "value_dim")
        _at_least(0, self, "rope_dim")
        if self.query_rank is not None:
            _at_least(1, self, "query_rank")


@dataclass(frozen=True)
class Experts:
    """A mixture of experts: top-k routed feed-forwards of width d_ff beside shared ones that every token passes."""

    count: int
    active: int
    d_ff: int
    shared: int = 0
    first_dense: int = 0
    """Layers at the start that keep one plain feed-forward of the shape's d_ff."""
    router_bias: bool = False
    """Whether the router keeps one number per expert that balances the choice (DeepSeek-V3, section 2.1.2)."""

    def __post_init__(self) -> None:
        _at_least(1, self, "count", "active", "d_ff")
        _at_least(0, self, "shared", "first_dense")
        if self.active > self.count:
            raise InputError(f"active experts = {self.active} are more than the {self.count} there are")


@dataclass(frozen=True)
class Shape:
    """A decoder-only transformer. d_ff is the width of a dense feed-forward (of the first_dense layers in a MoE).

    Raises InputError, with the arithmetic, for numbers that contradict each other.
    """

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
    full_attention_layers: int = 0
    """Layers at the start that see everything although the others have a sliding window (Qwen's max_window_layers)."""
    max_context: int | None = None
    learned_positions: int = 0
    norms_per_layer: int = 2
    norm_bias: bool = False
    linear_bias: bool = False
    """Whether the feed-forward matrices add a bias."""
    head_bias: bool = False
    """Whether the logits add a bias (GPT-J)."""
    source: str = ""

    def __post_init__(self) -> None:
        _at_least(1, self, "layers", "d_model", "d_ff")
        _at_least(0, self, "vocab", "learned_positions", "norms_per_layer", "full_attention_layers")
        for field in ("sliding_window", "max_context"):
            if getattr(self, field) is not None:
                _at_least(1, self, field)
        if self.experts is not None and self.experts.first_dense > self.layers:
            raise InputError(f"first_dense = {self.experts.first_dense} dense layers are more than layers = {self.layers}")
        if self.full_attention_layers > self.layers:
            raise InputError(f"full_attention_layers = {self.full_attention_layers} are more than layers = {self.layers}")

    def has_experts(self, layer: int) -> bool:
        """Whether the layer, counted from 0, has experts."""
        return self.experts is not None and layer >= self.experts.first_dense

    def window_of(self, layer: int) -> int | None:
        """The sliding window of the layer, counted from 0; None if it sees everything."""
        return self.sliding_window if layer >= self.full_attention_layers else None


def _at_least(least: int, record: object, *fields: str) -> None:
    for field in fields:
        value = getattr(record, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{field} = {value!r} must be a whole number, at least {least}")
