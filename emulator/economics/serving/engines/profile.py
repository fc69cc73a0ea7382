"""An engine profile: what the hardware cannot say about the steps of a serving engine, for a range of its versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.engines.executed import Host, Kernels
from inferometer.emulator.economics.serving.engines.parameters import NAMES, PRIORS, Status


@dataclass(frozen=True)
class Parameter:
    """A value with its 95 % interval; status says whether points determined it, source where it is from."""

    value: float
    low: float | None = None
    high: float | None = None
    status: Status = "prior"
    source: str = ""


@dataclass(frozen=True)
class Misfit:
    """Held-out errors: measured over predicted, as quantiles of the logarithm, and how many points they are of.

    of: what was left out (tp, model, gpu, concurrency).
    """

    of: str
    points: int
    median: float
    """Of the absolute errors."""
    p90: float
    low: float
    """2.5 % of the logarithms of measured over predicted."""
    high: float
    """97.5 % of them."""


@dataclass(frozen=True)
class Flag:
    """An option of an engine's launch command. text: with {value}; since: the version it is of."""

    name: str
    text: str
    since: str


@dataclass(frozen=True)
class Profile:
    """all_reduce: the calibration of the engine's own all_reduce for each accelerator; own_bytes: the largest that it makes
    so, for each accelerator by the number of ranks; collectives: the calibration of all others, and of larger ones;
    measured: the calibration whose compute laws its matmuls follow, instead of shares of the datasheet's rates.

    covariance: of the fitted parameters' logarithms, in the order of fitted.
    """

    engine: str
    versions: str
    scheduler: Scheduler
    kernels: Kernels
    parameters: dict[str, Parameter]
    all_reduce: dict[str, str] = field(default_factory=dict)
    collectives: dict[str, str] = field(default_factory=dict)
    measured: dict[str, str] = field(default_factory=dict)
    own_bytes: dict[str, dict[int, float]] = field(default_factory=dict)
    host: Host = field(default_factory=Host)
    memory_fraction: float = 0.9
    block_tokens: int = 16
    misfit: dict[str, Misfit] = field(default_factory=dict)
    """Of each quantity: tpot, ttft."""
    covariance: tuple[tuple[float, ...], ...] = ()
    flags: tuple[Flag, ...] = ()
    version: str | None = None
    """The one that was asked for."""
    sources: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> dict[str, float]:
        return {name: self.parameters[name].value if name in self.parameters else PRIORS[name].value for name in NAMES}

    @property
    def label(self) -> str:
        return f"{self.engine} {self.version or self.versions}"

    def draws(self, count: int, seed: int = 0) -> list[dict[str, float]]:
        """Parameters drawn from their joint uncertainty."""
        rng = np.random.default_rng(seed)
        base = self.values
        if not self.covariance:
            return [base] * count
        drawn = rng.multivariate_normal(np.zeros(len(NAMES)), np.array(self.covariance), count, method="eigh")
        return [{name: base[name] * float(np.exp(z)) for name, z in zip(NAMES, row)} for row in drawn]


Kind = Literal["tpot", "ttft"]
