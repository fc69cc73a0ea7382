"""Linear attention by the gated delta rule, its heads cut over the tensor ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import GatedDelta
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span
from inferometer.parallel.layers.states.recurrent import Convolution, RecurrentState


class DeltaAttention:
    """S ← g·S + β·k (v − g·Sᵀk)ᵀ, y = Sᵀq per value head, q, k, v through a short convolution (Yang et al. 2024, eq. 10).

    Each rank has its value heads and the key heads that belong to them, the columns of every projection that make them, and
    the rows of W_o behind them: what it returns are partial sums over the tensor axis.
    """

    def __init__(self, site: Site, d_model: int, delta: GatedDelta) -> None:
        self.tape, self.dims = site.tape, delta
        tensor = site.axes["tensor"]
        self.ranks = tensor.size
        keys, values = delta.key_heads * delta.key_dim, delta.heads * delta.value_dim
        parts = (("q", keys), ("k", keys), ("v", values))
        rows = site.axes["width"].share(d_model)
        matrices = [site.matrix(name, (d_model, width), rows, tensor.share(width)) for name, width in parts]
        self.qkv = torch.cat(matrices, 1)
        self.convolution = Convolution(site, delta.kernel, [(name, width, tensor.share(width)) for name, width in parts])
        self.z = site.matrix("z", (d_model, values), rows, tensor.share(values))
        self.b = site.matrix("b", (d_model, delta.heads), rows, tensor.share(delta.heads))
        self.a = site.matrix("a", (d_model, delta.heads), rows, tensor.share(delta.heads))
        own = tensor.share(delta.heads)
        self.dt, self.rate = site.bias("dt", delta.heads, own, 1), site.bias("rate", delta.heads, own, 1)
        self.norm = site.scale("norm", delta.value_dim)
        self.out = site.matrix("out", (values, d_model), tensor.share(values), rows)
        self.heads, self.key_heads = delta.heads // self.ranks, delta.key_heads // self.ranks

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[RecurrentState, ...]:
        """limit: of no account, the state is of one size."""
        a = self.dims
        recent = self.qkv.new_zeros(sequences, a.kernel - 1, self.qkv.shape[1])
        return (RecurrentState((sequences, self.heads, a.key_dim, a.value_dim), recent),)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[RecurrentState, ...]) -> torch.Tensor:
        """[sequences·new, d] → partial sums of the same shape."""
        a, (kept,) = self.dims, caches
        if span.context == 0:
            kept.begin()
        qkv = self.tape.matmul("attention.in_proj_qkv", x, self.qkv)
        z = self.tape.matmul("attention.in_proj_z", x, self.z)
        b = self.tape.matmul("attention.in_proj_b", x, self.b)
        rate = self.tape.matmul("attention.in_proj_a", x, self.a)
        channels, state = self.qkv.shape[1], self.heads * a.key_dim * a.value_dim
        with self.tape.attention("attention.core", len(x) * (6 * state + 2 * channels * a.kernel)):
            shape = span.sequences, span.new
            q, k, v = self._convolved(qkv.view(*shape, -1), kept)
            decay = torch.exp(
                -self.rate.float().exp() * functional.softplus(rate.view(*shape, -1).float() + self.dt.float())
            )
            y = recurrence(q, k, v, decay, b.view(*shape, -1).float().sigmoid(), kept.state)
            y = functional.rms_norm(y.to(x.dtype), (a.value_dim,), self.norm, EPSILON).reshape(len(x), -1)
            y = y * functional.silu(z)
        return self.tape.matmul("attention.out", y, self.out)

    def _convolved(self, qkv: torch.Tensor, kept: RecurrentState) -> tuple[torch.Tensor, ...]:
        """[sequences, new, channels] → queries and keys of length 1, values: [sequences, new, heads, dim] each."""
        a, keys = self.dims, self.key_heads * self.dims.key_dim
        q, k, v = self.convolution(qkv, kept).split([keys, keys, self.heads * a.value_dim], -1)
        group = self.heads // self.key_heads
        pair = (functional.normalize(part.unflatten(-1, (-1, a.key_dim)).float(), dim=-1) for part in (q, k))
        q, k = (part.repeat_interleave(group, 2) for part in pair)
        return q * a.key_dim**-0.5, k, v.unflatten(-1, (-1, a.value_dim)).float()


def recurrence(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, decay: torch.Tensor, beta: torch.Tensor, state: torch.Tensor
) -> torch.Tensor:
    """Token by token → [sequences, new, heads, value dim]; state [sequences, heads, key dim, value dim] changes in place."""
    found = []
    for token in range(q.shape[1]):
        key, query = k[:, token, :, :, None], q[:, token, :, :, None]
        state *= decay[:, token, :, None, None]
        wrong = (v[:, token, :, None, :] - key.transpose(-1, -2) @ state) * beta[:, token, :, None, None]
        state += key @ wrong
        found.append((query.transpose(-1, -2) @ state).squeeze(-2))
    return torch.stack(found, 1)
