"""A small model with a large one's proportions, to be run where the large one does not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.kind import Proportion, Smaller, stepped
from inferometer.emulator.workload.shape import Layer, Shape


@dataclass(frozen=True)
class Scaled:
    """The small shape, and in words each proportion that it could not keep."""

    shape: Shape
    not_kept: tuple[str, ...]


def scaled(shape: Shape, scale: float, layers: int | None = None) -> Scaled:
    """shape with its width, depth, heads, experts and vocabulary multiplied by scale (0 < scale ≤ 1).

    Kept where whole numbers allow it: query heads per key-value head, heads·head_dim over d_model, d_ff over d_model, the
    experts that a token chooses, and experts per rank (a deployment on scale times the ranks has as many on each).
    layers: how many instead; of every kind of layer one stays, as far as there is room.

    Raises InputError for a scale outside (0, 1] or a number of layers that is none.
    """
    if not 0 < scale <= 1:
        raise InputError(f"scale = {scale:g} must be above 0 and at most 1")
    if layers is not None and not 1 <= layers <= shape.layers:
        raise InputError(f"layers = {layers} must be 1 to the model's {shape.layers}")
    if scale == 1:
        small = replace(shape, stack=_cut_short(shape, layers or shape.layers))
        return Scaled(small, tuple(_differences(shape, small, small.stack, scale)))
    depth = layers or max(1, round(shape.layers * scale))
    by, kept = Smaller(scale, shape.d_model, stepped(shape.d_model * scale)), _cut_short(shape, depth)
    small = replace(
        shape,
        name=f"{shape.name} · {scale:.4g}",
        d_model=by.after,
        vocab=by.width(shape.vocab),
        stack=tuple(_smaller(layer, by) for layer in kept),
    )
    return Scaled(small, tuple(_differences(shape, small, kept, scale)))


def _smaller(layer: Layer, by: Smaller) -> Layer:
    return replace(
        layer,
        attention=None if layer.attention is None else layer.attention.scaled(by),
        feed_forward=None if layer.feed_forward is None else layer.feed_forward.scaled(by),
        inputs=None if layer.inputs is None else layer.inputs.scaled(by),
    )


def _cut_short(shape: Shape, depth: int) -> tuple[Layer, ...]:
    """Fewer layers in the same order: of every kind its share, and one at least while there is room.

    Those of a kind are taken evenly from where the kind stands, so that a pattern stays one.
    """
    places: dict[Layer, list[int]] = {}
    for number, layer in enumerate(shape.stack):
        places.setdefault(layer, []).append(number)
    if depth < len(places):  # no room for every kind: those of which the model has most
        most = sorted(places, key=lambda layer: -len(places[layer]))[:depth]
        places = {layer: numbers for layer, numbers in places.items() if layer in most}
    left, kept = depth, []
    for index, numbers in enumerate(places.values()):
        later = len(places) - index - 1
        share = round(len(numbers) * depth / shape.layers) if later else left
        share = min(max(1, share), len(numbers), max(left - later, min(left, 1)))
        left -= share
        kept += [numbers[(2 * place + 1) * len(numbers) // (2 * share)] for place in range(share)]
    spare = [number for number in range(shape.layers) if number not in set(kept)]
    return tuple(shape.stack[number] for number in sorted(kept + spare[len(spare) - left :] if left else kept))


def _differences(whole: Shape, small: Shape, kept: Sequence[Layer], scale: float) -> list[str]:
    """kept: the layers that the small shape has, before they were scaled."""
    pairs: list[tuple[str, float, float]] = [
        ("d_model", whole.d_model * scale, small.d_model),
        ("layers", whole.layers * scale, small.layers),
        ("vocabulary", whole.vocab * scale, small.vocab),
    ]
    before, after = _proportions(whole), _proportions(small)
    for name, one in before.items():
        if name in after:
            pairs.append((name, one.value * (scale if one.grows else 1), after[name].value))
    for name, here, there in _shares(whole.stack, kept):
        pairs.append((name, here, there))
    return [f"{what}: {got:.4g} instead of {wanted:.4g}" for what, wanted, got in pairs if abs(got - wanted) > 1e-9 * wanted]


def _proportions(shape: Shape) -> dict[str, Proportion]:
    """Every proportion by its name, of the first layer that has it."""
    found: dict[str, Proportion] = {}
    for layer in shape.kinds:
        for part in (layer.attention, layer.feed_forward):
            for one in part.proportions(shape.d_model) if part is not None else ():
                found.setdefault(one.name, one)
    return found


def _shares(whole: Sequence[Layer], kept: Sequence[Layer]) -> list[tuple[str, float, float]]:
    """The share of each kind of layer, where there are several kinds."""
    before, after = (Counter(layer.describe() for layer in stack) for stack in (whole, kept))
    if len(before) < 2:
        return []
    return [(f"share of {words}", n / len(whole), after[words] / len(kept)) for words, n in before.items()]
