"""Which layers each pipeline stage has; whether a layout divides a shape."""

from __future__ import annotations

from collections.abc import Iterator

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.parallel.layers.sharing import shares, source_of


def stage_layers(layers: int, stages: int) -> tuple[range, ...]:
    """The layers of each stage. Where they do not divide, as vLLM cuts them.

    One more layer for stages before the last, from the last but one towards the front; the first one only where all others
    have got theirs. (vLLM, distributed/utils.py, get_pp_indices: the last stage has the head, the first the embedding.)
    """
    sizes = [layers // stages] * stages
    for place in range(2, layers % stages + 2):
        sizes[-place] += 1
    starts = [sum(sizes[:index]) for index in range(stages + 1)]
    return tuple(range(start, stop) for start, stop in zip(starts, starts[1:]))


def stage_runs(shape: Shape, layers: range) -> Iterator[tuple[Layer, int]]:
    """Equal layers in a row among those of a stage, and how many."""
    start = 0
    for layer, count in shape.runs:
        inside = min(start + count, layers.stop) - max(start, layers.start)
        if inside > 0:
            yield layer, inside
        start += count


def check_layout(shape: Shape, layout: Layout) -> None:
    """Raise InputError, with the arithmetic, for a layout that does not divide the shape."""
    if layout.ep > 1 and shape.experts is None:
        raise InputError(f"{shape.name}: ep = {layout.ep}, but the model has no experts")
    if layout.pp > shape.layers:
        raise InputError(f"{shape.name}: layers = {shape.layers} are fewer than pp = {layout.pp} stages")
    kinds = [layer.attention.kind for layer in shape.kinds if layer.attention is not None]
    bound = next((kind for kind in kinds if kind not in ("heads", "latent")), None)
    if layout.width > 1 and bound is not None:
        raise InputError(f"{shape.name}: tensor = '2d' cuts heads and latents, the model has {bound} layers")
    if layout.width > 1 and shape.inputs is not None:
        raise InputError(f"{shape.name}: tensor = '2d' does not cut the inputs that every layer of the model has")
    if layout.width > 1 and shape.experts is not None and shape.experts.latent is not None:
        raise InputError(f"{shape.name}: tensor = '2d' does not cut experts that work on a latent")
    demands: dict[tuple[int, str, str, int], None] = {}
    for layer in shape.kinds:
        demands.update(dict.fromkeys(_demands(layer, layout)))
    if layout.width > 1:
        demands[shape.d_model, "d_model", "√tp", layout.width] = None
    for amount, what, axis, ranks in demands:
        if amount % ranks:
            raise InputError(f"{shape.name}: {what} = {amount} does not divide by {axis} = {ranks}")
    over, cut = _attention_axis(layout), layout.attention_ranks
    for layer in shape.kinds:
        for field, what in (("kv_heads", "kv heads"), ("groups", "state groups")):
            shared = getattr(layer.attention, field, None)
            if shared is not None and shared % cut and cut % shared:
                raise InputError(f"{shape.name}: {what} = {shared} neither divides by {over} = {cut} nor divides it")
    _check_sharing(shape, layout)


def _check_sharing(shape: Shape, layout: Layout) -> None:
    """Raise InputError for a cut between a layer and an earlier one that it reads."""
    if layout.pp == 1:
        return
    if shape.inputs is not None:
        raise InputError(f"{shape.name}: pp = {layout.pp}, but every layer has inputs that the first stage looks up")
    if not any(shares(layer.attention) for layer in shape.kinds):
        return
    for layers in stage_layers(shape.layers, layout.pp):
        for number in layers:
            source = source_of(shape.stack, number)
            if source is not None and source not in layers:
                raise InputError(
                    f"{shape.name}: pp = {layout.pp} cuts between layer {number} and layer {source}, whose cache it reads"
                )


def _demands(layer: Layer, layout: Layout) -> list[tuple[int, str, str, int]]:
    """(amount, what it is, the axis that shares it, ranks of that axis)."""
    over, grid, found = _attention_axis(layout), layout.width > 1, []
    if layer.attention is not None:
        ranks = layout.attention_ranks
        found += [(amount, what, over, ranks) for amount, what in layer.attention.demands(ranks)]
    feed_forward = layer.feed_forward
    if isinstance(feed_forward, Dense):
        found.append((feed_forward.d_ff, "d_ff", "√tp" if grid else over, layout.ranks("tensor")))
    elif isinstance(feed_forward, Experts):
        found.append((feed_forward.count, "experts", "ep", layout.ep))
        found.append((feed_forward.d_ff, "expert d_ff", "√tp" if grid else "tp", layout.ranks("tp")))
    return found


def _attention_axis(layout: Layout) -> str:
    return "tp" if layout.attention == "data" else "tp·ep" if layout.ep > 1 else "tp"
