"""Build the program of one step of a model under a layout."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.feedforward import Routing, load_imbalance
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.operations import Compute, Op, Segment, Size, Stage
from inferometer.emulator.workload.parameters import layer_weights
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.rank import RankWork, Stored
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.stages import check_layout, stage_layers, stage_runs
from inferometer.emulator.workload.step import Step
from inferometer.emulator.workload.storage.formats import PLAIN
from inferometer.emulator.workload.storage.stored import Formats, layer_formats

BESIDE_NORMS = ("moe.norm", "moe.post_norm", "moe.beside_norm")
"""Of experts beside a plain feed-forward: of what they read, of what each of the two puts out (Gemma 4)."""
TOKEN_BYTES = 8  # token ids travel as int64
HAND_OFF = "send_recv"
"""The collective by which a pipeline's stages hand on activations and chosen tokens: every layout with pp > 1 needs it."""


def build(
    shape: Shape,
    layout: Layout,
    step: Step,
    *,
    precision: Precision | None = None,
    micro_batches: Size = 1,
    node_size: int = 8,
    routing: Routing = "uniform",
) -> Program:
    """The program of one step of one replica.

    step: the whole replica's batch, of which each stage's list handles one of micro_batches equal parts. Sizes in the
    step may be arrays that broadcast. node_size: ranks per node, filled in rank order. routing: "uniform" (every
    expert gets its expected share), "random" (the busiest rank of tokens that choose independently), or "alike" (of tokens
    whose routers have random weights).

    Raises InputError for a layout that does not divide the shape, or a context beyond the model's.
    """
    check_layout(shape, layout)
    _check_context(shape, step)
    part = step.share(micro_batches)
    imbalance = load_imbalance(shape.experts, layout.ep, part.tokens, routing, part.new_tokens)
    own = part.share(layout.sequence_shares)
    work = RankWork(layout, precision or Precision(), own, node_size, shape.d_model, shape.norm_bias, imbalance=imbalance)
    made: dict[Hashable, tuple[Op, ...]] = {}
    stages = tuple(
        _stage(shape, work, index, layers, made) for index, layers in enumerate(stage_layers(shape.layers, layout.pp))
    )
    return Program(shape, layout, work.precision, micro_batches, stages, work.step.tokens, work.step.sequences)


def _stage(shape: Shape, work: RankWork, index: int, layers: range, made: dict[Hashable, tuple[Op, ...]]) -> Stage:
    """made: what stages have in common: operations of a layer by its identity and formats, of a hand-off by its nodes."""
    segments = []
    if index == 0:
        segments.append(Segment("embedding", 1, tuple(_embedding(shape, work))))
    for layer, formats, count in _runs(shape, work.precision, layers):
        name = "expert layer" if isinstance(layer.feed_forward, Experts) else "dense layer"
        if (id(layer), formats) not in made:
            own = replace(work, stored=_stored(shape, layer, formats)) if work.precision.shipped else work
            made[id(layer), formats] = tuple(_layer(own, layer))
        segments.append(Segment(name, count, made[id(layer), formats]))
    if index < work.layout.pp - 1:
        nodes = work.layout.nodes("pp", work.node_size, index)
        if ("hand-off", nodes) not in made:
            sent = work.residual(work.tokens)
            made["hand-off", nodes] = tuple(work.collective("pipeline.activations", HAND_OFF, "pp", sent, stage=index))
        segments.append(Segment("hand-off", 1, made["hand-off", nodes]))
    else:
        segments.append(Segment("head", 1, tuple(_head(shape, work, index))))
    return Stage(index, tuple(segments))


def _runs(shape: Shape, precision: Precision, layers: range) -> Iterator[tuple[Layer, Formats, int]]:
    """Layers in a row that are alike and stored alike, and how many."""
    if not precision.shipped:
        yield from ((layer, (), count) for layer, count in stage_runs(shape, layers))
        return
    numbered = [(shape.stack[number], layer_formats(shape, shape.stack[number], number)) for number in layers]
    for (layer, formats), alike in groupby(numbered):
        yield layer, formats, len(list(alike))


def _stored(shape: Shape, layer: Layer, formats: Formats) -> dict[str, Stored]:
    """How a layer's matrices are stored; those in 16 bits too, since they are multiplied in 16."""
    by_name = dict(formats)
    found = {}
    for weight in layer_weights(shape, layer):
        form = by_name.get(weight.name, PLAIN)
        if weight.linear:
            found[weight.name] = Stored(form.bytes(weight), weight.elements, form.multiplied_bits)
    return found


