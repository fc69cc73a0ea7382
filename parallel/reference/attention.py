"""Attention with heads and latents, unsharded."""

from __future__ import annotations

import torch
from torch import nn

from inferometer.parallel.layers.architecture import Heads, Latent
from inferometer.parallel.reference.norm import ReferenceNorm
from inferometer.parallel.weights import Weights


class ReferenceHeads(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, heads: Heads, rotary: bool) -> None:
        super().__init__()
        self.heads, self.window, self.rotary = heads, heads.window, rotary and heads.rotary
        parts = "q" if heads.cache == "shared" else "qkv" if heads.values else "qk"
        widths = {part: (heads.query_heads if part == "q" else heads.kv_heads) * heads.head_dim for part in parts}
        self.w = nn.ParameterDict({part: weights.matrix(prefix + part, (d, width)) for part, width in widths.items()})
        self.b = nn.ParameterDict()
        if heads.bias:
            self.b.update({part: weights.vector(f"{prefix}{part}_bias", width) for part, width in widths.items()})
        self.out = nn.Parameter(weights.matrix(f"{prefix}out", (widths["q"], d)))
        self.out_bias = nn.Parameter(weights.vector(f"{prefix}out_bias", d)) if heads.out_bias else None
        self.gate = nn.Parameter(weights.matrix(f"{prefix}g", (d, widths["q"]))) if heads.gate == "query" else None
        self.sinks = nn.Parameter(weights.vector(f"{prefix}sinks", heads.query_heads)) if heads.sinks else None
        if heads.qk_norm:
            self.q_norm = ReferenceNorm(weights, f"{prefix}q_norm", heads.head_dim)
            if "k" in widths:
                self.k_norm = ReferenceNorm(weights, f"{prefix}k_norm", heads.head_dim)
        self.past: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor, context: int, source: ReferenceHeads | None = None) -> torch.Tensor:
        """source: the attention whose keys and values are read, where the layer has none."""

        def heads_of(part: str) -> torch.Tensor:
            y = x @ self.w[part]
            y = y + self.b[part] if part in self.b else y
            return y.unflatten(-1, (-1, self.heads.head_dim)).transpose(1, 2)

        q = self.q_norm(heads_of("q")) if self.heads.qk_norm else heads_of("q")
        q = rotated(q, context) if self.rotary else q
        if source is None:
            k = heads_of("k")
            v = heads_of("v") if self.heads.values else k
            k = self.k_norm(k) if self.heads.qk_norm else k
            k = rotated(k, context) if self.rotary else k
            if self.past is not None:
                k, v = torch.cat((self.past[0], k), 2), torch.cat((self.past[1], v), 2)
            self.past = k, v
        else:
            assert source.past is not None
            k, v = source.past
        group = self.heads.query_heads // self.heads.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        y = attention(q, k, v, context, self.window, chunked=self.heads.chunked, sinks=self.sinks)
        if self.gate is not None:
            y = y * torch.sigmoid(x @ self.gate)
        y = y @ self.out
        return y if self.out_bias is None else y + self.out_bias


class ReferenceLatent(nn.Module):
    """Keys and values are expanded from the latents in every step: the absorbed form must agree with it."""

    def __init__(self, weights: Weights, prefix: str, d: int, latent: Latent) -> None:
        super().__init__()
        self.dims, self.window = latent, latent.window
        queries = latent.query_heads * (latent.nope_dim + latent.rope_dim)
        expanded = latent.query_heads * (latent.nope_dim + latent.value_dim)
        shapes = {
            "query_up": (latent.query_rank or d, queries),
            "latent_down": (d, latent.kv_rank + latent.rope_dim),
            "latent_up": (latent.kv_rank, expanded),
            "out": (latent.query_heads * latent.value_dim, d),
        }
        self.query_norm = None
        if latent.query_rank is not None:
            shapes["query_down"] = (d, latent.query_rank)
            self.query_norm = ReferenceNorm(weights, f"{prefix}query_norm", latent.query_rank)
        self.latent_norm = ReferenceNorm(weights, f"{prefix}latent_norm", latent.kv_rank)
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        self.past: torch.Tensor | None = None
        self.index = None
        if latent.index is not None and latent.index.own:
            self.index = ReferenceIndex(weights, prefix, d, latent)

    def forward(self, x: torch.Tensor, context: int, source: ReferenceLatent | None = None) -> torch.Tensor:
        """source: the attention whose index has chosen the tokens, where the layer has none."""
        a = self.dims
        if self.past is None and self.index is not None:
            self.index.past = None
        q = x if self.query_norm is None else self.query_norm(x @ self.w["query_down"])
        chooser = self if source is None else source
        if self.index is not None:
            self.index(x, q, context)
        q = (q @ self.w["query_up"]).unflatten(-1, (a.query_heads, -1)).transpose(1, 2)
        q = torch.cat((q[..., : a.nope_dim], rotated(q[..., a.nope_dim :], context)), -1)
        down = x @ self.w["latent_down"]
        latents, k_rope = self.latent_norm(down[..., : a.kv_rank]), rotated(down[..., a.kv_rank :], context)
        new = torch.cat((latents, k_rope), -1)
        self.past = new if self.past is None else torch.cat((self.past, new), 1)
        kv = (self.past[..., : a.kv_rank] @ self.w["latent_up"]).unflatten(-1, (a.query_heads, -1)).transpose(1, 2)
        rope = self.past[..., a.kv_rank :].unsqueeze(1).expand(-1, a.query_heads, -1, -1)
        k = torch.cat((kv[..., : a.nope_dim], rope), -1)
        only = None if chooser.index is None else chooser.index.chosen
        return attention(q, k, kv[..., a.nope_dim :], context, self.window, only=only) @ self.w["out"]


