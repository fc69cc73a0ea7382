"""How many parameters a model has, part by part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.weights import Weight, vector


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters. A part counts its biases in; biases says how many of all these there are."""

    total: int
    """All parameters, what a checkpoint holds (without extra multi-token prediction layers)."""
    active: int
    """Parameters that serve one token: all but the experts it does not choose. The whole embedding counts."""
    biases: int
    """Of linear layers and routers; those of norms are the norms' own."""
    parts: dict[str, int] = field(default_factory=dict)


def count(shape: Shape) -> Parameters:
    """Parameters of a model by part, exactly as its published checkpoint has them."""
    parts: dict[str, int] = {}
    active = biases = 0
    for weight, copies in all_weights(shape):
        parts[weight.part] = parts.get(weight.part, 0) + copies * weight.elements
        active += copies * weight.active
        if weight.name.endswith("_bias"):
            biases += copies * weight.elements
        biases += copies * weight.copies * weight.biases
    return Parameters(sum(parts.values()), active, biases, parts)


def multiplied_per_token(shape: Shape) -> int:
    """Weights that one decoded token is multiplied with; 2 FLOP each. Looked-up rows, norms, biases are none."""
    total = sum(copies * weight.multiplied for weight, copies in all_weights(shape))
    return total + (shape.d_model * shape.vocab if shape.tied_embeddings else 0)  # a tied matrix is the head's


def all_weights(shape: Shape) -> Iterator[tuple[Weight, int]]:
    """Every weight of the model, and how many times it is there."""
    for weight in outside_layers(shape):
        yield weight, 1
    for layer, layers in shape.kinds.items():
        for weight in layer_weights(shape, layer):
            yield weight, layers


def outside_layers(shape: Shape) -> tuple[Weight, ...]:
    """Weights of the embedding and the head."""
    d = shape.d_model
    found = [vector("embed_tokens", "embedding", shape.vocab * d)]
    if shape.learned_positions:
        found.append(vector("embed_positions", "embedding", shape.learned_positions * d))
    if shape.final_norm:
        found += norms(shape, 1)
    if not shape.tied_embeddings:
        found.append(Weight("lm_head", "head", d, shape.vocab))
    if shape.head_bias:
        found.append(vector("lm_head_bias", "head", shape.vocab))
    if shape.inputs is not None:
        found += shape.inputs.outside(d, shape.layers)
    return (*found, *shape.extra)


def layer_weights(shape: Shape, layer: Layer) -> tuple[Weight, ...]:
    """Weights of one layer."""
    found = norms(shape, layer.norms)
    for part in (layer.attention, layer.feed_forward):
        if part is not None:
            found += part.weights(shape.d_model)
    if layer.inputs is not None:
        found += layer.inputs.weights(shape.d_model)
    if layer.scalar:
        found.append(vector("layer_scalar", "other", 1))
    return (*found, *layer.extra)


def norms(shape: Shape, number: int) -> list[Weight]:
    """So many norms of the model's width."""
    if not number or not shape.norm_scales:
        return []
    return [vector("layernorm", "norms", number * shape.d_model * (1 + shape.norm_bias))]
