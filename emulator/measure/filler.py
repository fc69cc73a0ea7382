"""Computing between two collectives, as a model's step does it: skinny matmuls whose weights come from memory.

A matmul is x [1, width] by w [width, width] in float32: one token's row, as in a decode step. Its matrices are used in
turn and take more than a cache, so weights are streamed: 64 MiB on a processor (more than a rank's share), 1 GiB on a
GPU, whose matmuls are larger too, because the host launches none in less than some microseconds.
"""

from __future__ import annotations

import time

import torch

from inferometer.parallel.device.device import Device

WIDTH = {"cpu": 1024, "cuda": 4096}
MATRICES = 16
LOOKS = 12
"""Times that are taken to learn what a matmul takes; the median counts, the first third warms up."""
QUEUED = {"cpu": 1, "cuda": 32}
"""Matmuls of one of these times: a queue is not to run dry."""


class Filler:
    """The matmuls of one rank. Makes its matrices at once."""

    def __init__(self, device: Device) -> None:
        self._device = device
        width = WIDTH[device.kind]
        self._x = torch.full((1, width), 0.5, device=device.torch_device)
        # filled, because untouched memory is one shared page of zeros; 1/width keeps the products small
        self._weights = torch.full((MATRICES, width, width), 1 / width, device=device.torch_device).unbind()
        self._next = 0

    def compute(self, matmuls: int) -> None:
        """So many matmuls; on a GPU they are queued on the stream."""
        for _ in range(matmuls):
            torch.matmul(self._x, self._weights[self._next])
            self._next = (self._next + 1) % MATRICES

    def matmul_us(self) -> float:
        """What one matmul takes now, us: to be called by all ranks that will compute at the same time."""
        times, queued = [], QUEUED[self._device.kind]
        for _ in range(LOOKS):
            self._device.synchronize()
            began = time.perf_counter_ns()
            self.compute(queued)
            self._device.synchronize()
            times.append((time.perf_counter_ns() - began) / queued / 1e3)
        warm = sorted(times[LOOKS // 3 :])
        return max(warm[len(warm) // 2], 1e-3)
