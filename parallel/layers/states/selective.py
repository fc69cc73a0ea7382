"""The first Mamba in place of attention (Gu and Dao 2023), its channels cut over the tensor ranks."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from inferometer.parallel.layers.architecture import Mamba1
from inferometer.parallel.layers.norm import EPSILON
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span
from inferometer.parallel.layers.states.recurrent import Convolution, RecurrentState


class Selective:
    """h ← e^{A·dt} h + dt·x B, y = h·C + D·x per channel, whose dt, B and C are made of all channels; y gated by z.

    Each rank has its channels. dt, B and C are sums over them, so the ranks add their parts up before the state's step; what
    the layer returns are partial sums over the tensor axis as well.
    """

    def __init__(self, site: Site, d_model: int, mamba: Mamba1) -> None:
        self.tape, self.dims = site.tape, mamba
        tensor, inner = site.axes["tensor"], mamba.heads
        own = tensor.share(inner)
        made = {"dt": mamba.dt_rank, "B": mamba.state_size, "C": mamba.state_size}
        self.widths = list(made.values())
        self.into = torch.cat([site.matrix(name, (d_model, inner), None, own) for name in "xz"], 1)
        self.into_bias = self.out_bias = None
        if mamba.proj_bias:
            self.into_bias = torch.cat([site.bias(f"{name}_bias", inner, own, 1) for name in "xz"])
            self.out_bias = site.bias("out_bias", d_model, None, tensor.size)
        self.convolution = Convolution(site, mamba.kernel, [("x", inner, own)], bias=mamba.conv_bias)
        self.choice = torch.cat([site.matrix(name, (inner, width), own, None) for name, width in made.items()], 1)
        self.step = site.matrix("step", (mamba.dt_rank, inner), None, own)
        self.step_bias = site.bias("step_bias", inner, own, 1)
        self.rate = site.matrix("rate", (inner, mamba.state_size), own, None)
        self.skip = site.bias("skip", inner, own, 1)
        self.norms = [site.scale(f"{name}_norm", width) for name, width in made.items()] if mamba.inner_norms else []
        self.out = site.matrix("out", (inner, d_model), own, None)

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[RecurrentState, ...]:
        """limit: of no account, the state is of one size."""
        channels = len(self.rate)
        recent = self.into.new_zeros(sequences, self.dims.kernel - 1, channels)
        return (RecurrentState((sequences, channels, self.dims.state_size), recent),)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[RecurrentState, ...]) -> torch.Tensor:
        """[sequences·new, d] → partial sums of the same shape."""
        (kept,) = caches
        if span.context == 0:
            kept.begin()
        shape = span.sequences, span.new
        mixed, z = self.tape.matmul("attention.in_proj", x, self.into, self.into_bias).chunk(2, 1)
        mixed = self.convolution(mixed.reshape(*shape, -1), kept).reshape(len(x), -1)
        made = self.tape.matmul("attention.x_proj", mixed, self.choice)
        made = self.tape.all_reduce("attention.x_proj_reduce", "tensor", made)
        parts = list(made.split(self.widths, 1))
        if self.norms:
            parts = [functional.rms_norm(part, part.shape[1:], scale, EPSILON) for part, scale in zip(parts, self.norms)]
        dt = self.tape.matmul("attention.dt_proj", parts[0], self.step, self.step_bias)
        flop = len(self.rate) * (4 * self.dims.state_size + 2 * self.dims.kernel)
        with self.tape.attention("attention.core", len(x) * flop):
            values, step = (part.reshape(*shape, -1).float() for part in (mixed, dt))
            b, c = (part.reshape(*shape, -1).float() for part in parts[1:])
            y = selected(values, b, c, functional.softplus(step), -self.rate.float().exp(), kept.state)
            y = (y + self.skip.float() * values).reshape(len(x), -1) * functional.silu(z.float())
        return self.tape.matmul("attention.out", y.to(x.dtype), self.out, self.out_bias)


def selected(
    values: torch.Tensor, b: torch.Tensor, c: torch.Tensor, step: torch.Tensor, rate: torch.Tensor, state: torch.Tensor
) -> torch.Tensor:
    """Token by token → [sequences, new, channels]; state [sequences, channels, state size] changes in place.

    values, step [sequences, new, channels]; b, c [sequences, new, state size]; rate [channels, state size].
    """
    found = []
    for token in range(values.shape[1]):
        dt = step[:, token, :, None]
        state *= (dt * rate).exp()
        state += dt * values[:, token, :, None] * b[:, token, None, :]
        found.append((state @ c[:, token, :, None]).squeeze(-1))
    return torch.stack(found, 1)
