"""Bytes that a micro-batch moves between memory and processors."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.stage import Stage


def activation_passes(m: float, k: float, gpus: Array) -> Array:
    """Elements that all gpus move per column of activations, in a product of weights m × k with activations k × n.

    t1 k + t2 m: inputs are read t1 times, outputs written t2 times in the best 2D cut, t1 = √(m t/k) between 1 and t,
    t2 = t/t1. The paper's code takes this cut in 1D layouts as well.
    """
    t1 = np.minimum(np.maximum(np.sqrt(gpus * (m / k)), 1.0), gpus)
    return t1 * k + gpus / t1 * m


def matmul_bytes(model: PaperModel, m: float, k: float, n: ArrayLike, gpus: Array) -> Array:
    """Q = p_w m k + p_a n (t1 k + t2 m)."""
    return model.weight_bytes * m * k + model.activation_bytes * np.asarray(n) * activation_passes(m, k, gpus)


def used_experts(model: PaperModel, tokens: Array) -> Array | float:
    """Fraction of the experts that some token of a micro-batch uses; evenly random."""
    return 1.0 if model.sparsity == 1 else 1 - (1 - 1 / model.sparsity) ** tokens


def ff_bytes(model: PaperModel, stage: Stage) -> Array:
    """Of one layer. The fraction of experts used multiplies their activations too."""
    one = matmul_bytes(model, model.d_model, model.d_ff, stage.tokens / model.sparsity, stage.tp_ff)
    return used_experts(model, stage.tokens) * (model.experts * model.ff_matrices * one)


def attention_bytes(model: PaperModel, tp_attention: Array) -> tuple[float, Array]:
    """Of one layer, without the cache: bytes of the weights, bytes for each token. Together Σ Q over its matrices."""
    passes = [activation_passes(m, k, tp_attention) for m, k in model.attention_matmuls]
    return attention_weights(model), model.activation_bytes * np.sum(passes, axis=0)


def attention_weights(model: PaperModel) -> float:
    """Bytes of one layer's matrices."""
    return model.weight_bytes * sum(m * k for m, k in model.attention_matmuls)


def kv_bytes(model: PaperModel, context: float, sequences: Array) -> Array:
    """Read once per pass, however many tokens it verifies."""
    return model.kv_bytes_per_token * context * sequences


def unembedding_bytes(model: PaperModel) -> float:
    return model.weight_bytes * model.vocabulary * model.d_model


def weights_read(model: PaperModel, tokens: Array) -> Array:
    """The weights among the bytes that one micro-batch moves."""
    experts = used_experts(model, tokens) * np.asarray(model.weight_bytes * model.ff_parameters)
    return experts + model.layers * attention_weights(model) + unembedding_bytes(model)
