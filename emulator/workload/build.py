"""Build the program of one step of a model under a layout."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby

import numpy as np

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.attention import attention_block
from inferometer.emulator.workload.feedforward import Routing, dense_block, expert_block, load_imbalance
from inferometer.emulator.workload.layout import Layout, check_layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute, Op, Program, Segment, Size, Stage
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

TOKEN_BYTES = 8  # token ids travel as int64


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
    work = RankWork(shape, layout, precision or Precision(), part.share(layout.sequence_shares), node_size, imbalance)
    per_stage = shape.layers // layout.pp
    stages = tuple(_stage(work, index, range(index * per_stage, (index + 1) * per_stage)) for index in range(layout.pp))
    return Program(shape, layout, work.precision, micro_batches, stages, work.step.tokens)


def _stage(work: RankWork, index: int, layers: range) -> Stage:
    shape, layout = work.shape, work.layout
    segments = []
    if index == 0:
        segments.append(Segment("embedding", 1, tuple(_embedding(work))))
    for (experts, window), alike in groupby(layers, lambda layer: (shape.has_experts(layer), shape.window_of(layer))):
        ops = _layer(replace(work, window=window), with_experts=experts)
        segments.append(Segment("expert layer" if experts else "dense layer", len(list(alike)), tuple(ops)))
    if index < layout.pp - 1:
        hand_off = work.collective("pipeline.activations", "send_recv", "pp", work.residual(work.tokens), stage=index)
        segments.append(Segment("hand-off", 1, tuple(hand_off)))
    else:
        segments.append(Segment("head", 1, tuple(_head(work, index))))
    return Stage(index, tuple(segments))


def _layer(work: RankWork, *, with_experts: bool) -> list[Op]:
    """One transformer layer. With parallel attention a dense layer needs one norm, one reduction."""
    reduced = work.residual(work.tokens)
    ops = [*work.norm("attention.norm", work.tokens), *attention_block(work)]
    if work.shape.parallel_attention and not with_experts:
        return [*ops, *dense_block(work), *work.collective("layer.reduce", "all_reduce", "tensor", reduced)]
    ops += work.collective("attention.reduce", "all_reduce", "tensor", reduced)
    ops += work.norm("ffn.norm", work.tokens)
    if with_experts:
        return [*ops, *expert_block(work)]
    return [*ops, *dense_block(work), *work.collective("ffn.reduce", "all_reduce", "tensor", reduced)]


def _embedding(work: RankWork) -> list[Op]:
    """Rows of the rank's part of the vocabulary, zero for other ranks' tokens, then summed."""
    d, p = work.width, work.precision
    rows = work.tokens
    moved = rows * d * (p.weight_bytes + p.residual_bytes)
    shared_with_head = work.shape.tied_embeddings and work.layout.pp == 1
    kept = (0 if shared_with_head else vocabulary_share(work.shape, work.layout)) + work.shape.learned_positions
    lookup = Compute("embedding.lookup", "stream", activation_bytes=moved, resident_bytes=kept * d * p.weight_bytes)
    return [lookup, *work.collective("embedding.reduce", "all_reduce", "tensor", work.residual(rows))]


def _head(work: RankWork, stage: int) -> list[Op]:
    """Logits of each sequence's last token; with a pipeline the chosen tokens go back to the first stage."""
    rows = work.step.sequences
    share = vocabulary_share(work.shape, work.layout)
    logits = rows * share * work.layout.ranks("tensor") * work.precision.residual_bytes
    ops = [
        *work.norm("head.norm", rows),
        *work.into("head.logits", rows, share, bias=work.shape.head_bias),
        *work.collective("head.gather", "all_gather", "tensor", logits),
    ]
    if work.layout.pp > 1:
        ops += work.collective("pipeline.tokens", "send_recv", "pp", rows * TOKEN_BYTES, stage=stage)
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
