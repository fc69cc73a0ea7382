"""Where the new tokens of a step stand: how many, after how many, what each one sees."""

from __future__ import annotations

import torch

THETA = 10_000.0


class Rotations:
    """cos and sin of the rotary angles of all positions below limit, made once for all steps."""

    def __init__(self, limit: int, dtype: torch.dtype, device: torch.device) -> None:
        self._limit, self._dtype, self._device = limit, dtype, device
        self._tables: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def tables(self, half: int) -> tuple[torch.Tensor, torch.Tensor]:
        """[limit, half] each: position × theta^(−i/half)."""
        if half not in self._tables:
            positions = torch.arange(self._limit, device=self._device)
            angles = positions[:, None] * THETA ** (-torch.arange(half, device=self._device) / half)
            self._tables[half] = angles.cos().to(self._dtype), angles.sin().to(self._dtype)
        return self._tables[half]


class Span:
    """sequences × new tokens, each sequence with context tokens in its cache already; the same for all of a batch.

    Made once per step and shared by all layers.
    """

    def __init__(self, sequences: int, new: int, context: int, device: torch.device, rotations: Rotations) -> None:
        self.sequences, self.new, self.context, self.device = sequences, new, context, device
        self._rotations = rotations
        self._masks: dict[tuple[int | None, bool], torch.Tensor] = {}

    @property
    def positions(self) -> torch.Tensor:
        return torch.arange(self.context, self.context + self.new, device=self.device)

    def pairs(self, window: int | None, *, chunked: bool = False) -> int:
        """Pairs of a new token and a token it sees, itself included, over all sequences. chunked: windows begin anew."""
        visible = (self.context + i for i in range(1, self.new + 1))
        if chunked and window is not None:
            return self.sequences * sum((count - 1) % window + 1 for count in visible)
        return self.sequences * sum(visible if window is None else (min(count, window) for count in visible))

    def mask(self, window: int | None, *, chunked: bool = False) -> torch.Tensor | None:
        """[new, context + new], true where a new token attends to a token; None for one new token that attends to all."""
        key = window, chunked
        if self.new == 1 and (window is None or self.context < window):
            return None  # known without asking the device, whose queue would run dry
        if key not in self._masks:
            tokens = torch.arange(self.context + self.new, device=self.device)[None, :]
            behind = self.positions[:, None] - tokens
            visible = behind >= 0
            if window is not None:
                near = self.positions[:, None] // window == tokens // window if chunked else behind < window
                visible = visible & near
            self._masks[key] = visible
        return self._masks[key]

    def seen(self, window: int | None, *, chunked: bool) -> int:
        """Tokens that the last new token sees, itself included."""
        tokens = self.context + self.new
        if window is None:
            return tokens
        return (tokens - 1) % window + 1 if chunked else min(tokens, window)

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Rotary position embedding (Su et al. 2021, eq. 34, halves as pairs): [sequences, heads, new, dim] → the same."""
        half = x.shape[-1] // 2
        cos, sin = (table[self.context : self.context + self.new] for table in self._rotations.tables(half))
        a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
        return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)
