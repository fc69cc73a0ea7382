"""Norms of the residual stream, whole or cut over the width axis."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.layers.site import Site

EPSILON = 1e-6


class Norm:
    """x · scale / rms(x); with a bias, the layer norm (x − mean) · scale / std + bias.

    Where a rank holds d/√tp elements of every row, the rows' sums (of squares, and with a bias of elements) are added up
    over the width axis first, in float32.
    """

    def __init__(self, site: Site, name: str, d_model: int, *, bias: bool) -> None:
        self.tape = site.tape
        self.name = name
        self.d_model = d_model
        part = site.axes["width"].share(d_model)
        self.scale = site.scale(name, d_model, part)
        self.bias = site.weights.vector(f"{site.prefix}{name}_bias", d_model, part) if bias else None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, d/√tp] → the same."""
        if self.tape.axes["width"].size == 1:
            with self.tape.stream(self.name):
                if self.bias is None:
                    return functional.rms_norm(x, (self.d_model,), self.scale, EPSILON)
                return functional.layer_norm(x, (self.d_model,), self.scale, self.bias, EPSILON)
        wide = x.float()
        sums = [wide.square().sum(-1)] if self.bias is None else [wide.square().sum(-1), wide.sum(-1)]
        means = self.tape.all_reduce(f"{self.name}_reduce", "width", torch.stack(sums)) / self.d_model
        with self.tape.stream(self.name):
            if self.bias is None:
                return (wide * torch.rsqrt(means[0] + EPSILON)[:, None]).to(x.dtype) * self.scale
            centred = wide - means[1][:, None]
            normed = centred * torch.rsqrt(means[0] - means[1].square() + EPSILON)[:, None]
            return (normed * self.scale + self.bias).to(x.dtype)
