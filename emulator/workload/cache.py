"""What a model keeps of its context, what attending to it costs."""

from __future__ import annotations

from inferometer.emulator.workload.attention import kv_elements
from inferometer.emulator.workload.program import Size
from inferometer.emulator.workload.rank import cached_tokens
from inferometer.emulator.workload.shape import Latent, Shape


def kv_elements_per_token_per_layer(shape: Shape) -> int:
    """Cached elements: keys and values of every key-value head, or MLA's one latent with its rotary key."""
    return kv_elements(shape.attention, 1)


def kv_bytes_per_token(shape: Shape, bits: int = 16) -> float:
    """Cached bytes of one token over all layers; bits: the width of the cache."""
    return shape.layers * kv_elements_per_token_per_layer(shape) * bits / 8


def kv_tokens(shape: Shape, context: Size) -> Size:
    """Tokens of a sequence that a layer's cache holds: context, at most the sliding window; the mean over all layers."""
    return tokens_over_layers(shape, context, shape.layers) / shape.layers


def tokens_over_layers(shape: Shape, context: Size, layers: int) -> Size:
    """Tokens of a sequence that the caches of the first layers hold together; no later ones hold more."""
    full = min(shape.full_attention_layers, layers)
    return full * context + (layers - full) * cached_tokens(context, shape.sliding_window)


def attention_flop_per_token(shape: Shape, context: Size) -> Size:
    """FLOP of scores and weighted values for one new token over all layers; context: tokens before it, in the cache.

    4·query_heads·head_dim per cached token and layer; MLA, absorbed, 2·query_heads·(2·kv_rank + rope_dim).
    """
    attention = shape.attention
    if isinstance(attention, Latent):
        per_pair = 2 * attention.query_heads * (2 * attention.kv_rank + attention.rope_dim)
    else:
        per_pair = 4 * attention.query_heads * attention.head_dim
    return shape.layers * per_pair * kv_tokens(shape, context)
