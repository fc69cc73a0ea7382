"""The epoch-2025 prediction for one instance: its best layout, its latency, what both are made of."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from inferometer.emulator.economics.paper.epoch.breakdown import breakdown
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.question import ask
from inferometer.emulator.economics.paper.epoch.speculation import decode
from inferometer.emulator.economics.paper.epoch.stage import CANDIDATES, PIPELINE_STEPS, stage
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.serving.prediction import what_binds
from inferometer.emulator.errors import InputError

GB = 1e9


@dataclass(frozen=True)
class Prediction:
    """Times in seconds, sizes in bytes.

    token_latency_s is the time per token of one sequence. Without speculation it is kernel_s + network_latency_s +
    network_bandwidth_s + max(memory_s, arithmetic_s) of terms; with γ drafts, (pass_s + γ draft_s)/tokens_per_round,
    and terms, layout, collectives are those of the pass of the large model that checks γ tokens.
    """

    model: str
    accelerator: str
    network: str
    gpus: float
    batch: float
    context: float
    token_latency_s: float
    terms: dict[str, float]
    binds: str
    layout: dict[str, Any]
    collectives: list[dict[str, Any]]
    tokens_per_s: float
    """Of one sequence."""
    throughput_tokens_per_s: float
    """Of the whole batch."""
    usd_per_mtok: float | None
    mfu: float
    """FLOP of one plain token step over what the datasheet's rate would do meanwhile."""
    memory: dict[str, float]
    """Per GPU: weights_bytes, kv_bytes of one micro-batch (all that the paper's code asks room for), capacity_bytes."""
    pass_s: float
    gamma: int | None = None
    draft_s: float | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def predict(
    model: PaperModel,
    accelerator: Accelerator,
    gpus: float,
    batch: float,
    *,
    context: float = 0.0,
    tokens: int = 1,
    network: Network | None = None,
    speculator: PaperModel | None = None,
    acceptance: float = 0.8,
    gamma_max: int = 5,
) -> Prediction:
    """The best layout for real-valued gpus and batch (sequences) at a context, tokens per sequence in one pass.

    network: prices all collectives (all_reduce, all_to_all, send_recv) instead of the accelerator's constants.
    speculator: drafts for the model; gamma says how many tokens at a time, 1 for none, and is None without one.

    Raises InputError for fewer than one GPU or sequence, for a model that does not fit (by how many GB), for a network
    that knows no time for what any layout needs.
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
    for name, value in (("gpus", gpus), ("batch", batch)):
        if not (math.isfinite(value) and value >= 1):
            raise InputError(f"{name} = {value:g} must be at least 1")
    forward = question.forward
    _check_fit(forward, gpus, batch)
    points = np.array([gpus], dtype=float), np.array([batch], dtype=float)
    found = decode(forward, question.speculation, *points)
    latency_s, gamma = float(found.latency_s[0, 0]), int(found.gamma[0, 0])
    if not math.isfinite(latency_s):
        raise InputError(f"{forward.network.name} determines the collectives of no layout of {gpus:g} GPUs")
    checked = replace(forward, tokens=gamma) if gamma > 1 else forward
    parts = breakdown(checked, gpus, batch, CANDIDATES[found.candidate[0, 0]])
    draft_s = None
    if question.speculation is not None and gamma > 1:
        draft_s = (latency_s * question.speculation.tokens_per_round(gamma) - parts.latency_s) / gamma
    price = accelerator.usd_per_hour
    return Prediction(
        model=model.name,
        accelerator=accelerator.name,
        network=forward.network.name,
        gpus=gpus,
        batch=batch,
        context=context,
        token_latency_s=latency_s,
        terms=parts.terms,
        binds=what_binds(parts.terms, 0.0),
        layout=parts.layout,
        collectives=parts.collectives,
        tokens_per_s=1 / latency_s,
        throughput_tokens_per_s=batch / latency_s,
        usd_per_mtok=None if price is None else usd_per_mtok(gpus, batch, latency_s, price),
        mfu=float(mfu(forward, gpus, batch, latency_s)),
        memory={
            "weights_bytes": model.weight_bytes * model.parameters / gpus,
            "kv_bytes": model.kv_bytes_per_token * context * parts.layout["micro_batch"] / gpus,
            "capacity_bytes": accelerator.memory_bytes,
        },
        pass_s=parts.latency_s,
        gamma=None if question.speculation is None else gamma,
        draft_s=draft_s,
    )


def usd_per_mtok(gpus: Any, batch: Any, latency_s: Any, usd_per_hour: float) -> Any:
    """USD per million tokens: GPU-seconds of one token, at the price of one GPU."""
    return gpus * latency_s / batch * usd_per_hour / 3600 * 1e6


def mfu(forward: ForwardPass, gpus: Any, batch: Any, latency_s: Any) -> Any:
    """FLOP of a plain step over what the datasheet's rate, which nothing sustains, would do meanwhile."""
    flop = replace(forward, tokens=1).flop.total * batch
    return flop / (gpus * forward.flop_per_s / forward.accelerator.flop_fraction * latency_s)


def _check_fit(forward: ForwardPass, gpus: float, batch: float) -> None:
    """Raise InputError, with the arithmetic, where weights and the smallest micro-batch's cache exceed all memory."""
    model, accelerator = forward.model, forward.accelerator
    stages = [stage(model, gpus, batch, 1, step) for step in range(PIPELINE_STEPS)]
    if not all(forward.rejected(s, batch) for s in stages):
        return
    sequences = min(float(s.sequences) for s in stages if s.pp <= min(gpus, batch))
    weights = model.weight_bytes * model.parameters
    cache = model.kv_bytes_per_token * forward.context * sequences
    missing = weights + cache - gpus * accelerator.memory_bytes
    raise InputError(
        f"{model.name} does not fit on {gpus:g} × {accelerator.name}: weights {weights / GB:.1f} GB + KV cache "
        f"{cache / GB:.1f} GB are {missing / GB:.1f} GB more than {gpus:g} × {accelerator.memory_bytes / GB:g} GB"
    )
