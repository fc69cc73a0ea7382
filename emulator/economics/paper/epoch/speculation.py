"""Speculative decoding: a small model drafts γ tokens, one pass of the large one checks them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.model import PaperModel
from inferometer.emulator.economics.paper.epoch.search import fastest
from inferometer.emulator.errors import InputError


@dataclass(frozen=True)
class Speculation:
    """Each drafted token is accepted with a probability of acceptance; γ = 2 … gamma_max are tried beside none.

    A round of γ drafts yields (1 − a^γ)/(1 − a) tokens: a time per token of [t_P(γ) + γ t_Q] (1 − a)/(1 − a^γ).
    Both models use the same GPUs, batch and context, each under its own best layout; the draft's weights and cache
    take no room from the large model.
    """

    draft: PaperModel
    acceptance: float = 0.8
    gamma_max: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.acceptance < 1:
            raise InputError(f"acceptance = {self.acceptance:g} must be at least 0 and below 1")
        if self.gamma_max < 1:
            raise InputError(f"gamma_max = {self.gamma_max} must be at least 1")

    def tokens_per_round(self, gamma: int) -> float:
        return (1 - self.acceptance**gamma) / (1 - self.acceptance)


@dataclass(frozen=True)
class Decoding:
    """Per grid point [gpus, batch]: seconds per generated token, the γ that wins (1: no speculation), the large
    model's layout then as a position in CANDIDATES."""

    latency_s: Array
    gamma: NDArray[np.intp]
    candidate: NDArray[np.intp]


def decode(
    forward: ForwardPass, speculation: Speculation | None, gpus: Array, batch: Array, below: Array | None = None
) -> Decoding:
    """The least time per token on the grid gpus [n] × batch [m]; inf where it is not below `below` [n, m]."""
    plain = fastest(forward, gpus, batch, below)
    found = Decoding(plain.latency_s, np.ones(plain.candidate.shape, dtype=np.intp), plain.candidate)
    if speculation is None or speculation.gamma_max < 2:
        return found
    bound = plain.latency_s if below is None else np.minimum(below, plain.latency_s)
    # A draft that takes γ t_Q alone past the bound is of no use; γ = 2 leaves it the most time.
    draft = replace(forward, model=speculation.draft)
    draft_s = fastest(draft, gpus, batch, bound * (speculation.tokens_per_round(2) / 2)).latency_s
    drafted = np.isfinite(draft_s)
    draft_s = np.where(drafted, draft_s, 0.0)
    for gamma in range(2, speculation.gamma_max + 1):
        tokens = speculation.tokens_per_round(gamma)
        left_s = np.where(drafted, bound * tokens - gamma * draft_s, 0.0)
        check = fastest(replace(forward, tokens=gamma), gpus, batch, left_s)
        latency_s = (check.latency_s + gamma * draft_s) / tokens
        better = latency_s < bound
        for kept, value in (bound, latency_s), (found.latency_s, latency_s), (found.candidate, check.candidate):
            np.copyto(kept, value, where=better)
        np.copyto(found.gamma, gamma, where=better)
    return found
