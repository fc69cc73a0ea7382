"""The unsharded model as a plain torch module: the answer that every sharded result is compared with.

Written from the equations, with nothing of the sharded layers but the source of the weights and their names.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from inferometer.parallel.layers.architecture import Architecture, Experts, GatedDelta, Heads, Latent
from inferometer.parallel.weights import Weights

Routing = dict[int, torch.Tensor]


class Reference(nn.Module):
    """A decoder with its whole KV cache. Tokens [batch, new] in, logits [batch, vocab] of each sequence's last one out.

    ``routing`` holds after each call, by layer, the experts [batch, new, active] that the tokens went to.
    """

    def __init__(self, model: Architecture, weights: Weights) -> None:
        super().__init__()
        d = model.d_model
        self.model = model
        self.embedding = nn.Parameter(weights.matrix("embedding", (d, model.vocab)).t().contiguous())
        self.positions = None
        if model.learned_positions:
            self.positions = nn.Parameter(weights.matrix("positions", (model.learned_positions, d)))
        self.layers = nn.ModuleList(ReferenceLayer(model, weights, number) for number in range(model.layers))
        self.norm = ReferenceNorm(weights, "head.norm", d, bias=model.norm_bias)
        head = None if model.tied_embeddings else weights.matrix("head", (d, model.vocab)).t().contiguous()
        self.head = self.embedding if head is None else nn.Parameter(head)
        self.head_bias = nn.Parameter(weights.vector("head.bias", model.vocab)) if model.head_bias else None
        self.context = 0
        self.routing: Routing = {}

    def forward(self, tokens: torch.Tensor, routing: Routing | None = None) -> torch.Tensor:
        """routing: experts to take instead of the routers' own choice."""
        x = self.embedding[tokens]
        if self.positions is not None:
            x = x + self.positions[self.context : self.context + tokens.shape[1]]
        for number, layer in enumerate(self.layers):
            x = layer(x, self.context, None if routing is None else routing.get(number))
            if layer.mixture is not None:
                self.routing[number] = layer.mixture.chosen
        self.context += tokens.shape[1]
        return nn.functional.linear(self.norm(x[:, -1]), self.head, self.head_bias)

    def forget(self) -> None:
        """Begin with new sequences."""
        self.context = 0
        for layer in self.layers:
            layer.attention.past = None


class ReferenceLayer(nn.Module):
    def __init__(self, model: Architecture, weights: Weights, number: int) -> None:
        super().__init__()
        prefix, d, layer = f"layer{number}.", model.d_model, model.stack[number]
        self.norm = ReferenceNorm(weights, f"{prefix}attention.norm", d, bias=model.norm_bias)
        attention, feed_forward = cast(Any, layer.attention), cast(Any, layer.feed_forward)
        inside = f"{prefix}attention."
        if attention.kind == "gated delta":
            self.attention: nn.Module = ReferenceDelta(weights, inside, d, attention)
        elif attention.kind == "latent":
            self.attention = ReferenceLatent(weights, inside, d, attention)
        else:
            self.attention = ReferenceHeads(weights, inside, d, attention, not model.learned_positions)
        self.mixture: ReferenceMixture | None = None
        inside = f"{prefix}ffn."
        if feed_forward.kind == "experts":
            self.mixture = ReferenceMixture(weights, inside, d, feed_forward)
        else:
            dials = {"gated": feed_forward.gated, "bias": feed_forward.bias}
            self.feed_forward = ReferenceFeedForward(weights, inside, d, feed_forward.d_ff, **dials)
        self.joint = layer.parallel
        names = ("attention.post_norm", "ffn.post_norm") if layer.norms == 4 else ()
        self.behind = nn.ModuleList(ReferenceNorm(weights, f"{prefix}{name}", d, bias=model.norm_bias) for name in names)
        if not self.joint:
            self.second_norm = ReferenceNorm(weights, f"{prefix}ffn.norm", d, bias=model.norm_bias)

    def forward(self, x: torch.Tensor, context: int, chosen: torch.Tensor | None) -> torch.Tensor:
        if self.joint:
            h = self.norm(x)
            return x + self.attention(h, context) + self.feed_forward(h)
        y = self.attention(self.norm(x), context)
        x = x + (self.behind[0](y) if self.behind else y)
        h = self.second_norm(x)
        y = self.feed_forward(h) if self.mixture is None else self.mixture(h, chosen)
        return x + (self.behind[1](y) if self.behind else y)


