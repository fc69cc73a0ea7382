"""The closed form behind llm-analysis' inference tables: dense tensor parallelism, per-layer rooflines, two all-reduces.

Its table of January 2024 (commits f5acbde to 6bacd4f) contains errors; ``compat`` keeps them, without it they are mended:

- two of the three SwiGLU matrices in the FLOP, though all three in the weights;
- at every step the KV cache read *and* written whole, at its final length;
- no attention over the context in the FLOP of a generated token.

What is a choice of the model and no error stays in both: an all-reduce costs the larger of its bandwidth time and a
constant; normalisation runs in 32 bits; every device reads the whole embedding; the output head costs arithmetic only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.program import Size
from inferometer.emulator.workload.shape import Heads, Shape

Compat = Literal["llm-analysis-2024-01"]
ELEMENT = 2
"""Bytes of a weight, an activation, a cached key: 16 bits throughout."""
NORM_ELEMENT = 4
KILO = 1000
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Rates:
    """Sustained rates of one device, and the link to its peers; the README's table takes 70 % of FLOP/s, 90 % of HBM."""

    flop_per_s: float
    memory_bytes_per_s: float
    link_bytes_per_s: float
    link_latency_s: float


@dataclass(frozen=True)
class Estimate:
    """One row of the table; each number broadcasts over the requests asked for."""

    ttft_s: Size
    completion_s: Size
    """Time of all generated tokens after the prompt: the table's column leaves out the time to first token."""
    tokens_per_s: Size
    """Of the whole batch, over prompt and completion."""
    usd_per_1k_prompt: Size
    usd_per_1k_completion: Size


def estimate(
    shape: Shape,
    rates: Rates,
    *,
    tp: int,
    batch: Size,
    prompt: Size,
    output: Size,
    usd_per_gpu_hour: float,
    compat: Compat | None = None,
) -> Estimate:
    """Times and prices of batch requests of prompt tokens that generate output tokens each.

    The time of a generated token is that of the mean context, prompt + (output + 1) / 2, or under ``compat`` of the
    final one. Raises InputError for a shape with experts, with latent attention, or without a gated feed-forward.
    """
    layer = _Layers(_dense(shape), rates, tp, compat)
    context = prompt + output if compat else prompt + (output + 1) / 2
    ttft_s = layer.forward_s(batch, prompt, prompt)
    step_s = layer.forward_s(batch, 1, context) + layer.cache_s(batch, context)
    completion_s = output * step_s
    usd_per_s = tp * usd_per_gpu_hour / SECONDS_PER_HOUR
    return Estimate(
        ttft_s=ttft_s,
        completion_s=completion_s,
        tokens_per_s=batch * output / (ttft_s + completion_s),
        usd_per_1k_prompt=KILO * usd_per_s * ttft_s / (batch * prompt),
        usd_per_1k_completion=KILO * usd_per_s * step_s / batch,
    )


def _dense(shape: Shape) -> Shape:
    if not isinstance(shape.attention, Heads) or shape.experts is not None or not shape.gated:
        raise InputError(f"{shape.name}: llm-analysis' closed form is for dense models with grouped attention and SwiGLU")
    return shape


@dataclass(frozen=True)
class _Layers:
    """All layers of a shape on tp devices. Arguments: b sequences, s tokens of each in the pass, context they attend to."""

    shape: Shape
    rates: Rates
    tp: int
    compat: Compat | None

    def forward_s(self, b: Size, s: Size, context: Size) -> Size:
        """Seconds of a pass, without the cache that a generated token reads."""
        h, vocab = self.shape.d_model, self.shape.vocab
        reduce_s = self.all_reduce_s(b, s)
        layer_s = self.attention_s(b, s, context) + self.feed_forward_s(b, s) + 2 * self.norm_s(b, s) + 2 * reduce_s
        embedding_s = ELEMENT * vocab * h / self.rates.memory_bytes_per_s + reduce_s
        head_s = 2 * s * b * vocab * h / self.tp / self.rates.flop_per_s
        return self.shape.layers * layer_s + embedding_s + head_s

    def attention_s(self, b: Size, s: Size, context: Size) -> Size:
        """Projections and scores: FLOP, or weights and activations. Under compat s tokens attend to no more than s."""
        h, heads = self.shape.d_model, self._heads
        group = heads.query_heads / heads.kv_heads
        scored = s if self.compat else context
        flop = 4 * b * s * h**2 * (1 + 1 / group) + 4 * b * s * scored * h
        weights = 2 * h**2 * (1 + 1 / group)
        projections = ELEMENT * 3 * s * b * h
        scores = ELEMENT * (2 * s * b * h + 4 * heads.query_heads * s * b)
        moved = ELEMENT * weights + np.maximum(projections, scores)
        return self._roofline_s(flop, moved)

    def feed_forward_s(self, b: Size, s: Size) -> Size:
        """Gated feed-forward: 3 matrices, of which compat charges the FLOP of 2."""
        h, d_ff = self.shape.d_model, self.shape.d_ff
        matrices = 2 if self.compat else 3
        return self._roofline_s(2 * matrices * b * s * h * d_ff, ELEMENT * 3 * h * d_ff + 7 * s * b * h)

    def norm_s(self, b: Size, s: Size) -> Size:
        """One normalisation, divided over the devices as sequence parallelism has it."""
        return NORM_ELEMENT * s * b * self.shape.d_model / self.tp / self.rates.memory_bytes_per_s

    def all_reduce_s(self, b: Size, s: Size) -> Size:
        """The larger of a ring's bandwidth time and the constant latency of a message; 0 on one device."""
        if self.tp == 1:
            return 0.0
        moved = 2 * ELEMENT * b * s * self.shape.d_model * (self.tp - 1) / self.tp
        return np.maximum(moved / self.rates.link_bytes_per_s, self.rates.link_latency_s)

    def cache_s(self, b: Size, context: Size) -> Size:
        """Seconds to read the KV cache once, or under compat to read and write it whole."""
        heads = max(self._heads.kv_heads / self.tp, 1)
        kept = 2 * ELEMENT * b * context * heads * self._heads.head_dim * self.shape.layers
        return (2 if self.compat else 1) * kept / self.rates.memory_bytes_per_s

    def _roofline_s(self, flop: Size, moved_bytes: Size) -> Size:
        """max(arithmetic, memory) of work that is cut evenly over the devices."""
        return np.maximum(flop / self.rates.flop_per_s, moved_bytes / self.rates.memory_bytes_per_s) / self.tp

    @property
    def _heads(self) -> Heads:
        assert isinstance(self.shape.attention, Heads)
        return self.shape.attention