def _layer(work: RankWork, layer: Layer) -> list[Op]:
    """One layer. With parallel attention a dense layer needs one norm, one reduction; with four norms two are of outputs."""
    behind = layer.norms >= 4
    reduced = work.residual(work.tokens)
    attention, feed_forward = layer.attention, layer.feed_forward
    ops: list[Op] = []
    if layer.parallel and attention is not None and feed_forward is not None:
        ops += [*work.norm("attention.norm", work.tokens), *attention.block(work), *feed_forward.block(work)]
        ops += work.collective("layer.reduce", "all_reduce", "tensor", reduced)
        return [*ops, *work.extras("layer.extra", layer.extra)]
    if attention is not None:
        ops += [*work.norm("attention.norm", work.tokens), *attention.block(work)]
        ops += work.collective("attention.reduce", "all_reduce", "tensor", reduced)
        ops += work.norm("attention.post_norm", work.tokens) if behind else []
    if feed_forward is not None:
        ops += [*work.norm("ffn.norm", work.tokens), *feed_forward.block(work)]
        if not isinstance(feed_forward, Experts):  # experts reduce on their own axes
            ops += work.collective("ffn.reduce", "all_reduce", "tensor", reduced)
        ops += work.norm("ffn.post_norm", work.tokens) if behind else []
        for name in BESIDE_NORMS[: max(0, layer.norms - 4)]:
            ops += work.norm(name, work.tokens)
    if layer.inputs is not None:
        ops += layer.inputs.block(work)
    if layer.scalar:
        ops.append(_scalar(work))
    return [*ops, *work.extras("layer.extra", layer.extra)]


def _scalar(work: RankWork) -> Compute:
    """A number times the residual stream."""
    p = work.precision
    moved = 2 * work.residual(work.tokens)
    number = p.weight_bytes
    return Compute("layer.scalar", "stream", weight_bytes=number, activation_bytes=moved, resident_bytes=number)


def _embedding(shape: Shape, work: RankWork) -> list[Op]:
    """Rows of the rank's part of the vocabulary, zero for other ranks' tokens, then summed."""
    d, p = work.width, work.precision
    rows = work.tokens
    moved = rows * d * (p.weight_bytes + p.residual_bytes)
    shared_with_head = shape.tied_embeddings and work.layout.pp == 1
    kept = (0 if shared_with_head else vocabulary_share(shape, work.layout)) + shape.learned_positions
    resident = kept * d * p.weight_bytes
    lookup = Compute("embedding.lookup", "stream", activation_bytes=moved, resident_bytes=resident, function="embedding")
    ops: list[Op] = [lookup, *work.collective("embedding.reduce", "all_reduce", "tensor", work.residual(rows))]
    ops += work.extras("embedding.extra", shape.extra)
    return ops if shape.inputs is None else [*ops, *shape.inputs.lookup(work, shape.layers)]


def _head(shape: Shape, work: RankWork, stage: int) -> list[Op]:
    """Logits of each sequence's last token; with a pipeline the chosen tokens go back to the first stage."""
    rows = work.step.sequences
    share = vocabulary_share(shape, work.layout)
    logits = rows * share * work.layout.ranks("tensor") * work.precision.residual_bytes
    ops = [
        *work.norm("head.norm", rows),
        *work.into("head.logits", rows, share, bias=shape.head_bias),
        *work.collective("head.gather", "all_gather", "tensor", logits),
    ]
    if work.layout.pp > 1:
        ops += work.collective("pipeline.tokens", HAND_OFF, "pp", rows * TOKEN_BYTES, stage=stage)
    return ops


def vocabulary_share(shape: Shape, layout: Layout) -> int:
    """Entries of the vocabulary on one rank; the last rank's part is padded."""
    return -(-shape.vocab // layout.ranks("tensor"))


def _check_context(shape: Shape, step: Step) -> None:
    if shape.max_context is None:
        return
    longest = float(np.max(step.context + step.new_tokens))
    if longest > shape.max_context:
        raise InputError(
            f"{shape.name}: context {np.max(step.context):g} + {np.max(step.new_tokens):g} new tokens = {longest:g} "
            f"is beyond the model's {shape.max_context}"
        )
