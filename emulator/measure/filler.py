"""Computing between two collectives, as a model's step does it: skinny matmuls whose weights come from memory."""

from __future__ import annotations

import time

import torch

WIDTH = 1024
"""A matmul is x [1, WIDTH] by w [WIDTH, WIDTH] in float32: one token's row, as in a decode step."""
MATRICES = 16
"""They take 64 MiB together and are used in turn: more than a rank's share of a cache, so weights are streamed."""
LOOKS = 12
"""Matmuls that are timed to learn what one takes; the median counts, the first third warms up."""


class Filler:
    """The matmuls of one rank. Makes its matrices at once."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._x = torch.full((1, WIDTH), 0.5, device=device)
        # filled, because untouched memory is one shared page of zeros; 1/WIDTH keeps the products small
        self._weights = torch.full((MATRICES, WIDTH, WIDTH), 1 / WIDTH, device=device).unbind()
        self._next = 0

    def compute(self, matmuls: int) -> None:
        """So many matmuls; on a GPU they are queued on the stream."""
        for _ in range(matmuls):
            torch.matmul(self._x, self._weights[self._next])
            self._next = (self._next + 1) % MATRICES

    def matmul_us(self) -> float:
        """What one matmul takes now, us: to be called by all ranks that will compute at the same time."""
        times = []
        for _ in range(LOOKS):
            self._synchronize()
            began = time.perf_counter_ns()
            self.compute(1)
            self._synchronize()
            times.append((time.perf_counter_ns() - began) / 1e3)
        warm = sorted(times[LOOKS // 3 :])
        return max(warm[len(warm) // 2], 1e-3)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
