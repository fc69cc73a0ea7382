"""FLOP of one pass over the whole batch."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.economics.paper.epoch.model import PaperModel


@dataclass(frozen=True)
class Flop:
    """Of one sequence; projections are what an attention scale-down slows down, with embedding and unembedding."""

    feed_forward: float
    cache: float
    projections: float

    @property
    def total(self) -> float:
        return self.feed_forward + self.cache + self.projections


def flop(model: PaperModel, context: float, tokens: float) -> Flop:
    """FLOP of a pass of tokens over one sequence, at a context the cache already holds.

    A latent attention works in its latent space: its width takes the place of the head's.
    """
    feed_forward = 2 * model.ff_parameters / model.sparsity * tokens
    width = model.d_head if model.kv_rank is None else model.kv_rank
    cache = 4 * width * model.query_heads * model.layers * context * tokens
    return Flop(feed_forward, cache, 2 * model.active_parameters * tokens - feed_forward)
