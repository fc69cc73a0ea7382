"""Weights made from a seed, shard by shard: each element depends on the seed, its matrix's name, its row and column.

So a shard is the slice of the whole without anybody ever holding the whole, and every layout runs the same model.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

Words = NDArray[np.uint32]

WORD = 0xFFFFFFFF
DEVICE_BLOCK_ELEMENTS = 1 << 25
"""The same on a GPU: 256 MiB of words."""
BLOCK_ELEMENTS = 1 << 18
"""Elements made at a time: the intermediate words stay in the cache, and memory at the size of the shard."""

GOLDEN = 0x9E3779B9  # 2³²/φ: consecutive counters start far apart


@dataclass(frozen=True)
class Weights:
    """The source of all weights of one model: dtype and device are those of the shards it makes."""

    seed: int
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    def matrix(
        self, name: str, shape: tuple[int, int], rows: range | None = None, columns: range | None = None
    ) -> torch.Tensor:
        """[len(rows), len(columns)] of the matrix ``name`` of [inner, outer] = ``shape``; beyond the matrix: zeros.

        Uniform with variance 1/inner, so that products keep the size of what is multiplied.
        """
        inner, outer = shape
        rows, columns = rows or range(inner), columns or range(outer)
        if torch.device(self.device).type != "cpu":
            return self._on_device(name, inner, outer, rows, columns)
        shard = np.zeros((len(rows), len(columns)), np.float32)
        here = shard[: max(0, inner - rows.start), : max(0, outer - columns.start)]
        step = max(1, BLOCK_ELEMENTS // max(1, len(columns)))
        counters = np.arange(columns.start, columns.start + here.shape[1], dtype=np.uint32)
        for start in range(0, len(here), step):
            part = here[start : start + step]
            first = rows.start + start
            part[:] = _uniform(self._row_keys(name, first, len(part)), counters)
        shard *= np.float32((3 / inner) ** 0.5)
        # A copy, into memory that torch has allocated: aligned to cache lines, on huge pages where they are permitted.
        return torch.from_numpy(shard).to(self.device, self.dtype, copy=True)

    def _on_device(self, name: str, inner: int, outer: int, rows: range, columns: range) -> torch.Tensor:
        """As matrix, the same bits, made where they stay: billions in seconds."""
        shard = torch.zeros(len(rows), len(columns), dtype=self.dtype, device=self.device)
        width, height = max(0, min(len(columns), outer - columns.start)), max(0, min(len(rows), inner - rows.start))
        if not width or not height:
            return shard
        counters = torch.arange(columns.start, columns.start + width, dtype=torch.int64, device=self.device)
        keys = torch.from_numpy(self._row_keys(name, rows.start, height).astype(np.int64)).to(self.device)
        scale = float(np.float32((3 / inner) ** 0.5))
        step = max(1, DEVICE_BLOCK_ELEMENTS // width)
        for start in range(0, height, step):
            part = uniform_on_device(keys[start : start + step], counters) * scale
            shard[start : start + len(part), :width] = part.to(self.dtype)
        return shard

    def vector(self, name: str, length: int, part: range | None = None, *, around: float = 0.0) -> torch.Tensor:
        """[len(part)] of the vector ``name``: biases around 0, scales of norms around 1, by 0.1 at most."""
        part = part or range(length)
        shard = np.zeros(len(part), np.float32)
        here = shard[: max(0, length - part.start)]
        counters = np.arange(part.start, part.start + len(here), dtype=np.uint32)
        here[:] = around + 0.1 * _uniform(self._row_keys(name, 0, 1), counters)[0]
        return torch.from_numpy(shard).to(self.device, self.dtype)

    def _row_keys(self, name: str, first: int, count: int) -> Words:
        key = np.uint32(zlib.crc32(f"{self.seed}/{name}".encode()))
        return _mixed(np.arange(first, first + count, dtype=np.uint32) * np.uint32(GOLDEN) ^ _mixed(np.array([key])))


def _uniform(row_keys: Words, counters: Words) -> NDArray[np.float32]:
    """Numbers in [−1, 1), one for each row key and counter."""
    words = _mixed(row_keys[:, None] + counters[None, :] * np.uint32(GOLDEN))
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def uniform_on_device(row_keys: torch.Tensor, counters: torch.Tensor) -> torch.Tensor:
    """_uniform in torch: int64 tensors hold the 32-bit words; what wraps of their products lies above them."""
    words = (row_keys[:, None] + counters[None, :] * GOLDEN) & WORD
    words ^= words >> 16
    words = (words * 0x7FEB352D) & WORD
    words ^= words >> 15
    words = (words * 0x846CA68B) & WORD
    words ^= words >> 16
    return (words >> 8).to(torch.float32) * 2.0**-23 - 1.0


def _mixed(words: Words) -> Words:
    """The bits of each word stirred: a 32-bit finaliser of the murmur kind, its constants after C. Wellons' search."""
    words = words ^ (words >> np.uint32(16))
    words *= np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    return words
