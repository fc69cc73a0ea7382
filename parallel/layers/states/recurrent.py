"""What layers share that keep a state of fixed size: the state itself, the short convolution in front of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from inferometer.parallel.layers.site import Site


class RecurrentState:
    """What one layer keeps of sequences on one rank: a state in float32, the last inputs of the convolution."""

    def __init__(self, shape: tuple[int, ...], recent: torch.Tensor) -> None:
        self.state = torch.zeros(shape, device=recent.device)
        self.recent = recent

    def begin(self) -> None:
        """Forget: new sequences."""
        self.state.zero_()
        self.recent.zero_()


class Convolution:
    """silu of a causal convolution over the last kernel tokens, every channel by itself.

    parts: (name, channels of the whole model, those of this rank) of what lies side by side.
    """

    def __init__(
        self, site: Site, kernel: int, parts: Sequence[tuple[str, int, range]], *, bias: bool = False, silu: bool = True
    ) -> None:
        taps = [site.matrix(f"conv_{name}", (kernel, whole), None, part) for name, whole, part in parts]
        self.taps, self.silu = torch.cat(taps, 1), silu
        self.bias = None
        if bias:
            self.bias = torch.cat([site.bias(f"conv_{name}_bias", whole, part, 1) for name, whole, part in parts])

    def __call__(self, x: torch.Tensor, kept: RecurrentState) -> torch.Tensor:
        """[sequences, new, channels] → the same; the last inputs are kept."""
        kernel, new = len(self.taps), x.shape[1]
        window = torch.cat((kept.recent, x), 1)
        kept.recent.copy_(window[:, window.shape[1] - (kernel - 1) :])  # in its place, where a captured step looks for it
        y = torch.zeros_like(x) if self.bias is None else self.bias.expand_as(x)
        for tap in range(kernel):
            y = y + window[:, tap : tap + new] * self.taps[tap]
        return functional.silu(y) if self.silu else y
