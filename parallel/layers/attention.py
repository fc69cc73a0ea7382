"""Grouped-query attention, its heads cut over the tensor ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from inferometer.parallel.axes import together
from inferometer.parallel.layers.architecture import Heads
from inferometer.parallel.layers.cache import Cache
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span


def parts_of(heads: Heads) -> list[tuple[str, int]]:
    """What one matmul makes: (name, heads) of queries, keys, values, and of the gate that multiplies the outputs."""
    found = [("q", heads.query_heads)]
    if heads.cache == "own":
        found += [("k", heads.kv_heads), ("v", heads.kv_heads)] if heads.values else [("k", heads.kv_heads)]
    return found + ([("g", heads.query_heads)] if heads.gate == "query" else [])


class Attention:
    """softmax(q kᵀ/√head_dim) v W_o, with q, k, v = x W_q, x W_k, x W_v.

    Each rank has its query heads and their key-value heads (the same head on several ranks, if there are fewer heads than
    ranks), and the rows of W_o that belong to them: what it returns are partial sums over the tensor axis. On a grid the
    ranks of one column hold the same columns of q, k, v for different rows of x: their sums are scattered so that each
    one attends with its own heads, whose outputs are gathered for W_o. A layer may read an earlier one's cache, and make
    queries only; a layer's keys, before norm and rotation, may be its values.
    """

    def __init__(self, site: Site, d_model: int, heads: Heads, *, rotary: bool) -> None:
        self.tape = site.tape
        self.window, self.chunked, self.rotary = heads.window, heads.chunked, rotary and heads.rotary
        self.head_dim = heads.head_dim
        self.gated, self.own, self.values = heads.gate == "query", heads.cache == "own", heads.values
        tensor, width = site.axes["tensor"], site.axes["width"]
        whole = together(tensor, width)
        self.query_heads = heads.query_heads // whole.size
        self.kv_heads = max(1, heads.kv_heads // whole.size)
        rows = width.share(d_model)
        column = range(tensor.index * width.size, (tensor.index + 1) * width.size)  # the ranks of this grid column
        parts = [
            (part, count, self._features(heads, count, member, whole.size))
            for member in column
            for part, count in parts_of(heads)
        ]
        shapes = [(part, (d_model, count * heads.head_dim), features) for part, count, features in parts]
        self.qkv = torch.cat([site.matrix(part, shape, rows, features) for part, shape, features in shapes], 1)
        self.qkv_bias = None
        if heads.bias:
            biases = [site.bias(f"{part}_bias", shape[1], features, width.size) for part, shape, features in shapes]
            self.qkv_bias = torch.cat(biases)
        inner = tensor.share(heads.query_heads * heads.head_dim)
        self.out = site.matrix("out", (heads.query_heads * heads.head_dim, d_model), inner, rows)
        self.out_bias = site.bias("out_bias", d_model, rows, tensor.size) if heads.out_bias else None
        self.sinks = None
        if heads.sinks:  # one number per query head of this rank
            first = whole.index * self.query_heads
            self.sinks = site.bias("sinks", heads.query_heads, range(first, first + self.query_heads), 1)
        self.norms = None
        if heads.qk_norm:
            names = ("q_norm", "k_norm") if self.own else ("q_norm",)
            self.norms = [site.scale(name, heads.head_dim) for name in names]

    @staticmethod
    def _features(heads: Heads, count: int, member: int, ranks: int) -> range:
        """The features of the heads that one of ranks has: count/ranks of them, or the one that it shares."""
        first = member * count // ranks
        return range(first * heads.head_dim, (first + max(1, count // ranks)) * heads.head_dim)

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[Cache, ...]:
        """source: what the layer keeps that this one reads from."""
        if not self.own:
            shared: tuple[Cache, ...] = source
            return shared
        return tuple(Cache(sequences, self.kv_heads, limit, self.head_dim, self.qkv) for _ in ("keys", "values"))

    def attended(self, context: int, *, decoding: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries, and keys (or values), of one sequence's call to attend: shapes and types alone matter."""
        length = context if self.window is None else min(context, self.window)
        group = self.query_heads // self.kv_heads
        shape = (1, self.kv_heads, group, self.head_dim) if decoding else (1, self.query_heads, length, self.head_dim)
        return self.qkv.new_empty(shape), self.qkv.new_empty(1, self.kv_heads, length, self.head_dim)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[Cache, ...]) -> torch.Tensor:
        """[sequences·new, d/√tp] → partial sums of the same shape."""
        qkv = self.tape.matmul("attention.qkv", x, self.qkv, self.qkv_bias)
        qkv = self.tape.reduce_scatter("attention.qkv_reduce", "width", blocks(qkv, self.tape.axes["width"].size))
        features = self.query_heads * self.head_dim
        with self.tape.attention("attention.core", 4 * features * span.pairs(self.window, chunked=self.chunked)):
            heads = qkv.view(span.sequences, span.new, -1, self.head_dim).transpose(1, 2)
            counts = [self.query_heads, self.kv_heads if self.own else 0]
            made = [sum(counts), counts[1] if self.values else 0, self.query_heads if self.gated else 0]
            qk, v, gate = heads.split(made, dim=1)
            v = v if self.values else qk[:, self.query_heads :]
            if self.norms is not None:
                each = zip(qk.split(counts[: len(self.norms)], dim=1), self.norms)
                qk = torch.cat([functional.rms_norm(h, (self.head_dim,), scale, EPSILON) for h, scale in each], dim=1)
            q, k = (span.rotate(qk) if self.rotary else qk).split(counts, dim=1)
            if self.own:
                keys, values = caches[0].extend(k, span.context), caches[1].extend(v, span.context)
            else:  # the earlier layer has put this step's tokens there
                keys, values = (cache.kept[:, :, : span.context + span.new] for cache in caches)
            scale = self.head_dim**-0.5
            y = attend(q, keys, values, span, self.window, scale, chunked=self.chunked, sinks=self.sinks)
        if self.gated:
            y = y * gate.transpose(1, 2).reshape(y.shape).sigmoid()
        y = side_by_side(self.tape.all_gather("attention.gather", "width", y))
        return self.tape.matmul("attention.out", y, self.out, self.out_bias)


