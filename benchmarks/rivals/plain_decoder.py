"""The rival of `engine_step.py`: an unsharded decoder as a plain torch module, written to be fast.

Nothing of the engine but the source of the weights: nn.Linear, scaled_dot_product_attention, rms_norm, silu, a cache of
fixed room. What makes a difference on a CPU is chosen in its favour: projections of one input are one matmul (unless a
tensor-parallel plan has to cut them), latents are attended without expanding them, matrices lie in memory as a skinny
product reads them best.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from inferometer.emulator.workload.shape import Experts, Heads, Latent, Shape
from inferometer.parallel.weights import Weights

EPSILON = 1e-6
THETA = 10_000.0


class Decoder(nn.Module):
    """Tokens [batch, new] in, logits [batch, vocab] of each sequence's last one out; shapes of the Llama kind.

    limit: tokens that its cache has room for. fused: see SideBySide.
    """

    def __init__(self, shape: Shape, weights: Weights, limit: int, *, fused: bool = True) -> None:
        super().__init__()
        d, table = shape.d_model, (shape.d_model, shape.vocab)
        self.embedding = nn.Embedding.from_pretrained(weights.matrix("embedding", table).t().contiguous())
        self.layers = nn.ModuleList(Layer(shape, weights, n, limit, fused=fused) for n in range(shape.layers))
        self.norm = norm(weights, "head.norm", d)
        self.head = linear(weights.matrix("embedding" if shape.tied_embeddings else "head", table))
        rotary = shape.attention.rope_dim if isinstance(shape.attention, Latent) else shape.attention.head_dim
        angles = torch.arange(limit)[:, None] * THETA ** (-torch.arange(rotary // 2) / (rotary // 2))
        self.register_buffer("cos", angles.cos().to(weights.dtype))
        self.register_buffer("sin", angles.sin().to(weights.dtype))

    def forward(self, tokens: torch.Tensor, context: int) -> torch.Tensor:
        """context: tokens of every sequence in the cache; 0: a prompt, otherwise new = 1."""
        here = slice(context, context + tokens.shape[1])
        rotation = self.cos[here], self.sin[here]
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, context, rotation)
        return self.head(self.norm(x[:, -1]))


class Layer(nn.Module):
    def __init__(self, shape: Shape, weights: Weights, number: int, limit: int, *, fused: bool) -> None:
        super().__init__()
        d, name, a = shape.d_model, f"layer{number}.", shape.attention
        self.norm, self.second_norm = (norm(weights, f"{name}{part}.norm", d) for part in ("attention", "ffn"))
        attention = LatentAttention if isinstance(a, Latent) else Attention
        self.attention = attention(weights, f"{name}attention.", d, a, limit, fused=fused)
        if shape.has_experts(number):
            self.feed_forward: nn.Module = Mixture(weights, f"{name}ffn.", d, shape.experts, fused=fused)
        else:
            self.feed_forward = FeedForward(weights, f"{name}ffn.", d, shape.d_ff, fused=fused)

    def forward(self, x: torch.Tensor, context: int, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        x = x + self.attention(self.norm(x), context, rotation)
        return x + self.feed_forward(self.second_norm(x))


class SideBySide(nn.Module):
    """Several projections of one input: as one matmul (fused), or one by one, as a tensor-parallel plan wants them."""

    def __init__(self, matrices: list[torch.Tensor], *, fused: bool) -> None:
        super().__init__()
        self.widths = [matrix.shape[1] for matrix in matrices]
        self.parts = nn.ModuleList(linear(matrix) for matrix in ([torch.cat(matrices, 1)] if fused else matrices))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        products = tuple(part(x) for part in self.parts)
        return products if len(products) > 1 else products[0].split(self.widths, -1)


class Attention(nn.Module):
    def __init__(self, weights: Weights, name: str, d: int, heads: Heads, limit: int, *, fused: bool) -> None:
        super().__init__()
        self.head_dim = heads.head_dim
        inner, shared = heads.query_heads * heads.head_dim, heads.kv_heads * heads.head_dim
        widths = {"q": inner, "k": shared, "v": shared}
        self.qkv = SideBySide([weights.matrix(name + part, (d, width)) for part, width in widths.items()], fused=fused)
        self.out = linear(weights.matrix(f"{name}out", (inner, d)))
        self.keys, self.values = Cache(limit), Cache(limit)

    def forward(self, x: torch.Tensor, context: int, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        q, k, v = (part.unflatten(-1, (-1, self.head_dim)).transpose(1, 2) for part in self.qkv(x))
        keys, values = self.keys.extend(rotated(k, *rotation), context), self.values.extend(v, context)
        return self.out(attend(rotated(q, *rotation), keys, values, self.head_dim**-0.5))


class LatentAttention(nn.Module):
    """Multi-head latent attention with its up-projections absorbed into queries and sums (DeepSeek-V2, section 2.1.2)."""

    def __init__(self, weights: Weights, name: str, d: int, latent: Latent, limit: int, *, fused: bool) -> None:
        super().__init__()
        self.dims = a = latent
        assert a.query_rank is not None, "queries without a latent of their own are not written here"
        matrices = [("query_down", a.query_rank), ("latent_down", a.kv_rank + a.rope_dim)]
        self.down = SideBySide([weights.matrix(name + part, (d, width)) for part, width in matrices], fused=fused)
        self.query_norm = norm(weights, f"{name}query_norm", a.query_rank)
        self.latent_norm = norm(weights, f"{name}latent_norm", a.kv_rank)
        queries = a.query_heads * (a.nope_dim + a.rope_dim)
        self.query_up = linear(weights.matrix(f"{name}query_up", (a.query_rank, queries)))
        up = weights.matrix(f"{name}latent_up", (a.kv_rank, a.query_heads * (a.nope_dim + a.value_dim)))
        key_up, value_up = up.view(a.kv_rank, a.query_heads, -1).split([a.nope_dim, a.value_dim], -1)
        self.key_up = nn.Parameter(key_up.permute(1, 2, 0).contiguous())  # [heads, nope, kv_rank]
        self.value_up = nn.Parameter(value_up.transpose(0, 1).contiguous())  # [heads, kv_rank, value]
        self.out = linear(weights.matrix(f"{name}out", (a.query_heads * a.value_dim, d)))
        self.latents = Cache(limit)

    def forward(self, x: torch.Tensor, context: int, rotation: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        a = self.dims
        q, latents = self.down(x)
        q = self.query_up(self.query_norm(q)).unflatten(-1, (a.query_heads, -1)).transpose(1, 2)
        nope, rope = q.split([a.nope_dim, a.rope_dim], -1)
        q = torch.cat((torch.einsum("bhnd,hdc->bhnc", nope, self.key_up), rotated(rope, *rotation)), -1)
        c, k_rope = latents.split([a.kv_rank, a.rope_dim], -1)
        kept = self.latents.extend(torch.cat((self.latent_norm(c), rotated(k_rope, *rotation)), -1)[:, None], context)
        y = attend(q, kept, kept, (a.nope_dim + a.rope_dim) ** -0.5).unflatten(-1, (a.query_heads, -1))
        return self.out(torch.einsum("bnhc,hcv->bnhv", y[..., : a.kv_rank], self.value_up).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, weights: Weights, name: str, d: int, d_ff: int, *, fused: bool) -> None:
        super().__init__()
        self.up = SideBySide([weights.matrix(name + part, (d, d_ff)) for part in ("gate", "up")], fused=fused)
        self.down = linear(weights.matrix(f"{name}down", (d_ff, d)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = self.up(x)
        return self.down(functional.silu(gate) * up)


class Mixture(nn.Module):
    """Copies of the tokens sorted by expert, each expert's together through its feed-forward."""

    def __init__(self, weights: Weights, name: str, d: int, experts: Experts, *, fused: bool) -> None:
        super().__init__()
        self.active = experts.active
        self.router = linear(weights.matrix(f"{name}router", (d, experts.count)))
        self.balance = None
        if experts.router_bias:
            self.balance = nn.Parameter(weights.vector(f"{name}router_bias", experts.count) / experts.count)
        self.experts = nn.ModuleList(
            FeedForward(weights, f"{name}expert{e}.", d, experts.d_ff, fused=fused) for e in range(experts.count)
        )
        self.shared = None
        if experts.shared:
            self.shared = FeedForward(weights, f"{name}shared.", d, experts.shared * experts.d_ff, fused=fused)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(0, 1)
        scores = self.router(tokens).softmax(-1)
        chosen = (scores if self.balance is None else scores + self.balance).topk(self.active).indices
        gates = scores.gather(-1, chosen)
        gates = gates / gates.sum(-1, keepdim=True)
        copies = chosen.flatten()
        order = copies.argsort()
        counts = copies.bincount(minlength=len(self.experts)).tolist()
        rows = tokens[order // self.active].split(counts)
        y = torch.empty(len(copies), tokens.shape[1], dtype=x.dtype)
        y[order] = torch.cat([expert(some) for expert, some in zip(self.experts, rows) if len(some)])
        y = (gates.unsqueeze(-1) * y.view(*chosen.shape, -1)).sum(1).view_as(x)
        return y if self.shared is None else y + self.shared(x)


class Cache:
    """[batch, heads, limit, dim], made when the first prompt comes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.kept = torch.empty(0)

    def extend(self, new: torch.Tensor, context: int) -> torch.Tensor:
        """new [batch, heads, new, dim] behind the first context tokens; all that are kept now."""
        if not len(self.kept):
            self.kept = new.new_zeros(*new.shape[:2], self.limit, new.shape[3])
        end = context + new.shape[2]
        self.kept[:, :, context:end] = new
        return self.kept[:, :, :end]


def attend(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scale: float) -> torch.Tensor:
    """q [batch, heads, new, dim] → [batch, new, heads·dim]. One token's heads of a group read its keys as rows of one q.

    (enable_gqa, which says the same, takes two to three times as long on a CPU.)
    """
    attention = functional.scaled_dot_product_attention
    if q.shape[2] == 1:
        grouped = q.reshape(q.shape[0], keys.shape[1], -1, q.shape[3])
        return attention(grouped, keys, values, scale=scale).reshape(q.shape[0], 1, -1)
    return attention(q, keys, values, is_causal=True, scale=scale, enable_gqa=True).transpose(1, 2).flatten(2)


def rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions along the last dimension but one, halves of the last as pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def linear(matrix: torch.Tensor) -> nn.Linear:
    """x @ matrix [inner, outer] as a module. Its weight is a view of matrix, by rows of which a skinny product is faster."""
    module = nn.Linear(*matrix.shape, bias=False, device="meta")
    module.weight = nn.Parameter(matrix.t(), requires_grad=False)
    return module


def norm(weights: Weights, name: str, width: int) -> nn.RMSNorm:
    module = nn.RMSNorm(width, EPSILON, device="meta")
    module.weight = nn.Parameter(weights.vector(name, width, around=1.0), requires_grad=False)
    return module
