"""What a model keeps of its context, what attending to it costs."""

from __future__ import annotations

from inferometer.emulator.workload.kinds.kind import State
from inferometer.emulator.workload.operations import Size
from inferometer.emulator.workload.shape import Shape


def kv_elements_per_token_per_layer(shape: Shape) -> int:
    """Cached elements of the attention that the shape is known by: keys and values of every head, or MLA's latent."""
    return sum(store.elements for store in shape.attention.stores(1))


def kv_bytes_per_token(shape: Shape, bits: int = 16) -> float:
    """Cached bytes of one token over all layers while no window is full; bits: the width of the cache."""
    return sum(
        count * store.elements / store.every * bits / 8
        for layer, count in shape.kinds.items()
        if layer.attention is not None
        for store in layer.attention.stores(1)
    )


def kv_elements(shape: Shape, context: Size) -> Size:
    """Cached elements of one sequence of context tokens between two steps, over all layers."""
    total: Size = 0
    for layer, count in shape.kinds.items():
        for store in layer.attention.stores(1) if layer.attention is not None else ():
            total = total + count * store.kept(context)
    return total


def state_elements(shape: Shape) -> State:
    """Elements of one sequence's states over all layers."""
    total = State()
    for layer, count in shape.kinds.items():
        if layer.attention is not None:
            each = layer.attention.state(1)
            total = total + State(count * each.recurrent, count * each.recent)
    return total


def kv_tokens(shape: Shape, context: Size) -> Size:
    """Tokens of a sequence that a layer's cache holds: context, at most the sliding window; the mean over all layers."""
    total: Size = 0
    for layer, count in shape.kinds.items():
        stores = layer.attention.stores(1) if layer.attention is not None else ()
        if stores:
            total = total + count * stores[0].entries(context)
    return total / shape.layers


def attention_flop_per_token(shape: Shape, context: Size) -> Size:
    """FLOP of scores and weighted values for one new token over all layers; context: tokens before it, in the cache.

    4·query_heads·head_dim per cached token and layer; MLA, absorbed, 2·query_heads·(2·kv_rank + rope_dim).
    """
    total: Size = 0
    for layer, count in shape.kinds.items():
        if layer.attention is not None and layer.attention.stores(1):
            tokens = layer.attention.stores(1)[0].entries(context)
            total = total + count * layer.attention.flop_per_pair() * tokens
    return total
