"""What attention keeps of earlier tokens."""

from __future__ import annotations

import torch


class CacheFull(ValueError):
    """More tokens than the cache has room for."""


class Cache:
    """[sequences, heads, limit, dim]: keys, values, or MLA's latents of one layer on one rank."""

    def __init__(self, sequences: int, heads: int, limit: int, dim: int, like: torch.Tensor) -> None:
        self.kept = like.new_zeros(sequences, heads, limit, dim)

    def extend(self, new: torch.Tensor, context: int) -> torch.Tensor:
        """Keep new [sequences, heads, new, dim] behind the first context tokens; all that are kept now.

        Raises ``CacheFull`` with the arithmetic.
        """
        limit, end = self.kept.shape[2], context + new.shape[2]
        if end > limit:
            raise CacheFull(f"context {context} + {new.shape[2]} new tokens = {end} is beyond the cache of {limit} tokens")
        self.kept[:, :, context:end] = new
        return self.kept[:, :, :end]