class ReferenceNorm(nn.Module):
    def __init__(self, weights: Weights, name: str, d: int, *, bias: bool = False) -> None:
        super().__init__()
        self.scale = nn.Parameter(weights.vector(name, d, around=1.0))
        self.bias = nn.Parameter(weights.vector(f"{name}_bias", d)) if bias else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = x.float()
        if self.bias is not None:
            wide = wide - wide.mean(-1, keepdim=True)
        normed = wide / torch.sqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        y = normed.to(x.dtype) * self.scale
        return y if self.bias is None else y + self.bias


class ReferenceHeads(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, heads: Heads, rotary: bool) -> None:
        super().__init__()
        self.heads, self.window, self.rotary = heads, heads.window, rotary and heads.rotary
        widths = {part: getattr(heads, f"{who}_heads") * heads.head_dim for part, who in zip("qkv", ("query", "kv", "kv"))}
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
            self.k_norm = ReferenceNorm(weights, f"{prefix}k_norm", heads.head_dim)
        self.past: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, x: torch.Tensor, context: int) -> torch.Tensor:
        def heads_of(part: str) -> torch.Tensor:
            y = x @ self.w[part]
            y = y + self.b[part] if part in self.b else y
            return y.unflatten(-1, (-1, self.heads.head_dim)).transpose(1, 2)

        q, k, v = heads_of("q"), heads_of("k"), heads_of("v")
        if self.heads.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        if self.rotary:
            q, k = rotated(q, context), rotated(k, context)
        if self.past is not None:
            k, v = torch.cat((self.past[0], k), 2), torch.cat((self.past[1], v), 2)
        self.past = k, v
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

    def forward(self, x: torch.Tensor, context: int) -> torch.Tensor:
        a = self.dims
        q = x if self.query_norm is None else self.query_norm(x @ self.w["query_down"])
        q = (q @ self.w["query_up"]).unflatten(-1, (a.query_heads, -1)).transpose(1, 2)
        q = torch.cat((q[..., : a.nope_dim], rotated(q[..., a.nope_dim :], context)), -1)
        down = x @ self.w["latent_down"]
        latents, k_rope = self.latent_norm(down[..., : a.kv_rank]), rotated(down[..., a.kv_rank :], context)
        new = torch.cat((latents, k_rope), -1)
        self.past = new if self.past is None else torch.cat((self.past, new), 1)
        kv = (self.past[..., : a.kv_rank] @ self.w["latent_up"]).unflatten(-1, (a.query_heads, -1)).transpose(1, 2)
        rope = self.past[..., a.kv_rank :].unsqueeze(1).expand(-1, a.query_heads, -1, -1)
        k = torch.cat((kv[..., : a.nope_dim], rope), -1)
        return attention(q, k, kv[..., a.nope_dim :], context, self.window) @ self.w["out"]


