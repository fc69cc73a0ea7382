"""What a step of continuous batching costs, and how the scheduler that runs the steps behaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.program import Size


class StepCosts(Protocol):
    """The time of a step by what is in it, at the mean context of a load."""

    def step_s(self, decoding: Size, entering: Size) -> Size:
        """Seconds. decoding: sequences that get one token each; entering: prompt tokens that are computed with them."""
        ...


@dataclass(frozen=True)
class Scheduler:
    """prompts: "mixed" with decoding in one step, within a budget of tokens; or "separate", in steps of their own, for which
    decoding waits. budget: tokens of a step, or of a step of prompts. sequences_max: requests in the batch."""

    prompts: Literal["mixed", "separate"] = "mixed"
    budget: int = 8192
    sequences_max: int = 1024

    def __post_init__(self) -> None:
        if self.budget < 1 or self.sequences_max < 1:
            raise InputError(f"scheduler: budget = {self.budget}, sequences_max = {self.sequences_max}: at least 1")


@dataclass(frozen=True)
class ClosedLoop:
    """users that send their next request when the last is answered, all at once in the beginning; requests in all."""

    users: float
    requests: float

    @property
    def rounds(self) -> float:
        return max(1.0, self.requests / self.users)


@dataclass(frozen=True)
class Poisson:
    """Requests that arrive independently of each other, so many a second."""

    rate_per_s: float


@dataclass(frozen=True)
class Trace:
    """Requests at given times, in seconds from the start, in their order. prompts, outputs: tokens of each; none: as the
    workload draws them."""

    times_s: tuple[float, ...]
    prompts: tuple[float, ...] = ()
    outputs: tuple[float, ...] = ()

    def part(self, parts: int) -> Trace:
        """What one of so many replicas gets, in turn."""
        return Trace(self.times_s[::parts], self.prompts[::parts], self.outputs[::parts])


Arrivals = ClosedLoop | Poisson | Trace


@dataclass(frozen=True)
class Workload:
    """What clients ask for. reply_s: mean time from an answer to its user's next request reaching the scheduler."""

    prompt: Lengths
    output: Lengths
    arrivals: Arrivals
    reply_s: float = 0.0


@dataclass(frozen=True)
class Served:
    """What users get, in seconds. Means and quantiles are over requests, of TPOT over each request's own. decoding: mean
    number of sequences that decode; requests_per_s: throughput; saturated: more arrive than can be served, so that times
    grow without end."""

    tpot_s: float
    ttft_s: float
    ttft_p50_s: float
    ttft_p90_s: float
    ttft_p99_s: float
    decoding: float
    requests_per_s: float
    saturated: bool = False
    tpot_p50_s: float | None = None
    tpot_p90_s: float | None = None
    tpot_p99_s: float | None = None

    def of(self, quantity: str, statistic: str) -> float:
        """Of tpot or ttft the mean, or a quantile such as p90."""
        value = getattr(self, f"{quantity}_s" if statistic == "mean" else f"{quantity}_{statistic}_s")
        return float(value)


def quantiles(values: Array) -> tuple[float, float, float]:
    """p50, p90, p99."""
    import numpy as np

    p50, p90, p99 = np.quantile(values, (0.5, 0.9, 0.99))
    return float(p50), float(p90), float(p99)
