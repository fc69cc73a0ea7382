"""Whether the sharded layers can run a model, and if not, what of it they cannot."""

from __future__ import annotations

from typing import Any

from inferometer.parallel.layers.architecture import Architecture, LayerOf

PLAIN: dict[str, dict[str, Any]] = {
    "heads": {"value_dim": None, "index": None, "extra": ()},
    "latent": {"bias": False, "extra": ()},
    "gated delta": {},
    "mamba-2": {"out_bias": None},
    "mamba": {},
    "convolution": {},
    "dense": {"extra": ()},
    "experts": {"zero": 0, "beside": None, "extra": ()},
}
"""The kinds that there are layers for, and what a record of such a kind must say in the fields that these do not read."""
NAMES = {
    "value_dim": "values of another width than keys",
    "index": "an index of tokens",
    "zero": "experts that do nothing",
    "beside": "a feed-forward beside the experts",
    "extra": "inner norms of their own",
    "bias": "biases of latents",
}


def not_executed(model: Architecture) -> str | None:
    """What of a model the sharded layers cannot run, in words; None if they can run all of it."""
    for layer in dict.fromkeys(model.stack):
        words = _of_layer(layer)
        if words:
            return words
    if model.extra:
        return f"{model.extra[0].name} outside the layers"
    return None if model.norm_scales and model.final_norm else "norms without weights"


def _of_layer(layer: LayerOf) -> str | None:
    for part in (layer.attention, layer.feed_forward):
        if part is None:
            continue
        if part.kind not in PLAIN:
            return f"{part.kind} layers"
        for field, plain in PLAIN[part.kind].items():
            if getattr(part, field) != plain:
                return NAMES.get(field, field)
    if getattr(layer.attention, "gate", "none") not in ("none", "query"):
        return "gates with a matrix of their own"
    if getattr(layer.attention, "gate", "none") == "query" and getattr(layer.attention, "bias", False):
        return "gated attention with biases"
    feed = layer.feed_forward
    if getattr(feed, "shared_bias", None) not in (None, getattr(feed, "bias", None)):
        return "shared experts with other biases than the experts"
    if layer.extra:
        return f"{layer.extra[0].name} in its layers"
    parts = (layer.attention is not None) + (feed is not None)
    if layer.norms not in {0: (0,), 1: (1,), 2: (1, 2) if layer.parallel else (2, 4)}[parts]:
        return f"{layer.norms} norms in a layer"
    return None