def attend(
    q: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    span: Span,
    window: int | None,
    scale: float,
    *,
    chunked: bool = False,
    sinks: torch.Tensor | None = None,
    allowed: torch.Tensor | None = None,
) -> torch.Tensor:
    """softmax(scale · q keysᵀ) values: q [sequences, heads, new, dim], keys and values [sequences, kv heads, tokens, …].

    Returns [sequences·new, heads·value dim]. One new token's heads of a group read the group's keys together. chunked: the
    window begins anew every window tokens. sinks: a logit for each head that takes weight from the tokens. allowed
    [sequences, 1, new, tokens]: which tokens are attended to, in place of all those up to the new one.
    """
    sequences, heads, new, _ = q.shape
    if window is not None and new == 1:
        last = span.seen(window, chunked=chunked)
        keys, values = keys[:, :, -last:], values[:, :, -last:]
    if sinks is not None:
        return _with_sinks(q, keys, values, None if new == 1 else span.mask(window, chunked=chunked), scale, sinks)
    if new == 1:
        grouped = q.reshape(sequences, keys.shape[1], heads // keys.shape[1], -1)
        y = functional.scaled_dot_product_attention(grouped, keys, values, scale=scale).reshape(
            sequences, heads * values.shape[-1]
        )
        return y
    mask = span.mask(window, chunked=chunked) if allowed is None else allowed
    causal = allowed is None and span.context == 0 and (window is None or window >= new)
    y = functional.scaled_dot_product_attention(
        q, keys, values, None if causal else mask, is_causal=causal, scale=scale, enable_gqa=heads != keys.shape[1]
    )
    return y.transpose(1, 2).reshape(sequences * new, heads * values.shape[-1])


def _with_sinks(
    q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None, scale: float, sinks: torch.Tensor
) -> torch.Tensor:
    """As attend; the softmax is over the tokens and the sink, which has no value."""
    sequences, heads, new, _ = q.shape
    group = heads // keys.shape[1]
    grouped = q.reshape(sequences, keys.shape[1], group * new, -1)
    scores = (grouped @ keys.transpose(2, 3)).float().view(sequences, heads, new, -1) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    sink = sinks.float().view(1, heads, 1, 1).expand(sequences, heads, new, 1)
    weights = torch.cat((scores, sink), -1).softmax(-1)[..., :-1].to(values.dtype)
    y = weights.view(sequences, keys.shape[1], group * new, -1) @ values
    return y.view(sequences, heads, new, -1).transpose(1, 2).reshape(sequences * new, -1)


def blocks(x: torch.Tensor, count: int) -> torch.Tensor:
    """Columns as blocks: [rows, count·n] → [count, rows, n]."""
    return x.view(x.shape[0], count, -1).transpose(0, 1)


def side_by_side(x: torch.Tensor) -> torch.Tensor:
    """Blocks as columns: [count, rows, n] → [rows, count·n]."""
    return x.transpose(0, 1).reshape(x.shape[1], -1)
