"""A question under epoch-2025, checked: who decodes what, on what, with what help."""

from __future__ import annotations

import math
from dataclasses import dataclass

from inferometer.emulator.economics.paper.epoch.collectives import network_of
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.speculation import Speculation
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.errors import InputError


@dataclass(frozen=True)
class Question:
    """What `predict`, `latency_grid`, `frontier` have in common."""

    forward: ForwardPass
    speculation: Speculation | None


def ask(
    model: PaperModel,
    accelerator: Accelerator,
    *,
    context: float,
    tokens: int = 1,
    network: Network | None = None,
    speculator: PaperModel | None = None,
    acceptance: float = 0.8,
    gamma_max: int = 5,
) -> Question:
    """Raises InputError for a negative context, fewer than one token per pass, a price or acceptance out of range."""
    if not (math.isfinite(context) and context >= 0):
        raise InputError(f"context = {context:g} must be at least 0 tokens")
    if tokens < 1:
        raise InputError(f"tokens = {tokens:g} per sequence and pass must be at least 1")
    if speculator is not None and tokens != 1:
        raise InputError(f"tokens = {tokens}: speculation sets the tokens per pass itself")
    if accelerator.usd_per_hour is not None and not accelerator.usd_per_hour > 0:
        raise InputError(f"{accelerator.name}: usd_per_hour = {accelerator.usd_per_hour:g} must be above 0")
    forward = ForwardPass(model, accelerator, network or network_of(accelerator), context, tokens)
    return Question(forward, Speculation(speculator, acceptance, gamma_max) if speculator else None)