class ReferenceDelta(nn.Module):
    """All tokens since the first are gone through anew in every step: the state that is kept must agree with it."""

    def __init__(self, weights: Weights, prefix: str, d: int, delta: GatedDelta) -> None:
        super().__init__()
        self.dims = delta
        widths = {"q": delta.key_heads * delta.key_dim, "k": delta.key_heads * delta.key_dim}
        widths["v"] = delta.heads * delta.value_dim
        shapes = {name: (d, width) for name, width in widths.items()}
        shapes |= {f"conv_{name}": (delta.kernel, width) for name, width in widths.items()}
        shapes |= {"z": (d, widths["v"]), "b": (d, delta.heads), "a": (d, delta.heads), "out": (widths["v"], d)}
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        self.dt = nn.Parameter(weights.vector(f"{prefix}dt", delta.heads))
        self.rate = nn.Parameter(weights.vector(f"{prefix}rate", delta.heads))
        self.norm = ReferenceNorm(weights, f"{prefix}norm", delta.value_dim)
        self.past: torch.Tensor | None = None

    def forward(self, x: torch.Tensor, context: int) -> torch.Tensor:
        a, new = self.dims, x.shape[1]
        x = x if self.past is None else torch.cat((self.past, x), 1)
        self.past = x
        q, k, v = (self._through(x, name) for name in "qkv")
        per_head = {"q": (q, a.key_dim), "k": (k, a.key_dim), "v": (v, a.value_dim)}
        q, k, v = (part.unflatten(-1, (-1, dim)).float() for part, dim in per_head.values())
        q, k = (part / part.norm(dim=-1, keepdim=True).clamp_min(1e-12) for part in (q, k))
        owner = torch.arange(a.heads, device=x.device) // (a.heads // a.key_heads)
        q, k = q[:, :, owner] / a.key_dim**0.5, k[:, :, owner]
        beta = torch.sigmoid((x @ self.w["b"]).float())
        kept = torch.exp(-torch.exp(self.rate.float()) * nn.functional.softplus((x @ self.w["a"]).float() + self.dt.float()))
        state = x.new_zeros(x.shape[0], a.heads, a.key_dim, a.value_dim, dtype=torch.float32)
        ys = []
        for t in range(x.shape[1]):
            state = kept[:, t, :, None, None] * state
            error = v[:, t] - torch.einsum("bhkv,bhk->bhv", state, k[:, t])
            state = state + torch.einsum("bhk,bhv,bh->bhkv", k[:, t], error, beta[:, t])
            ys.append(torch.einsum("bhkv,bhk->bhv", state, q[:, t]))
        y = self.norm(torch.stack(ys, 1).to(x.dtype)).flatten(2) * nn.functional.silu(x @ self.w["z"])
        return (y @ self.w["out"])[:, -new:]

    def _through(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """The projection of that name and its causal convolution."""
        y, taps = x @ self.w[name], self.w[f"conv_{name}"]
        padded = nn.functional.pad(y, (0, 0, len(taps) - 1, 0))
        return nn.functional.silu(sum(padded[:, tap : tap + y.shape[1]] * taps[tap] for tap in range(len(taps))))


class ReferenceFeedForward(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, d_ff: int, *, gated: bool, bias: bool) -> None:
        super().__init__()
        self.gated = gated
        shapes = {"up": (d, d_ff), "down": (d_ff, d)} | ({"gate": (d, d_ff)} if gated else {})
        self.w = nn.ParameterDict({name: weights.matrix(prefix + name, shape) for name, shape in shapes.items()})
        biases = {name: weights.vector(f"{prefix}{name}_bias", shape[1]) for name, shape in shapes.items()} if bias else {}
        self.b = nn.ParameterDict(biases)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        up = self._linear("up", x)
        h = nn.functional.silu(self._linear("gate", x)) * up if self.gated else nn.functional.gelu(up)
        return self._linear("down", h)

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        y = x @ self.w[name]
        return y + self.b[name] if name in self.b else y


class ReferenceMixture(nn.Module):
    def __init__(self, weights: Weights, prefix: str, d: int, experts: Experts) -> None:
        super().__init__()
        self.active = experts.active
        self.router = nn.Parameter(weights.matrix(f"{prefix}router", (d, experts.count)))
        balance = weights.vector(f"{prefix}router_bias", experts.count) / experts.count if experts.router_bias else None
        self.balance = nn.Parameter(balance) if balance is not None else None
        dials = {"gated": experts.gated, "bias": experts.bias}
        self.experts = nn.ModuleList(
            ReferenceFeedForward(weights, f"{prefix}expert{e}.", d, experts.d_ff, **dials) for e in range(experts.count)
        )
        self.shared = None
        if experts.shared_width:
            self.shared = ReferenceFeedForward(weights, f"{prefix}shared.", d, experts.shared_width, **dials)
        self.shared_gate = nn.Parameter(weights.matrix(f"{prefix}shared_gate", (d, 1))) if experts.shared_gate else None
        self.chosen = torch.empty(0)

    def forward(self, x: torch.Tensor, chosen: torch.Tensor | None) -> torch.Tensor:
        scores = (x @ self.router).float().softmax(-1)
        ranked = scores if self.balance is None else scores + self.balance
        self.chosen = ranked.topk(self.active, -1).indices if chosen is None else chosen
        picked = scores.gather(-1, self.chosen)
        picked = (picked / picked.sum(-1, keepdim=True)).to(x.dtype)
        y = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            gate = (picked * (self.chosen == e)).sum(-1)
            tokens = (self.chosen == e).any(-1)
            if tokens.any():
                y[tokens] += gate[tokens][:, None] * expert(x[tokens])
        if self.shared is None:
            return y
        added = self.shared(x)
        return y + (added if self.shared_gate is None else torch.sigmoid(x @ self.shared_gate) * added)


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
) -> torch.Tensor:
    """[batch, heads, tokens, dim] each → [batch, new, heads·value dim]. sinks: exp(sink) joins the sum that divides."""
    query = torch.arange(context, k.shape[2], device=q.device)[:, None]
    token = torch.arange(k.shape[2], device=q.device)
    hidden = token > query
    if window is not None:
        hidden |= (token // window != query // window) if chunked else (query - token >= window)
    scores = (q @ k.transpose(2, 3)).float() / q.shape[-1] ** 0.5
    exponents = scores.masked_fill(hidden, float("-inf")).exp()
    total = exponents.sum(-1, keepdim=True)
    if sinks is not None:
        total = total + sinks.float().exp()[:, None, None]
    return ((exponents / total).to(v.dtype) @ v).transpose(1, 2).flatten(2)
