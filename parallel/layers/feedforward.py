"""The feed-forward, its width cut over ranks."""

from __future__ import annotations

import torch
from torch.nn import functional

from inferometer.parallel.layers.site import Site


class FeedForward:
    """(silu(x W_gate) ∘ x W_up) W_down, or gelu(x W_up) W_down without a gate.

        W_up  = | W_1 … W_t |  by columns        W_down = | W_1 |  by rows
                                                          |  …  |
                                                          | W_t |
    What it returns are partial sums over ``axis``. On a grid the rows of W_up and the columns of W_down are cut too, over
    the width axis, and the products with W_up are summed over it.
    """

    def __init__(self, site: Site, op: str, d_model: int, d_ff: int, axis: str, *, gated: bool, bias: bool) -> None:
        self.tape, self.op, self.gated = site.tape, op, gated
        width, across = site.axes["width"], site.axes[axis]
        rows, columns = width.share(d_model), across.share(d_ff)
        parts = ("gate", "up") if gated else ("up",)
        self.up = torch.cat([site.matrix(part, (d_model, d_ff), rows, columns) for part in parts], 1)
        self.down = site.matrix("down", (d_ff, d_model), columns, rows)
        self.up_bias = self.down_bias = None
        if bias:
            self.up_bias = torch.cat([site.bias(f"{part}_bias", d_ff, columns, width.size) for part in parts])
            self.down_bias = site.bias("down_bias", d_model, rows, across.size)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, d/√tp] → partial sums of the same shape."""
        y = self.tape.matmul(f"{self.op}.up", x, self.up, self.up_bias)
        y = self.tape.all_reduce(f"{self.op}.up_reduce", "width", y)
        return self.tape.matmul(f"{self.op}.down", activated(y, gated=self.gated), self.down, self.down_bias)


def activated(y: torch.Tensor, *, gated: bool) -> torch.Tensor:
    """silu(gate) ∘ up of [gate | up], or gelu(up)."""
    if not gated:
        return functional.gelu(y)
    gate, up = y.chunk(2, dim=-1)
    return functional.silu(gate) * up
