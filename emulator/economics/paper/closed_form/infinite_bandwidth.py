"""Tensor parallelism over a network of infinite bandwidth (Erdil, section 2.2): the instance has an optimal size.

N_GPU is a real number. Each all-reduce takes 2 t_hop (√N_GPU − 1): a ring over √N_GPU ranks, passed twice.
"""

from __future__ import annotations

import numpy as np

from inferometer.emulator.economics.paper.closed_form import roofline
from inferometer.emulator.workload.program import Size

REDUCES_PER_LAYER = 4
"""Serial matrix multiplications of a layer cut in two dimensions; 2 with parallel attention (n_reduce)."""


def ring_reduce_s(gpus: Size, hop_s: Size) -> Size:
    """t_reduce = 2 t_hop (√N_GPU − 1), in seconds (Erdil, section 2.2.1)."""
    return 2 * hop_s * (np.sqrt(gpus) - 1)


def network_latency_s(layers: Size, reduce_s: Size, reduces: Size = REDUCES_PER_LAYER) -> Size:
    """Seconds of a step spent in all-reduces: n_layers n_reduce t_reduce, the first term of eq. 3."""
    return layers * reduces * reduce_s


def token_latency_s(
    gpus: Size,
    batch: Size,
    *,
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    flop_per_s: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """Seconds per token of each sequence (Erdil, eq. 3 with the t_reduce of eq. 5 and 8)."""
    single = roofline.token_latency_s(params, bytes_per_param, batch, flop_per_s, memory_bytes_per_s)
    return network_latency_s(layers, ring_reduce_s(gpus, hop_s), reduces) + single / gpus


def gpu_seconds_per_token(
    gpus: Size,
    batch: Size,
    *,
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    flop_per_s: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """Device seconds per token (Erdil, eq. 4): N_GPU / b times the token latency."""
    latency_s = token_latency_s(
        gpus,
        batch,
        params=params,
        layers=layers,
        bytes_per_param=bytes_per_param,
        flop_per_s=flop_per_s,
        memory_bytes_per_s=memory_bytes_per_s,
        hop_s=hop_s,
        reduces=reduces,
    )
    return gpus / batch * latency_s


def optimal_gpus(
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """Instance size of the smallest token latency: max(p N_param / (n_layers n_reduce t_hop B), 1)^(2/3) (Erdil, eq. 13)."""
    read_s = roofline.read_s(roofline.weights_bytes(params, bytes_per_param), memory_bytes_per_s)
    return np.maximum(read_s / network_latency_s(layers, hop_s, reduces), 1.0) ** (2 / 3)


def minimum_token_latency_s(
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """Seconds per token at the optimal size and any batch up to b* (Erdil, eq. 14).

    With R = p N_param / B and S = n_layers n_reduce t_hop: 3 S^(2/3) R^(1/3) − 2 S, or R where one GPU is best.
    """
    read_s = roofline.read_s(roofline.weights_bytes(params, bytes_per_param), memory_bytes_per_s)
    hops_s = network_latency_s(layers, hop_s, reduces)
    several = 3 * hops_s ** (2 / 3) * read_s ** (1 / 3) - 2 * hops_s
    return np.where(read_s > hops_s, several, read_s)


def large_model_latency_s(
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """The minimum latency where N_GPU ≫ 1: 3 (n_layers n_reduce t_hop)^(2/3) (p N_param / B)^(1/3) (Erdil, eq. 18)."""
    read_s = roofline.read_s(roofline.weights_bytes(params, bytes_per_param), memory_bytes_per_s)
    return 3 * network_latency_s(layers, hop_s, reduces) ** (2 / 3) * read_s ** (1 / 3)


def gpu_seconds_at_minimum_latency(
    params: Size,
    layers: Size,
    bytes_per_param: Size,
    flop_per_s: Size,
    memory_bytes_per_s: Size,
    hop_s: Size,
    reduces: Size = REDUCES_PER_LAYER,
) -> Size:
    """Device seconds per token at the optimal size and b* (Erdil, eq. 15); 3 · 2 N_param / C for large models (eq. 17)."""
    model = (params, layers, bytes_per_param, memory_bytes_per_s, hop_s, reduces)
    batch = roofline.critical_batch(bytes_per_param, flop_per_s, memory_bytes_per_s)
    return optimal_gpus(*model) / batch * minimum_token_latency_s(*model)


def square_root_tokens_per_s(params: Size, known_params: Size, known_tokens_per_s: Size) -> Size:
    """Speed of one dense model from another's: latency ∝ √N_param, for layers ∝ N_param^(1/4) (Erdil, eq. 19)."""
    return known_tokens_per_s / np.sqrt(params / known_params)
