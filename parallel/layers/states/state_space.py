"""Mamba-2 in place of attention (Dao and Gu 2024), its heads cut over the tensor ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import Mamba2
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span
from inferometer.parallel.layers.states.recurrent import Convolution, RecurrentState


class StateSpace:
    """h ← e^{−A·dt} h + dt·x Bᵀ, y = h C + D·x per head; x, B, C through a short convolution; y gated, normed by groups.

    Each rank has its heads, the groups of B and C that belong to them (the same group on several ranks, if there are fewer
    groups than ranks), the columns of W_in that make them, and the rows of W_out behind them: what it returns are partial
    sums over the tensor axis. The squares of a group that several ranks have parts of are summed for its norm.
    """

    def __init__(self, site: Site, d_model: int, mamba: Mamba2) -> None:
        self.tape, self.dims = site.tape, mamba
        tensor = site.axes["tensor"]
        inner, width = mamba.heads * mamba.head_dim, mamba.groups * mamba.state_size
        self.ranks, self.heads = tensor.size, mamba.heads // tensor.size
        self.groups = max(1, mamba.groups // tensor.size)
        first = tensor.index * mamba.groups // tensor.size
        self.own_groups = range(first, first + self.groups)
        states = range(first * mamba.state_size, (first + self.groups) * mamba.state_size)
        own, channels = tensor.share(mamba.heads), tensor.share(inner)
        parts = [("z", inner, channels), ("x", inner, channels), ("B", width, states), ("C", width, states)]
        parts.append(("dt", mamba.heads, own))
        self.into = torch.cat([site.matrix(name, (d_model, whole), None, part) for name, whole, part in parts], 1)
        self.into_bias = self.out_bias = None
        if mamba.proj_bias:
            self.into_bias = torch.cat([site.bias(f"{name}_bias", whole, part, 1) for name, whole, part in parts])
            self.out_bias = site.bias("out_bias", d_model, None, tensor.size)
        self.widths = [len(part) for _, _, part in parts]
        self.convolution = Convolution(site, mamba.kernel, parts[1:4], bias=mamba.conv_bias)
        self.dt, self.rate = site.bias("dt_shift", mamba.heads, own, 1), site.bias("rate", mamba.heads, own, 1)
        self.skip = site.bias("skip", mamba.heads, own, 1)
        self.norm = site.scale("norm", inner, channels) if mamba.norm else None
        self.out = site.matrix("out", (inner, d_model), channels, None)

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[RecurrentState, ...]:
        """limit: of no account, the state is of one size."""
        a = self.dims
        recent = self.into.new_zeros(sequences, a.kernel - 1, sum(self.widths[1:4]))
        return (RecurrentState((sequences, self.heads, a.head_dim, a.state_size), recent),)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[RecurrentState, ...]) -> torch.Tensor:
        """[sequences·new, d] → partial sums of the same shape."""
        a, (kept,) = self.dims, caches
        if span.context == 0:
            kept.begin()
        made = self.tape.matmul("attention.in_proj", x, self.into, self.into_bias)
        z, mixed, dt = made.split([self.widths[0], sum(self.widths[1:4]), self.widths[4]], 1)
        flop = 4 * self.heads * a.head_dim * a.state_size + 2 * mixed.shape[1] * a.kernel
        with self.tape.attention("attention.core", len(x) * flop):
            shape = span.sequences, span.new
            values, b, c = self.convolution(mixed.reshape(*shape, -1), kept).split(self.widths[1:4], -1)
            group = self.heads // self.groups
            b, c = (each.unflatten(-1, (-1, a.state_size)).float().repeat_interleave(group, 2) for each in (b, c))
            values = values.unflatten(-1, (-1, a.head_dim)).float()
            step = functional.softplus(dt.reshape(*shape, -1).float() + self.dt.float())
            y = state_space(values, b, c, step, -self.rate.float().exp(), kept.state)
            y = (y + self.skip.float()[:, None] * values).flatten(2).flatten(0, 1) * functional.silu(z.float())
        if self.norm is not None:
            y = self._normed(y) * self.norm.float()
        return self.tape.matmul("attention.out", y.to(x.dtype), self.out, self.out_bias)

    def _normed(self, y: torch.Tensor) -> torch.Tensor:
        """Each group's part of the inner width over its root mean square."""
        by_group = y.unflatten(1, (self.groups, -1))
        squares = by_group.square().sum(-1)
        if self.dims.groups % self.ranks:
            everyones = squares.new_zeros(len(y), self.dims.groups)
            everyones[:, self.own_groups.start : self.own_groups.stop] = squares
            everyones = self.tape.all_reduce("attention.norm_sums", "tensor", everyones)
            squares = everyones[:, self.own_groups.start : self.own_groups.stop]
        width = self.dims.heads * self.dims.head_dim // self.dims.groups
        return (by_group * torch.rsqrt(squares / width + EPSILON)[..., None]).flatten(1)


def state_space(
    values: torch.Tensor, b: torch.Tensor, c: torch.Tensor, step: torch.Tensor, rate: torch.Tensor, state: torch.Tensor
) -> torch.Tensor:
    """Token by token → [sequences, new, heads, dim]; state [sequences, heads, dim, state size] changes in place.

    values [sequences, new, heads, dim]; b, c [sequences, new, heads, size]; step [sequences, new, heads], rate [heads].
    """
    found = []
    for token in range(values.shape[1]):
        dt = step[:, token]
        state *= (dt * rate).exp()[..., None, None]
        state += (dt[..., None] * values[:, token])[..., None] @ b[:, token, :, None, :]
        found.append((state @ c[:, token, :, :, None]).squeeze(-1))
    return torch.stack(found, 1)
