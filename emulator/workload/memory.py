"""What a deployment keeps in each rank's memory: weights, KV cache, states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferometer.emulator.workload.operations import Compute, Size
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program
from inferometer.emulator.workload.shape import Layer
from inferometer.emulator.workload.stages import stage_layers


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
    weights = [
        sum(count * float(op.resident_bytes) for count, op in stage.counted() if isinstance(op, Compute))
        for stage in program.stages
    ]
    own = np.ceil(np.asarray(sequences) / layout.sequence_shares)
    cached = [
        _cached_bytes(shape.stack[layers.start : layers.stop], layout.attention_ranks, program.precision, context)
        for layers in stage_layers(shape.layers, layout.pp)
    ]
    fullest = cached[0]
    for stage in cached[1:]:
        fullest = np.maximum(fullest, stage)
    return Resident(max(weights), own * fullest)


def _cached_bytes(layers: Sequence[Layer], ranks: int, precision: Precision, context: Size) -> Size:
    """Of one sequence on one of ranks, over layers."""
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    total: Size = 0.0
    for layer, count in counts.items():
        if layer.attention is None:
            continue
        for store in layer.attention.stores(ranks):
            total = total + count * store.elements * store.entries(context) * precision.kv_bytes
        state = layer.attention.state(ranks)
        total = total + count * (state.recurrent * precision.state_bytes + state.recent * precision.residual_bytes)
    return total
