"""A scenario: everything a deployable prediction needs but the layout and the batch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.price import InStepOverhead
from inferometer.emulator.economics.pricing.processor import Processor
from inferometer.emulator.economics.serving.deployable import MEMORY_RESERVE, Deployment, Load, StepTime, fastest
from inferometer.emulator.economics.serving.layouts import divides
from inferometer.emulator.economics.serving.prediction import Prediction, checked_words, usd_per_mtok, what_binds
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import Resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Size
from inferometer.emulator.workload.shape import Shape

GB = 1e9


@dataclass(frozen=True)
class Speculation:
    """Draft up to gamma_max tokens with a smaller model; each is accepted with a probability of acceptance."""

    draft: Shape
    acceptance: float = 0.8
    gamma_max: int = 5

    def __post_init__(self) -> None:
        if not 0 <= self.acceptance < 1:
            raise InputError(f"acceptance = {self.acceptance:g} must be at least 0 and less than 1")

    def seconds_per_token(self, verify_s: Size, draft_s: Size, gamma: int) -> Size:
        """[t_P(γ) + γ t_Q] (1 − a)/(1 − a^γ): a round's time over the tokens it yields (Leviathan et al. 2023)."""
        a = self.acceptance
        return (verify_s + gamma * draft_s) * (1 - a) / (1 - a**gamma)


@dataclass(frozen=True)
class Timing:
    """The answer for an array of batches; seconds_per_token is of the whole deployment, prompts included."""

    step: StepTime
    token_latency_s: Size
    ttft_s: Size | None
    seconds_per_token: Size
    gamma: Size | None


