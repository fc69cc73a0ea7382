"""Decoders of Llama's kind: what each model_type differs in, and how their shape is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.parts import (
    Pattern,
    Rule,
    all_full,
    read_dense,
    read_heads,
    windowed,
)
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import FeedForward
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.weights import Weight, vector

Feed = Callable[[Fields, int], list[FeedForward]]


@dataclass(frozen=True)
class Family:
    """How a model_type of Llama's kind differs from it. A rule is true, false, or the name of the field that says it."""

    bias: Rule = False
    """Of the projections of queries, keys and values."""
    out_bias: Rule | None = None
    """Of the output projection; None: as bias."""
    ff_bias: Rule = False
    gated: bool = True
    qk_norm: Rule = False
    """Whether queries and keys pass a norm of head_dim each."""
    wide_norm: Rule = False
    """Whether that norm is as wide as all their heads together (OLMo 2)."""
    head_norms: Rule = False
    """Whether every head has a norm of its own (Cohere)."""
    sinks: bool = False
    gate: Literal["none", "query", "element", "head"] = "none"
    pattern: Pattern = all_full
    feed: Feed | None = None
    """The feed-forward of each layer; None: the same plain one in all."""
    norms: int = 2
    norm_bias: Rule = False
    norm_scales: bool = True
    parallel: bool = False
    square_out: bool = False
    """Whether the output projection is as wide as the model, so that heads of another width cannot be (Helium)."""
    inner_norms: bool = False
    """Whether a norm stands before the output projection and before the way down of the feed-forward (BitNet)."""
    head_bias: Rule = False

    def __call__(self, f: Fields) -> Shape:
        """The shape; name, source and what is of no model_type in particular are left to the caller."""
        layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
        heads = self.heads(f)
        if self.feed is not None:
            feed = self.feed(f, layers)
        else:
            dense = read_dense(f, gated=self.gated, bias=self.ff_bias)
            if self.inner_norms:
                dense = replace(dense, extra=(vector("mlp.ffn_sub_norm", "mlp", dense.d_ff),))
            feed = [dense] * layers
        stack = [
            Layer(attention, feed_forward, self.norms, self.parallel)
            for attention, feed_forward in zip(windowed(f, heads, layers, self.pattern), feed)
        ]
        return Shape(
            name="",
            d_model=d,
            vocab=f.count("vocab_size"),
            stack=tuple(stack),
            tied_embeddings=f.flag("tie_word_embeddings"),
            norm_bias=f.flag(self.norm_bias),
            norm_scales=self.norm_scales,
            head_bias=f.flag(self.head_bias),
        )

    def heads(self, f: Fields) -> Heads:
        """The attention of a layer, before its window."""
        out_bias = self.bias if self.out_bias is None else self.out_bias
        heads = read_heads(f, bias=self.bias, out_bias=out_bias, qk_norm=f.flag(self.qk_norm))
        if self.square_out and heads.query_heads * heads.head_dim != f.count("hidden_size"):
            raise InputError(f"head_dim = {heads.head_dim}: with {heads.query_heads} heads it is not hidden_size wide")
        widths = heads.query_heads * heads.head_dim, heads.kv_heads * heads.head_dim
        extra: tuple[Weight, ...] = ()
        if f.flag(self.wide_norm) or f.flag(self.head_norms):
            norms = zip(("q_norm", "k_norm"), widths)
            extra = tuple(vector(f"self_attn.{name}", "attention", width) for name, width in norms)
        if self.inner_norms:
            extra = (*extra, vector("self_attn.attn_sub_norm", "attention", f.count("hidden_size")))
        return replace(heads, sinks=self.sinks, gate=self.gate, extra=extra)
