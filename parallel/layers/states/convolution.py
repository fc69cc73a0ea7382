"""A short gated convolution in place of attention (LFM2), its channels cut over the tensor ranks."""

from __future__ import annotations

from typing import Any

import torch

from inferometer.parallel.layers.architecture import ShortConvolution
from inferometer.parallel.layers.site import Site
from inferometer.parallel.layers.span import Span
from inferometer.parallel.layers.states.recurrent import Convolution, RecurrentState


class GatedConvolution:
    """C ∘ conv(B ∘ x), where one matmul makes B, C and x.

    Each rank has its channels: the columns of W_in that make them, the rows of W_out behind them. What it returns are
    partial sums over the tensor axis.
    """

    def __init__(self, site: Site, d_model: int, convolution: ShortConvolution) -> None:
        self.tape, self.kernel = site.tape, convolution.kernel
        tensor, channels, bias = site.axes["tensor"], convolution.heads, convolution.bias
        own = tensor.share(channels)
        self.into = torch.cat([site.matrix(name, (d_model, channels), None, own) for name in "BCx"], 1)
        self.into_bias = self.out_bias = None
        if bias:
            self.into_bias = torch.cat([site.bias(f"{name}_bias", channels, own, 1) for name in "BCx"])
            self.out_bias = site.bias("out_bias", d_model, None, tensor.size)
        self.convolution = Convolution(site, self.kernel, [("x", channels, own)], bias=bias, silu=False)
        self.out = site.matrix("out", (channels, d_model), own, None)

    def caches(self, sequences: int, limit: int, source: Any = None) -> tuple[RecurrentState, ...]:
        """limit: of no account, the last tokens alone are kept."""
        recent = self.into.new_zeros(sequences, self.kernel - 1, self.into.shape[1] // 3)
        return (RecurrentState((0,), recent),)

    def __call__(self, x: torch.Tensor, span: Span, caches: tuple[RecurrentState, ...]) -> torch.Tensor:
        """[sequences·new, d] → partial sums of the same shape."""
        (kept,) = caches
        if span.context == 0:
            kept.begin()
        made = self.tape.matmul("attention.in_proj", x, self.into, self.into_bias)
        before, behind, mixed = made.chunk(3, 1)
        with self.tape.attention("attention.core", len(x) * 2 * mixed.shape[1] * (self.kernel + 1)):
            through = self.convolution((before * mixed).reshape(span.sequences, span.new, -1), kept)
            y = behind * through.reshape(len(x), -1)
        return self.tape.matmul("attention.out", y, self.out, self.out_bias)
