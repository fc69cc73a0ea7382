"""Price a program: what each stage's list of operations costs on an accelerator and a network."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from inferometer.emulator.economics.accelerator import Accelerator
from inferometer.emulator.economics.network import Network
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute, Program, Size, Stage


@dataclass(frozen=True)
class Terms:
    """The five terms of a step's time, in seconds: token latency = kernels + network + max(memory, arithmetic)."""

    kernel_s: Size = 0.0
    network_latency_s: Size = 0.0
    network_bandwidth_s: Size = 0.0
    memory_s: Size = 0.0
    arithmetic_s: Size = 0.0

    @property
    def total_s(self) -> Size:
        roof = np.maximum(self.memory_s, self.arithmetic_s)
        return self.kernel_s + self.network_latency_s + self.network_bandwidth_s + roof

    def __add__(self, other: Terms) -> Terms:
        return Terms(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(Terms)})

    def as_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(Terms)}


def price(program: Program, accelerator: Accelerator, network: Network) -> list[Terms]:
    """The terms of each stage for one micro-batch.

    Every computation is one kernel: kernel_s is not hidden by the work of the one before. Memory and arithmetic run at
    the accelerator's sustained rates; each collective costs what the network says for its own kind, bytes, ranks,
    nodes.
    """
    return [_price_stage(stage, program.precision, accelerator, network) for stage in program.stages]


def _price_stage(stage: Stage, precision: Precision, accelerator: Accelerator, network: Network) -> Terms:
    kernels = 0
    latency: Size = 0.0
    bandwidth: Size = 0.0
    memory: Size = 0.0
    arithmetic: Size = 0.0
    for count, op in stage.counted():
        if isinstance(op, Compute):
            kernels += count
            memory = memory + count * op.memory_bytes
            bits = precision.attention_bits if op.kind == "attention" else precision.matmul_bits
            arithmetic = arithmetic + count * op.flop / flop_per_s(accelerator, bits)
        else:
            time = network.time(op.collective, op.bytes, op.ranks, op.nodes)
            latency = latency + count * time.latency_s
            bandwidth = bandwidth + count * time.bandwidth_s
    memory_rate = accelerator.memory_bytes_per_s * accelerator.memory_fraction
    return Terms(kernels * accelerator.kernel_s, latency, bandwidth, memory / memory_rate, arithmetic)


def flop_per_s(accelerator: Accelerator, bits: int) -> float:
    """Sustained FLOP/s for operands of so many bits; a width without a rate of its own runs at the next wider one's.

    Raises InputError if the accelerator has no rate for that width or any wider one.
    """
    wider = [width for width in accelerator.flop_per_s if width >= bits]
    if not wider:
        have = ", ".join(f"{width}-bit" for width in sorted(accelerator.flop_per_s))
        raise InputError(f"{accelerator.name}: no FLOP/s for {bits}-bit operands: it has {have}")
    return accelerator.flop_per_s[min(wider)] * accelerator.flop_fraction
