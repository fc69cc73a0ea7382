"""The rival of `epoch_grid.py`: the epoch-2025 model as one writes it down first, docs/economics-epoch-2025.md in order.

132 passes over the whole grid, one for each candidate layout; each computes every term it needs, nothing is shared
between passes, nothing is skipped. Plain decoding on NCCL's protocols.
"""

from __future__ import annotations

import numpy as np

PROTOCOLS = ((6.8e-6, 0.6e-6, 5e-6, 0.5), (14e-6, 1.25e-6, 8.5e-6, 0.95), (0.0, 28e-6, 28e-6, 1.0))


def latencies(model, accelerator, gpus, batch, context=0.0):
    """Seconds per token [gpus, batch] of the best layout; inf where none fits."""
    N, b = np.meshgrid(gpus, batch, indexing="ij")
    best = np.full(N.shape, np.inf)
    with np.errstate(all="ignore"):  # layouts that cannot be have logarithms and roots of anything
        for two_d in (True, False):
            for pipeline in (None, *range(10)):
                for scale in range(6):
                    best = np.fmin(best, one_layout(model, accelerator, N, b, context, two_d, pipeline, scale))
    return best


def one_layout(model, accelerator, N, b, context, two_d, pipeline, scale):
    """Seconds per token of one candidate, inf where it cannot be."""
    pa, s, layers, d = model.activation_bytes, model.sparsity, model.layers, model.d_model
    P = np.ones_like(b) if pipeline is None else np.minimum(b, layers) ** (pipeline / 9)
    T = N / P
    tokens = b / P
    E = np.where(tokens >= 2 * s, np.minimum(T, model.experts), 1.0)
    T_ff = np.maximum(1.0, T / E)
    f = T ** (scale / 5)
    T_at = T / f

    R, M = ranks_and_nodes(two_d, T_at, accelerator)
    width = d * tokens * pa / (R if two_d else 1.0)
    network = layers * collective(accelerator, 2, width, R, M)
    if two_d:
        network = network + layers * collective(accelerator, 2, model.qkv_width * tokens * pa / R, R, M)
    R, M = ranks_and_nodes(two_d, T_ff, accelerator)
    share = model.active_experts * tokens * pa * R / T
    network = network + layers * collective(accelerator, 2, model.ff_out * d * share, R, M)
    if two_d:
        network = network + layers * collective(accelerator, 2, model.ff_in * model.d_ff * share, R, M)
    if model.experts > 1:
        r = np.minimum(model.active_experts, E)
        network = network + 2 * layers * collective(
            accelerator, 1, r * d * tokens * pa / T, r, np.ceil(r / accelerator.node_size)
        )
    network = network + (P - 1) * collective(accelerator, 1, d * tokens * pa / T, 2.0, 2.0)

    used = 1 - (1 - 1 / s) ** tokens if s > 1 else 1.0
    feed_forward = used * model.experts * model.ff_matrices * matmul(model, d, model.d_ff, tokens / s, T_ff)
    attention = sum(matmul(model, m, k, tokens, T_at) for m, k in model.attention_matmuls)
    cache = model.kv_bytes_per_token * context * tokens
    moved = cache + layers * (feed_forward + f * attention) + model.weight_bytes * model.vocabulary * d
    memory = P * moved / (N * accelerator.memory_bytes_per_s * accelerator.memory_fraction)

    width = model.kv_rank or model.d_head
    ff_flop = 2 * model.ff_parameters / s * b
    kv_flop = 4 * width * model.query_heads * layers * context * b
    other_flop = 2 * model.active_parameters * b - ff_flop
    rate = accelerator.flop_per_s[max(model.weight_bits, 8)] * accelerator.flop_fraction
    arithmetic = (ff_flop + kv_flop + f * other_flop) / (N * rate)

    latency = 4 * layers * accelerator.kernel_s + network + np.maximum(memory, arithmetic)
    fits = N * accelerator.memory_bytes >= cache + model.weight_bytes * model.parameters
    return np.where((np.minimum(N, b) >= P) & fits, latency, np.inf)


def ranks_and_nodes(two_d, gpus, accelerator):
    nodes = np.ceil(gpus / accelerator.node_size)
    return (np.sqrt(gpus), np.sqrt(nodes)) if two_d else (gpus, nodes)


def collective(accelerator, m, X, R, M):
    """Seconds of the fastest of three protocols."""
    inside = m * (R - M) * X / (R * accelerator.intra_bytes_per_s)
    between = m * (M - 1) * X / (R * accelerator.inter_bytes_per_s)
    transfer = np.maximum(inside, between)
    per_node, doublings = R / M - 1, np.log2(M)
    best = np.inf
    for base, a, c, fraction in PROTOCOLS:
        best = np.minimum(best, base + m * (a * per_node + c * doublings) + transfer / fraction)
    return np.where(R > 1, best, 0.0)


def matmul(model, m, k, n, t):
    t1 = np.minimum(np.maximum(np.sqrt(m * t / k), 1.0), t)
    return model.weight_bytes * m * k + model.activation_bytes * (t1 * k * n + t / t1 * m * n)


def pareto(latency, gpus, batch, thresholds=1000, slowest=100.0):
    """The cheapest point within each latency threshold, each once, as flat positions, fastest first."""
    N, b = (axis.ravel() for axis in np.meshgrid(gpus, batch, indexing="ij"))
    t = latency.ravel()
    cost = N * t / b
    kept = []
    for limit in t.min() * np.geomspace(1.0, slowest, thresholds):
        best = int(np.argmin(np.where(t <= limit, cost, np.inf)))
        if not kept or best != kept[-1]:
            kept.append(best)
    return kept
