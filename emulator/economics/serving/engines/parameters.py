"""The physical parameters of a serving engine: what no datasheet says, few enough to be fitted from served points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

Status = Literal["fitted", "prior", "fixed"]
"""fitted: the points determine it better than the prior does; prior: they do not; fixed: given, not fitted."""


@dataclass(frozen=True)
class Prior:
    """What is known before any fit: a value, and its standard deviation as a logarithm."""

    value: float
    log_sd: float
    unit: str
    meaning: str


#: In the order in which profiles list them. Rates are shares of the datasheet's peak.
PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "kernel_s": Prior(2.4e-6, 0.3, "s", "a kernel in a CUDA graph: its start, its end, what it waits for"),
        "matmul_scale": Prior(1.0, 0.2, "", "dense matmuls in a step over those measured alone, where such were"),
        "expert_scale": Prior(1.0, 0.3, "", "experts' grouped matmuls in a step over those measured alone, where such were"),
        "weight_rate": Prior(0.80, 0.10, "of peak", "memory bandwidth that dense matrices and activations are read at"),
        "expert_weight_rate": Prior(0.80, 0.20, "of peak", "memory bandwidth that experts' matrices are read at"),
        "kv_rate": Prior(0.65, 0.30, "of peak", "memory bandwidth that attention reads its cache at"),
        "matmul_rate": Prior(0.60, 0.20, "of peak", "FLOP/s of dense matmuls of many rows"),
        "expert_rate": Prior(0.25, 0.40, "of peak", "FLOP/s of experts' grouped matmuls of many rows"),
        "attention_rate": Prior(0.60, 0.50, "of peak", "FLOP/s of attention over prompts, at 16 bits"),
        "step_s": Prior(4e-4, 0.7, "s", "host time of a step that the device waits for: scheduling, launch, sampling"),
        "sequence_s": Prior(1e-5, 0.7, "s", "host time of each sequence in a step"),
        "eager_s": Prior(1.5e-5, 0.8, "s", "host time of a kernel that is in no CUDA graph, ahead of the device"),
        "reduce_scale": Prior(1.0, 0.20, "", "collectives in a step over isolated ones"),
        "reduce_s": Prior(6e-6, 0.7, "s", "further time of each collective: waiting for the last rank"),
        "request_s": Prior(3e-2, 1.0, "s", "of a first token outside of steps: HTTP, tokeniser, queues between processes"),
        "token_s": Prior(4e-6, 1.0, "s", "of a first token outside of steps, for each token of the prompt"),
    }
)
NAMES = tuple(PRIORS)
FIRST_TOKEN = ("request_s", "token_s")
"""Those that only the time to the first token depends on."""
Values = Mapping[str, float]


def priors() -> dict[str, float]:
    """The value of every parameter before any fit."""
    return {name: prior.value for name, prior in PRIORS.items()}
