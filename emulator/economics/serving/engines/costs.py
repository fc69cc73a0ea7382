"""What operations cost on an engine: one function, that fits and prices share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.processor import flop_per_s, multiplied_bits
from inferometer.emulator.economics.serving.engines.executed import Host, Kernels
from inferometer.emulator.economics.serving.engines.parameters import Values
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.operations import BEGIN
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Size

MEETING = 3.0
"""p of (memory^p + arithmetic^p)^(1/p): near where both take as long, a matmul takes longer than either."""


class Features(NamedTuple):
    """Of operations, one element each: what their time depends on. seconds at the datasheet's peak rates.

    kernels: launched; eager: of these, in no graph; moved_s: weights and activations; cache_s: the cache; arithmetic_s:
    FLOP. routed: experts'; attention: 0 none, 1 of decoding, 2 with prompts; steps: 1 of what is done once a step;
    sequences: that get a token in it; alone_s: of a matmul's kernel measured alone, NaN where it was not.
    """

    kernels: Array
    eager: Array
    moved_s: Array
    cache_s: Array
    arithmetic_s: Array
    routed: Array
    attention: Array
    steps: Array
    sequences: Array
    alone_s: Array


def row_of(
    call: Call, device: Accelerator, kernels: Kernels, host: Host, precision: Precision, alone_s: Size | None
) -> tuple[Size, ...]:
    """The features of one operation where it stands in a step."""
    op = call.op
    if op.kind == "glue":
        if op.name != BEGIN:
            return (0.0,) * 9 + (np.nan,)
        return (0.0,) * 7 + (1.0, call.sequences, np.nan)
    bits = precision.attention_bits if op.kind == "attention" else precision.matmul_bits
    if op.bits is not None:
        bits = multiplied_bits(device, op.bits)
    attention = 0.0 if op.kind != "attention" else 2.0 if op.function == "prefill" else 1.0
    launched, decoding = kernels.of(op), np.asarray(call.sequences)
    eager = np.greater(call.tokens, decoding * (1 + 1e-9)) | np.greater(decoding, host.graph_sequences)
    return (
        launched,
        launched * eager,
        (op.weight_bytes + op.activation_bytes) / device.memory_bytes_per_s,
        op.kv_bytes / device.memory_bytes_per_s,
        op.flop / (flop_per_s(device, bits) / device.flop_fraction),
        float(op.routed),
        attention,
        0.0,
        0.0,
        np.nan if alone_s is None else alone_s,
    )


class Costs(NamedTuple):
    """Seconds of each operation: its launches, its memory traffic and its arithmetic alone, both together; what the device
    waits for the host, what the host does ahead of the device."""

    kernel_s: Array
    memory_s: Array
    arithmetic_s: Array
    roof_s: Array
    host_s: Array
    ahead_s: Array


def costs_of(features: Features, values: Values) -> Costs:
    """What operations take with an engine's parameters.

    A matmul reads while it multiplies, and takes a little more than the longer of both. Attention over cached tokens takes
    the longer; where prompts are in the step, its kernels for both kinds follow each other.
    """
    routed, attention = features.routed > 0, features.attention
    moved = features.moved_s / np.where(routed, values["expert_weight_rate"], values["weight_rate"])
    cached = features.cache_s / values["kv_rate"]
    rate = np.where(attention > 0, values["attention_rate"], np.where(routed, values["expert_rate"], values["matmul_rate"]))
    memory, arithmetic = moved + cached, features.arithmetic_s / rate
    most = np.maximum(memory, arithmetic)
    least = np.minimum(memory, arithmetic)
    ratio = np.divide(least, most, out=np.zeros_like(most), where=most > 0)
    roof = most * (1 + ratio**MEETING) ** (1 / MEETING)
    roof = np.where(attention == 1, most, np.where(attention == 2, memory + arithmetic, roof))
    host = features.steps * values["step_s"] + features.sequences * values["sequence_s"]
    alone = np.isfinite(features.alone_s)
    scale = np.where(routed, values["expert_scale"], values["matmul_scale"])
    roof = np.where(alone, np.where(alone, features.alone_s, 0.0) * scale, roof)
    ahead = features.eager * values["eager_s"]
    return Costs((features.kernels - alone) * values["kernel_s"], memory, arithmetic, roof, host, ahead)


def collective_s(isolated_s: Size, values: Values) -> Size:
    """A collective in a step: its isolated time, scaled, and the wait for the last rank."""
    return isolated_s * values["reduce_scale"] + values["reduce_s"]
