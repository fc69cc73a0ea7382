"""What a deployment keeps in each rank's memory: weights, KV cache, states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.workload.operations import Compute, Size
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.shape import Layer
from inferometer.emulator.workload.stages import stage_layers, stage_runs


@dataclass(frozen=True)
class Resident:
    """Bytes on the fullest rank of a replica."""

    weights_bytes: float
    kv_bytes: Size
    """Of keys and values, and of the states of layers that keep one instead."""

    @property
    def total_bytes(self) -> Size:
        return self.weights_bytes + self.kv_bytes


def resident(program: Program, sequences: Size, context: Size) -> Resident:
    """Memory of the fullest rank with the whole batch of a replica, sequences of context tokens each, in its cache.

    A pipeline's stage caches every micro-batch, not only the one it works on.
    """
    shape, layout = program.shape, program.layout
    weights: dict[int, float] = {}
    for stage in program.stages:
        for segment in stage.segments:
            if id(segment.ops) not in weights:
                ops = (op for op in segment.ops if isinstance(op, Compute))
                weights[id(segment.ops)] = sum(float(op.resident_bytes) for op in ops)
    fullest = max(sum(segment.repeat * weights[id(segment.ops)] for segment in stage.segments) for stage in program.stages)
    own = np.ceil(np.asarray(sequences) / layout.sequence_shares)
    kept: dict[int, Size] = {}
    for layer, _ in shape.runs:
        kept[id(layer)] = _kept_bytes(layer, layout.attention_ranks, program.precision, context)
    stages = {
        tuple((id(layer), count) for layer, count in stage_runs(shape, layers))
        for layers in stage_layers(shape.layers, layout.pp)
    }
    cached: Size = 0.0
    for runs in stages:
        cached = np.maximum(cached, sum(count * kept[layer] for layer, count in runs))
    return Resident(fullest, own * cached)


def _kept_bytes(layer: Layer, ranks: int, precision: Precision, context: Size) -> Size:
    """Of one sequence in one layer on one of ranks."""
    if layer.attention is None:
        return 0.0
    total: Size = 0.0
    for store in layer.attention.stores(ranks):
        total = total + store.elements * store.entries(context) * precision.kv_bytes
    state = layer.attention.state(ranks)
    return total + state.recurrent * precision.state_bytes + state.recent * precision.residual_bytes
