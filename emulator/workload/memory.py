"""What a deployment keeps in each rank's memory: weights, KV cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.workload.attention import kv_elements
from inferometer.emulator.workload.cache import tokens_over_layers
from inferometer.emulator.workload.program import Compute, Program, Size


@dataclass(frozen=True)
class Resident:
    """Bytes on the fullest rank of a replica."""

    weights_bytes: float
    kv_bytes: Size

    @property
    def total_bytes(self) -> Size:
        return self.weights_bytes + self.kv_bytes


def resident(program: Program, sequences: Size, context: Size) -> Resident:
    """Memory of the fullest rank with the whole batch of a replica, sequences of context tokens each, in its cache.

    A pipeline's stage caches every micro-batch, not only the one it works on.
    """
    shape, layout = program.shape, program.layout
    per_stage = [
        sum(count * float(op.resident_bytes) for count, op in stage.counted() if isinstance(op, Compute))
        for stage in program.stages
    ]
    own = np.ceil(np.asarray(sequences) / layout.sequence_shares)
    per_token = kv_elements(shape.attention, layout.attention_ranks) * program.precision.kv_bytes
    tokens = tokens_over_layers(shape, context, shape.layers // layout.pp)
    return Resident(max(per_stage), own * tokens * per_token)