@dataclass(frozen=True)
class Scenario:
    """A model on a kind of accelerator and network, under a load.

    processor, in-step overhead: as a Deployment has them.
    """

    shape: Shape
    accelerator: Accelerator
    network: Network
    load: Load
    precision: Precision = field(default_factory=Precision)
    routing: Routing = "random"
    memory_reserve: float = MEMORY_RESERVE
    speculation: Speculation | None = None
    processor: Processor | None = None
    in_step: InStepOverhead | None = None

    def __post_init__(self) -> None:
        if self.speculation is not None and self.load.interleave:
            raise InputError("speculation together with interleaved prompts is not modelled")
        limit, longest = self.shape.max_context, self.load.longest_context
        if limit is not None and longest > limit:
            raise InputError(f"{self.shape.name}: {self.load.longest_words} = {longest:g} is beyond the model's {limit}")

    def deployment(self, layout: Layout, shape: Shape | None = None) -> Deployment:
        return Deployment(
            shape or self.shape,
            layout,
            self.accelerator,
            self.network,
            self.precision,
            self.routing,
            self.memory_reserve,
            self.processor,
            self.in_step,
        )

    def time(self, layout: Layout, batch: Size) -> Timing:
        """Times under one layout for one batch or an array of them."""
        deployment, load = self.deployment(layout), self.load
        step = deployment.decode(batch, load)
        latency, gamma = step.total_s, None
        if self.speculation is not None:
            step, latency, gamma = self._speculative(layout, batch, step)
        if load.prompt is None or load.output is None:
            return Timing(step, latency, None, latency / batch, gamma)
        if load.interleave:
            return Timing(step, latency, deployment.first_token(batch, load).total_s, latency / batch, gamma)
        ttft = deployment.prefill(batch, load.prompt).total_s
        if self.speculation is not None:  # the draft needs the prompt in its cache too
            ttft = ttft + self._draft(layout).prefill(self._of_one_replica(layout, batch), load.prompt).total_s
        return Timing(step, latency, ttft, (ttft + load.output * latency) / (batch * load.output), gamma)

    def memory(self, layout: Layout, batch: Size) -> Resident:
        """Weights and cache on the fullest GPU; a draft model's are added."""
        own = self.deployment(layout).memory(batch, self.load)
        if self.speculation is None:
            return own
        draft = self._draft(layout).memory(self._of_one_replica(layout, batch), self.load)
        return Resident(own.weights_bytes + draft.weights_bytes, own.kv_bytes + draft.kv_bytes)

    @property
    def available_bytes(self) -> float:
        """Memory of one GPU less the reserve."""
        return self.accelerator.memory_bytes * (1 - self.memory_reserve)

    def predict(self, layout: Layout, batch: int) -> Prediction:
        """The prediction for one layout and batch.

        Raises InputError where the deployment does not fit (by how many GB), or where the network's terms are not
        determined.
        """
        memory = self.memory(layout, batch)
        self.check_fit(layout, batch, memory)
        timing = self.time(layout, batch)
        latency = float(timing.token_latency_s)
        if not np.isfinite(latency):
            raise InputError(f"{layout.describe()}: {self.network.name} does not determine every collective it needs")
        gamma = None if timing.gamma is None else int(timing.gamma)
        step = timing.step
        notes = [checked_words(gamma, float(step.total_s))] if gamma is not None and gamma > 1 else []
        terms = {name: float(value) for name, value in step.terms.as_dict().items()}
        pipeline = float(step.pipeline_s)
        price = self.accelerator.usd_per_hour
        if price is None:
            notes.append(f"no cost: {self.accelerator.name} has no known price; give one")
        return Prediction(
            convention="deployable",
            model=self.shape.name,
            accelerator=self.accelerator.name,
            network=self.network.name,
            precision={
                "weight_bits": self.precision.weight_bits,
                "activation_bits": self.precision.activation_bits,
                "kv_bits": self.precision.kv_bits,
            },
            gpus=layout.gpus,
            batch=batch,
            context=self.load.mean_context,
            prompt=self.load.prompt,
            output=self.load.output,
            layout={"tp": layout.tp, "ep": layout.ep, "pp": layout.pp, "dp": layout.dp, "attention": layout.attention}
            | {"tensor": layout.tensor},
            token_latency_s=latency,
            terms=terms,
            pipeline_s=pipeline,
            binds=what_binds(terms, pipeline),
            tokens_per_s=1 / latency,
            throughput_tokens_per_s=1 / float(timing.seconds_per_token),
            usd_per_mtok=usd_per_mtok(layout.gpus, price, float(timing.seconds_per_token)),
            ttft_s=None if timing.ttft_s is None else float(timing.ttft_s),
            memory={
                "weights_bytes": float(memory.weights_bytes),
                "kv_bytes": float(memory.kv_bytes),
                "reserve_bytes": self.accelerator.memory_bytes - self.available_bytes,
                "capacity_bytes": self.accelerator.memory_bytes,
            },
            gamma=gamma,
            notes=notes,
        )

    def check_fit(self, layout: Layout, batch: int, memory: Resident | None = None) -> None:
        """Raise InputError, with the arithmetic, where weights, cache and reserve exceed a GPU's memory."""
        memory = memory or self.memory(layout, batch)
        missing = float(memory.total_bytes) - self.available_bytes
        if missing > 0:
            raise InputError(
                f"{self.shape.name} does not fit on {layout.gpus} × {self.accelerator.name} ({layout.describe()}): weights "
                f"{memory.weights_bytes / GB:.1f} GB + KV cache {float(memory.kv_bytes) / GB:.1f} GB per GPU are "
                f"{missing / GB:.1f} GB more than {self.accelerator.memory_bytes / GB:g} GB less "
                f"{self.memory_reserve:.0%} reserve"
            )

    def _speculative(self, layout: Layout, batch: Size, plain: StepTime) -> tuple[StepTime, Size, Size]:
        """Over plain decoding and γ = 2 … gamma_max: the pass of the least time per token, that time, its γ."""
        assert self.speculation is not None
        draft_s = self._draft(layout).decode(self._of_one_replica(layout, batch), self.load).total_s
        passes, times = [plain], [plain.total_s]
        for gamma in range(2, self.speculation.gamma_max + 1):
            passes.append(self.deployment(layout).decode(batch, self.load, tokens=gamma))
            times.append(self.speculation.seconds_per_token(passes[-1].total_s, draft_s, gamma))
        together = np.array(np.broadcast_arrays(*times), dtype=float)
        return fastest(passes, by=times), together.min(axis=0), together.argmin(axis=0) + 1

    @staticmethod
    def _of_one_replica(layout: Layout, batch: Size) -> Size:
        return np.ceil(np.asarray(batch, dtype=float) / layout.dp)

    def _draft(self, layout: Layout) -> Deployment:
        """The draft model on the ranks of one stage, as many of them as divide it; pipelines do not speed it up."""
        assert self.speculation is not None
        ranks = layout.stage_ranks
        options = [Layout(tp=tp) for tp in range(ranks, 0, -1) if ranks % tp == 0]
        found = next(o for o in options if divides(self.speculation.draft, o, self.accelerator))
        return self.deployment(found, self.speculation.draft)
