"""How many bytes a model's weights are, matrix by matrix, as its checkpoint stores them or at a width that was asked for."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.workload.parameters import layer_weights, outside_layers
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.storage.formats import PLAIN, Format
from inferometer.emulator.workload.weights import Weight

Formats = tuple[tuple[str, Format], ...]
"""Formats of a layer's matrices that are not in 16 bits, by their names."""


def layer_formats(shape: Shape, layer: Layer, number: int) -> Formats:
    """What a layer stores in other formats than 16 bits; nothing where the checkpoint is not quantised."""
    scheme = shape.quantization
    if scheme is None:
        return ()
    key = layer, scheme.signature(number)
    if key not in scheme.known:
        found = ((weight.name, scheme.format_of(weight, number)) for weight in layer_weights(shape, layer))
        scheme.known[key] = tuple((name, form) for name, form in found if form is not PLAIN)
    return scheme.known[key]


def stored(shape: Shape) -> Iterator[tuple[Weight, Format, int]]:
    """Every weight with its format and how many times it is there."""
    scheme = shape.quantization
    for weight in outside_layers(shape):
        yield weight, PLAIN if scheme is None else scheme.format_of(weight, None), 1
    runs: dict[tuple[Layer, Formats], int] = {}
    for number, layer in enumerate(shape.stack):
        key = layer, layer_formats(shape, layer, number)
        runs[key] = runs.get(key, 0) + 1
    for (layer, formats), times in runs.items():
        by_name = dict(formats)
        for weight in layer_weights(shape, layer):
            yield weight, by_name.get(weight.name, PLAIN), times


def weight_bytes(shape: Shape, bits: int | None = None) -> float:
    """Of all weights: as they are stored, or all of them at a width in bits."""
    if bits is not None:
        return sum(times * weight.elements for weight, _, times in stored(shape)) * bits / 8
    return sum(times * form.bytes(weight) for weight, form, times in stored(shape))


def formats_in_use(shape: Shape) -> dict[str, int]:
    """Parameters by the format they are stored in, largest first."""
    found: dict[str, int] = {}
    for weight, form, times in stored(shape):
        found[form.name] = found.get(form.name, 0) + times * weight.elements
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def module_names(shape: Shape) -> Iterator[tuple[str, int | None]]:
    """The names of all modules below their layers, each with its layer."""
    for weight in outside_layers(shape):
        yield weight.name, None
    for number, layer in enumerate(shape.stack):
        for weight in layer_weights(shape, layer):
            yield weight.name, number