class ReferenceIndex(nn.Module):
    """score(t, s) = Σ_h w_h(t)·relu(q_h(t)·k(s)) over tokens s up to t; ``chosen`` [batch, new, tokens] marks the best."""

    def __init__(self, weights: Weights, prefix: str, d: int, latent: Latent) -> None:
        super().__init__()
        assert latent.index is not None and latent.query_rank is not None
        self.dims, self.rope_dim = latent.index, min(latent.rope_dim, latent.index.dim)
        width = self.dims.heads * self.dims.dim
        shapes = {"query": (latent.query_rank, width), "key": (d, self.dims.dim), "weights": (d, self.dims.heads)}
        self.w = nn.ParameterDict({name: weights.matrix(f"{prefix}index_{name}", shape) for name, shape in shapes.items()})
        self.scale = nn.Parameter(weights.vector(f"{prefix}index_norm", self.dims.dim, around=1.0))
        self.shift = nn.Parameter(weights.vector(f"{prefix}index_norm_bias", self.dims.dim))
        self.past: torch.Tensor | None = None
        self.chosen = torch.empty(0)

    def forward(self, x: torch.Tensor, latents: torch.Tensor, context: int) -> None:
        a = self.dims
        q = self._turned((latents @ self.w["query"]).unflatten(-1, (a.heads, a.dim)).transpose(1, 2), context)
        k = x @ self.w["key"]
        k = (k - k.mean(-1, keepdim=True)) / torch.sqrt(k.var(-1, correction=0, keepdim=True) + 1e-6)
        k = self._turned((k * self.scale + self.shift).unsqueeze(1), context).squeeze(1)
        self.past = k if self.past is None else torch.cat((self.past, k), 1)
        scores = torch.einsum("bhtd,bsd->bths", q, self.past).relu().float()
        scores = torch.einsum("bths,bth->bts", scores, (x @ self.w["weights"]).float())
        query = torch.arange(context, context + x.shape[1], device=x.device)[:, None]
        scores = scores.masked_fill(torch.arange(scores.shape[-1], device=x.device) > query, float("-inf"))
        best = scores.sort(-1, descending=True).indices[..., : a.tokens]
        self.chosen = torch.zeros_like(scores, dtype=torch.bool).scatter(-1, best, True)

    def _turned(self, x: torch.Tensor, context: int) -> torch.Tensor:
        return torch.cat((rotated(x[..., : self.rope_dim], context), x[..., self.rope_dim :]), -1)


def rotated(x: torch.Tensor, context: int) -> torch.Tensor:
    """Rotary positions context, context + 1, … along the last dim but one: halves of the last as complex numbers."""
    half = x.shape[-1] // 2
    position = torch.arange(context, context + x.shape[-2], device=x.device)
    angle = position[:, None] / 10_000.0 ** (torch.arange(half, device=x.device) / half)
    wide = x.float()
    turned = torch.complex(wide[..., :half], wide[..., half : 2 * half]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat((turned.real, turned.imag, wide[..., 2 * half :]), -1).to(x.dtype)


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    context: int,
    window: int | None,
    *,
    chunked: bool = False,
    sinks: torch.Tensor | None = None,
    only: torch.Tensor | None = None,
) -> torch.Tensor:
    """[batch, heads, tokens, dim] each → [batch, new, heads·value dim].

    sinks: exp(sink) joins the sum that divides. only [batch, new, tokens]: the tokens that may be attended to.
    """
    query = torch.arange(context, k.shape[2], device=q.device)[:, None]
    token = torch.arange(k.shape[2], device=q.device)
    hidden = token > query
    if window is not None:
        hidden |= (token // window != query // window) if chunked else (query - token >= window)
    if only is not None:
        hidden = hidden | ~only.unsqueeze(1)
    scores = (q @ k.transpose(2, 3)).float() / q.shape[-1] ** 0.5
    exponents = scores.masked_fill(hidden, float("-inf")).exp()
    total = exponents.sum(-1, keepdim=True)
    if sinks is not None:
        total = total + sinks.float().exp()[:, None, None]
    return ((exponents / total).to(v.dtype) @ v).transpose(1, 2).flatten(2)
