"""How many parameters a model has, part by part."""

from __future__ import annotations

from dataclasses import dataclass, replace

from inferometer.emulator.workload.shape import Experts, Heads, Latent, Shape


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters. A part counts its biases in; biases says how many of all these there are."""

    embedding: int
    positions: int
    """Learned positions; rotary ones have no parameters."""
    attention_per_layer: int
    """Projections with their inner norms (of queries and keys, of MLA's latents)."""
    dense_ff_per_layer: int
    """Of a layer without experts; 0 where every layer has experts."""
    expert: int
    """One routed expert of one layer; 0 without experts."""
    shared_per_layer: int
    router_per_layer: int
    norms_per_layer: int
    final_norm: int
    head: int
    """The output matrix; 0 where the embedding serves for it."""
    biases: int
    dense_layers: int
    expert_layers: int
    experts: int
    active_experts: int

    @property
    def total(self) -> int:
        """All parameters, what a checkpoint holds (without extra multi-token prediction layers)."""
        return self._with_experts(self.experts)

    @property
    def active(self) -> int:
        """Parameters that serve one token: all but the experts it does not choose. The whole embedding counts."""
        return self._with_experts(self.active_experts)

    def _with_experts(self, experts: int) -> int:
        layers = self.dense_layers + self.expert_layers
        return (
            self.embedding
            + self.positions
            + layers * (self.attention_per_layer + self.norms_per_layer)
            + self.dense_layers * self.dense_ff_per_layer
            + self.expert_layers * (experts * self.expert + self.shared_per_layer + self.router_per_layer)
            + self.final_norm
            + self.head
        )


def count(shape: Shape) -> Parameters:
    """Parameters of a model by part, exactly as its published checkpoint has them."""
    parts = _count(shape)
    return replace(parts, biases=parts.total - _count(_without_biases(shape)).total)


def multiplied_per_token(shape: Shape) -> int:
    """Weights that one decoded token is multiplied with; 2 FLOP each. Looked-up rows, norms, biases are none."""
    plain = replace(_without_biases(shape), norms_per_layer=0, learned_positions=0)
    if isinstance(plain.attention, Heads):
        plain = replace(plain, attention=replace(plain.attention, qk_norm=False))
    parts = _count(plain)
    inner_norms = 0
    if isinstance(plain.attention, Latent):
        inner_norms = shape.layers * _latent_norms(plain.attention)
    looked_up = 0 if shape.tied_embeddings else parts.embedding  # a tied matrix is the head's
    return parts.active - looked_up - parts.final_norm - inner_norms


def _count(shape: Shape) -> Parameters:
    d, experts = shape.d_model, shape.experts
    norm = d * (1 + shape.norm_bias)
    expert_layers = 0 if experts is None else shape.layers - experts.first_dense
    dense_layers = shape.layers - expert_layers
    return Parameters(
        embedding=shape.vocab * d,
        positions=shape.learned_positions * d,
        attention_per_layer=_attention(shape.attention, d),
        dense_ff_per_layer=_feed_forward(shape, shape.d_ff) if dense_layers else 0,
        expert=_feed_forward(shape, experts.d_ff) if experts else 0,
        shared_per_layer=_feed_forward(shape, experts.shared * experts.d_ff) if experts and experts.shared else 0,
        router_per_layer=_router(experts, d) if experts else 0,
        norms_per_layer=shape.norms_per_layer * norm,
        final_norm=norm,
        head=_linear(d, 0 if shape.tied_embeddings else shape.vocab) + shape.head_bias * shape.vocab,
        biases=0,
        dense_layers=dense_layers,
        expert_layers=expert_layers,
        experts=experts.count if experts else 0,
        active_experts=experts.active if experts else 0,
    )


def _without_biases(shape: Shape) -> Shape:
    """The same model without any bias; those of norms are the norms' own."""
    plain = replace(shape, linear_bias=False, head_bias=False)
    if isinstance(plain.attention, Heads):
        plain = replace(plain, attention=replace(plain.attention, bias=False, out_bias=False))
    if plain.experts is not None:
        plain = replace(plain, experts=replace(plain.experts, router_bias=False))
    return plain


def _attention(attention: Heads | Latent, d: int) -> int:
    if isinstance(attention, Heads):
        width = attention.query_heads * attention.head_dim
        kv_width = 2 * attention.kv_heads * attention.head_dim
        norms = 2 * attention.head_dim if attention.qk_norm else 0
        return _linear(d, width + kv_width, attention.bias) + _linear(width, d, attention.out_bias) + norms
    a = attention
    queries = a.query_heads * (a.nope_dim + a.rope_dim)
    query = _linear(d, queries) if a.query_rank is None else _linear(d, a.query_rank) + _linear(a.query_rank, queries)
    latent = _linear(d, a.kv_rank + a.rope_dim) + _linear(a.kv_rank, a.query_heads * (a.nope_dim + a.value_dim))
    return query + latent + _linear(a.query_heads * a.value_dim, d) + _latent_norms(a)


def _latent_norms(attention: Latent) -> int:
    return (attention.query_rank or 0) + attention.kv_rank


def _feed_forward(shape: Shape, width: int) -> int:
    into = 2 if shape.gated else 1
    return _linear(shape.d_model, into * width, shape.linear_bias) + _linear(width, shape.d_model, shape.linear_bias)


def _router(experts: Experts, d: int) -> int:
    return _linear(d, experts.count, experts.router_bias)


def _linear(inner: int, outer: int, bias: bool = False) -> int:
    return (inner + bias) * outer
