"""Where the new tokens of a step stand: how many, after how many, what each one sees."""

from __future__ import annotations

import torch

THETA = 10_000.0


class Span:
    """sequences × new tokens, each sequence with context tokens in its cache already; the same for all of a batch.

    Made once per step and shared by all layers.
    """

    def __init__(self, sequences: int, new: int, context: int, device: torch.device) -> None:
        self.sequences, self.new, self.context, self.device = sequences, new, context, device
        self._rotations: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._masks: dict[int | None, torch.Tensor | None] = {}

    @property
    def positions(self) -> torch.Tensor:
        return torch.arange(self.context, self.context + self.new, device=self.device)

    def pairs(self, window: int | None) -> int:
        """Pairs of a new token and a token it sees, itself included, over all sequences."""
        seen = (self.context + i for i in range(1, self.new + 1))
        return self.sequences * sum(seen if window is None else (min(s, window) for s in seen))

    def mask(self, window: int | None) -> torch.Tensor | None:
        """[new, context + new], true where a token is seen; None for one new token that sees all."""
        if window not in self._masks:
            behind = self.positions[:, None] - torch.arange(self.context + self.new, device=self.device)[None, :]
            seen = behind >= 0 if window is None else (behind >= 0) & (behind < window)
            self._masks[window] = None if bool(seen.all()) else seen
        return self._masks[window]

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary position embedding (Su et al. 2021, eq. 34, halves as pairs): [sequences, heads, new, dim] → the same."""
        half = x.shape[-1] // 2
        if half not in self._rotations:
            angles = self.positions[:, None] * THETA ** (-torch.arange(half, device=self.device) / half)
            self._rotations[half] = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        cos, sin = self._rotations[half]
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)
