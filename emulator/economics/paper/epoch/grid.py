"""Latencies over a grid of GPUs and batches."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.question import ask
from inferometer.emulator.economics.paper.epoch.speculation import decode
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network

#: The grid ends here: GPUs, and sequences per unit of sparsity.
MOST = 2.0**18


def paper_grid(model: PaperModel, accelerator: Accelerator, points: int = 400) -> tuple[Array, Array]:
    """gpus [points] from what just holds the weights to 2^18; batches [points] from 1 to 2^18·sparsity; log-spaced."""
    least = model.parameters * model.weight_bytes / accelerator.memory_bytes
    return np.geomspace(least, MOST, points), np.geomspace(1.0, MOST * model.sparsity, points)


def latency_grid(
    model: PaperModel,
    accelerator: Accelerator,
    gpus: ArrayLike,
    batch: ArrayLike,
    *,
    context: float = 0.0,
    tokens: int = 1,
    network: Network | None = None,
    speculator: PaperModel | None = None,
    acceptance: float = 0.8,
    gamma_max: int = 5,
) -> Array:
    """Seconds per token [gpus, batch] of the best layout for every pair of gpus [n] and batch [m]; inf where none fits.

    The further arguments are those of `predict`.
    """
    question = ask(
        model,
        accelerator,
        context=context,
        tokens=tokens,
        network=network,
        speculator=speculator,
        acceptance=acceptance,
        gamma_max=gamma_max,
    )
    axes = np.asarray(gpus, dtype=float), np.asarray(batch, dtype=float)
    return decode(question.forward, question.speculation, *axes).latency_s
