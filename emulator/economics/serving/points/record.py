"""A served point: what one run of a serving benchmark measured on one deployment under one load.

Definitions are kept apart, since benchmarks do not agree on them:

    ttft   from sending a request to its first token
    tpot   (latency − ttft)/(output tokens − 1) of a request; mean or quantile over requests
    itl    time between two chunks of the stream; a chunk may hold several tokens
    output_tokens_per_s    of all users, tokens generated
    total_tokens_per_s     of all users, prompts counted too
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.points.weights import Weights
from inferometer.emulator.workload.layout import Layout

Arrival = Literal["closed", "burst", "poisson", "unknown"]
"""closed: a fixed number of users, each sending its next request when the last is answered, all at once in the beginning.
burst: all requests at once. poisson: independent of each other, at a rate. unknown: the client is not described."""
ARRIVALS: tuple[Arrival, ...] = get_args(Arrival)
STATISTICS = ("mean", "median", "p90", "p99")


@dataclass(frozen=True)
class Deployed:
    """What served: the engine with its version, the model in a precision, the GPUs and how they share it."""

    engine: str
    model: str
    accelerator: str
    layout: Layout
    version: str | None = None
    weights: Weights = "checkpoint"
    kv_bits: int | None = None
    speculation: bool | None = None
    """Whether tokens were drafted; None: not said."""
    receive_steps: int = 1
    """Decode steps after which the server looks for new requests (SGLang's --scheduler-recv-interval)."""

    @property
    def gpus(self) -> int:
        return self.layout.gpus


@dataclass(frozen=True)
class Client:
    """What was asked of it. concurrency: requests in flight at most; rate_per_s: requests that arrive in a second."""

    prompt: Lengths
    output: Lengths
    concurrency: float | None = None
    rate_per_s: float | None = None
    arrival: Arrival = "unknown"
    requests: int | None = None
    failed: int | None = None


@dataclass(frozen=True)
class ServedPoint:
    """One run. times_ms: by name and statistic (``ttft_mean``, ``tpot_p90`` …); problems: why it is of no use, in words."""

    deployed: Deployed
    client: Client
    times_ms: dict[str, float]
    output_tokens_per_s: float | None = None
    total_tokens_per_s: float | None = None
    measured: str | None = None
    source: str = ""
    problems: tuple[str, ...] = field(default=())

    @property
    def tpot_ms(self) -> float | None:
        """The mean, or else the median."""
        return self.times_ms.get("tpot_mean", self.times_ms.get("tpot_median"))

    @property
    def ttft_ms(self) -> float | None:
        """The mean, or else the median."""
        return self.times_ms.get("ttft_mean", self.times_ms.get("ttft_median"))

    @property
    def usable(self) -> bool:
        return not self.problems

    @property
    def decoding(self) -> float | None:
        """Sequences that decode at the same time on average: Little's law over the measured times, within the concurrency.

        None where nothing says how many requests are in flight.
        """
        if self.tpot_ms is None:
            return None
        decode_ms = (self.client.output.mean - 1) * self.tpot_ms
        if self.client.concurrency is not None:
            return max(1.0, self.client.concurrency * decode_ms / (decode_ms + (self.ttft_ms or 0.0)))
        if self.client.rate_per_s is not None:
            return max(1.0, self.client.rate_per_s * decode_ms / 1e3)
        return None

    def flagged(self, *problems: str) -> ServedPoint:
        return replace(self, problems=(*self.problems, *problems)) if problems else self
