"""The norm, unsharded."""

from __future__ import annotations

import torch
from torch import nn

from inferometer.parallel.weights import Weights


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
