"""The two earlier functions of the paper's code: the model as its text presents it, and its toy model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch import memory
from inferometer.emulator.economics.paper.epoch.collectives import network_of
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.reductions import group
from inferometer.emulator.economics.pricing.accelerator import Accelerator


@dataclass(frozen=True)
class Terms:
    """Seconds of a token by term, as the paper adds them up: kernels + network + the larger of memory and arithmetic."""

    kernel_s: Array
    network_latency_s: Array
    network_bandwidth_s: Array
    memory_s: Array
    arithmetic_s: Array

    @property
    def total_s(self) -> Array:
        network_s = self.network_latency_s + self.network_bandwidth_s
        return np.asarray(self.kernel_s + network_s + np.maximum(self.memory_s, self.arithmetic_s))


#: Of the toy model: a hop, and what every reduce costs besides.
TOY_HOP_S = 2e-6
TOY_BASE_S = 6e-6


def as_presented(
    model: PaperModel, accelerator: Accelerator, gpus: ArrayLike, batch: ArrayLike, *, context: float = 0.0, tokens: int = 1
) -> Terms:
    """Terms of 2D tensor parallelism over all GPUs, as eq. 29 to 44 describe it; infinite memory_s where it does not fit.

    gpus and batch broadcast. Four reduces per layer over √N ranks, no pipeline, no expert parallelism, no scale-down;
    protocols, overlap, memory traffic as in the complete model.
    """
    N, b = np.broadcast_arrays(np.asarray(gpus, dtype=float), np.asarray(batch, dtype=float))
    forward = ForwardPass(model, accelerator, network_of(accelerator), context, tokens)
    ranks, nodes = group(True, N, accelerator.node_size)
    out = model.d_model
    widths = (
        model.qkv_width,
        out,
        model.active_experts * model.ff_in * model.d_ff,
        model.active_experts * model.ff_out * out,
    )
    per_width = b * tokens * model.activation_bytes / ranks
    latency_s: Array = np.zeros(N.shape)
    bandwidth_s: Array = np.zeros(N.shape)
    for width in widths:
        time = forward.network.time("all_reduce", width * per_width, ranks, nodes)
        latency_s = latency_s + model.layers * time.latency_s
        bandwidth_s = bandwidth_s + model.layers * time.bandwidth_s
    flop = forward.flop.total * b
    return Terms(
        np.full(N.shape, forward.kernel_s),
        latency_s,
        bandwidth_s,
        np.where(_fits(forward, N, b), _memory_bytes(forward, N, b) / (N * forward.memory_bytes_per_s), np.inf),
        flop / (N * forward.flop_per_s),
    )


def toy_latency_s(model: PaperModel, accelerator: Accelerator, gpus: ArrayLike, batch: ArrayLike) -> Array:
    """The toy model of section 2.2 as coded, in seconds per token: no cache, no traffic, all parameters active.

    n_layers n_reduce [2 µs (√N − 1) + 6 µs] + max(N_param p_w / (N B), 2 N_param b / (N F)), B and F sustained; four
    reduces, two with parallel attention. The paper's eq. 5 has neither the 6 µs nor sustained rates.
    """
    N, b = np.asarray(gpus, dtype=float), np.asarray(batch, dtype=float)
    forward = ForwardPass(model, accelerator, network_of(accelerator))
    reduces = 2 if model.parallel_attention else 4
    network = model.layers * reduces * (TOY_HOP_S * (np.sqrt(N) - 1) + TOY_BASE_S)
    memory_s = model.parameters * model.weight_bytes / (N * forward.memory_bytes_per_s)
    return np.asarray(network + np.maximum(memory_s, 2 * model.parameters * b / (N * forward.flop_per_s)))


def _memory_bytes(forward: ForwardPass, N: Array, b: Array) -> Array:
    model, tokens = forward.model, b * forward.tokens
    weights, per_token = memory.attention_bytes(model, N)
    one = memory.matmul_bytes(model, model.d_model, model.d_ff, tokens / model.sparsity, N)
    feed_forward = memory.used_experts(model, tokens) * (model.experts * model.ff_matrices * one)
    layers = model.layers * (feed_forward + weights + tokens * per_token)
    return np.asarray(memory.kv_bytes(model, forward.context, b) + layers + memory.unembedding_bytes(model))


def _fits(forward: ForwardPass, N: Array, b: Array) -> Array:
    model = forward.model
    needed = memory.kv_bytes(model, forward.context, b) + model.weight_bytes * model.parameters
    return np.asarray(N * forward.accelerator.memory_bytes >= needed)
