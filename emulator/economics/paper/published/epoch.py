"""The paper's tables by the names of its models and accelerators, under the epoch-2025 convention."""

from __future__ import annotations

from dataclasses import dataclass

from inferometer.emulator.economics.paper.closed_form.infinite_bandwidth import minimum_token_latency_s, optimal_gpus
from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model
from inferometer.emulator.economics.paper.epoch.frontier import EpochFrontier, frontier


@dataclass(frozen=True)
class Optimum:
    """The fastest instance of the model without bandwidth limits."""

    tokens_per_s: float
    gpus: float


def toy_optimum(model: str, bytes_per_param: float, memory_bytes_per_s: float, reduces: int, hop_s: float) -> Optimum:
    """A row of Table 1: eq. 13 and 14 with all parameters, embedding and unembedding among them."""
    paper_model = load_model(model)
    sizes = (paper_model.parameters, paper_model.layers, bytes_per_param, memory_bytes_per_s, hop_s, reduces)
    return Optimum(1 / float(minimum_token_latency_s(*sizes)), float(optimal_gpus(*sizes)))


def frontier_of(
    model: str,
    accelerator: str,
    weight_bits: int,
    context: float,
    alpha: float,
    speculator: str | None = None,
    acceptance: float = 0.8,
) -> EpochFrontier:
    """The frontier that a row of Tables 2 to 6 is a point of; the speculator's weights are 16-bit."""
    return frontier(
        load_model(model, weight_bits=weight_bits),
        load_accelerator(accelerator),
        context=context,
        speculator=load_model(speculator) if speculator else None,
        acceptance=acceptance,
        alpha=alpha,
    )


def speculation_gain(
    model: str, accelerator: str, weight_bits: int, context: float, alpha: float, speculator: str, acceptance: float
) -> float:
    """Speed of the preferred point with speculation over that without, less 1."""
    plain = frontier_of(model, accelerator, weight_bits, context, alpha)
    speculated = frontier_of(model, accelerator, weight_bits, context, alpha, speculator, acceptance)
    return speculated.preferred.tokens_per_s / plain.preferred.tokens_per_s - 1


def sparsity(model: str) -> int:
    """Experts over active experts as the paper's code has it."""
    return load_model(model).sparsity
