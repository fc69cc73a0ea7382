"""A scenario: everything a deployable prediction needs but the layout and the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.prices import Prices, prices_of
from inferometer.emulator.economics.pricing.step import StepTime, step_times
from inferometer.emulator.economics.serving.deployable import MEMORY_RESERVE, Deployment, Load, Timed, fastest
from inferometer.emulator.economics.serving.layouts import divides
from inferometer.emulator.economics.serving.prediction import Prediction, checked_words, usd_per_mtok, what_binds
from inferometer.emulator.economics.serving.shipped import as_shipped, precision_notes, precision_record
from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import state_of
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import Resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program, Size
from inferometer.emulator.workload.shape import Shape

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

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
    """The answer for an array of batches; seconds_per_token is of the whole deployment, prompts included.

    priced: every step that was priced for it, with notes.
    """

    step: Timed
    token_latency_s: Size
    ttft_s: Size | None
    seconds_per_token: Size
    gamma: Size | None
    priced: tuple[Timed, ...]

    @property
    def notes(self) -> list[str]:
        """What to know of these times, in words, each once; none of arrays whose elements are of several programs."""
        return list(dict.fromkeys(note for step in self.priced if isinstance(step, StepTime) for note in step.notes))


@dataclass(frozen=True)
class Scenario:
    """Everything a prediction needs but the layout and the batch: a model at some prices, under a load."""

    shape: Shape
    prices: Prices
    load: Load
    routing: Routing = "random"
    memory_reserve: float = MEMORY_RESERVE
    speculation: Speculation | None = None

    def __post_init__(self) -> None:
        if self.speculation is not None and self.load.interleave:
            raise InputError("speculation together with interleaved prompts is not modelled")
        limit, longest = self.shape.max_context, np.max(self.load.longest_context)
        if limit is not None and longest > limit:
            raise InputError(f"{self.shape.name}: {self.load.longest_words} = {longest:g} is beyond the model's {limit}")

    @property
    def accelerator(self) -> Accelerator:
        return self.prices.device

    def deployment(self, layout: Layout, shape: Shape | None = None) -> Deployment:
        return Deployment(shape or self.shape, layout, self.prices, self.routing, self.memory_reserve)

    def times(self, layouts: Sequence[Layout], programs: Sequence[Program], batch: Size) -> list[Timing | InputError]:
        """Times under several layouts, or why one cannot be priced. programs: the decode step's of each layout."""
        ranks = [min(layout.gpus, self.accelerator.node_size) for layout in layouts]
        steps = step_times(programs, self.prices, ranks)
        found: list[Timing | InputError] = []
        for layout, step in zip(layouts, steps):
            if isinstance(step, InputError):
                found.append(step)
                continue
            try:
                found.append(self._timing(layout, batch, step))
            except InputError as error:
                found.append(error)
        return found

    def time(self, layout: Layout, batch: Size) -> Timing:
        """Times under one layout for one batch or an array of them."""
        return self._timing(layout, batch, self.deployment(layout).decode(batch, self.load))

    def _timing(self, layout: Layout, batch: Size, decoded: StepTime) -> Timing:
        deployment, load = self.deployment(layout), self.load
        step: Timed = decoded
        latency, gamma, priced = decoded.total_s, None, [step]
        if self.speculation is not None:
            step, latency, gamma, priced = self._speculative(layout, batch, decoded)
        if load.prompt is None or load.output is None:
            return Timing(step, latency, None, latency / batch, gamma, tuple(priced))
        if load.interleave:
            first = deployment.first_token(batch, load)
            return Timing(step, latency, first.total_s, latency / batch, gamma, (*priced, first))
        prefill = deployment.prefill(batch, load.prompt)
        priced.append(prefill)
        ttft = prefill.total_s
        if self.speculation is not None:  # the draft needs the prompt in its cache too
            drafted = self._draft(layout).prefill(self._of_one_replica(layout, batch), load.prompt)
            priced.append(drafted)
            ttft = ttft + drafted.total_s
        per_token = (ttft + load.output * latency) / (batch * load.output)
        return Timing(step, latency, ttft, per_token, gamma, tuple(priced))

    def memory(self, layout: Layout, batch: Size, program: Program | None = None) -> Resident:
        """Weights and cache on the fullest GPU; a draft model's are added. program: any step of the layout's."""
        own = self.deployment(layout).memory(batch, self.load, program)
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
        return self.prediction(layout, batch, self.time(layout, batch), memory)

    def prediction(self, layout: Layout, batch: int, timing: Timing, memory: Resident) -> Prediction:
        """What `predict` returns, of a timing. Raises InputError where the network's terms are not determined."""
        latency = float(timing.token_latency_s)
        if not np.isfinite(latency):
            raise self.undetermined(layout, timing)
        gamma = None if timing.gamma is None else int(timing.gamma)
        step = timing.step
        notes = [checked_words(gamma, float(step.total_s))] if gamma is not None and gamma > 1 else []
        notes += [*self.shape.notes, *precision_notes(self.shape, self.prices.precision, self.accelerator)]
        load: Any = self.load  # of numbers, as the batch is
        terms = {name: float(value) for name, value in step.terms.items()}
        pipeline = float(step.pipeline_s)
        price = self.accelerator.usd_per_hour
        if price is None:
            notes.append(f"no cost: {self.accelerator.name} has no known price; give one")
        return Prediction(
            convention="deployable",
            model=self.shape.name,
            accelerator=self.accelerator.name,
            network=self.prices.network.name,
            precision=precision_record(self.shape, self.prices.precision),
            gpus=layout.gpus,
            batch=batch,
            context=load.mean_context,
            prompt=load.prompt,
            output=load.output,
            layout=asdict(layout),
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

    def undetermined(self, layout: Layout, timing: Timing) -> InputError:
        """Why the time of a layout is not determined."""
        network = self.prices.network
        sent = {one.collective: None for step in timing.priced if isinstance(step, StepTime) for one in step.sent}
        gaps = network.gaps(list(sent))
        why = f": {gaps}" if gaps else ""
        return InputError(f"{network.name} does not determine what {layout.gpus} GPUs ({layout.describe()}) need{why}")

    def check_fit(self, layout: Layout, batch: int, memory: Resident | None = None) -> None:
        """Raise InputError, with the arithmetic, where weights, cache and reserve exceed a GPU's memory."""
        missing = self.missing(layout, memory or self.memory(layout, batch))
        if missing is not None:
            raise missing

    def missing(self, layout: Layout, memory: Resident) -> InputError | None:
        """What `check_fit` raises; None where the layout fits."""
        missing = float(memory.total_bytes) - self.available_bytes
        if missing <= 0:
            return None
        return InputError(
            f"{self.shape.name} does not fit on {layout.gpus} × {self.accelerator.name} ({layout.describe()}): weights "
            f"{memory.weights_bytes / GB:.1f} GB + KV cache {float(memory.kv_bytes) / GB:.1f} GB per GPU are "
            f"{missing / GB:.1f} GB more than {self.accelerator.memory_bytes / GB:g} GB less "
            f"{self.memory_reserve:.0%} reserve"
        )

    def _speculative(self, layout: Layout, batch: Size, plain: StepTime) -> tuple[Timed, Size, Size, list[Timed]]:
        """Over plain decoding and γ = 2 … gamma_max: the pass of the least time per token, that time, its γ, all priced."""
        assert self.speculation is not None
        draft = self._draft(layout).decode(self._of_one_replica(layout, batch), self.load)
        passes: list[Timed] = [plain]
        times = [plain.total_s]
        for gamma in range(2, self.speculation.gamma_max + 1):
            passes.append(self.deployment(layout).decode(batch, self.load, tokens=gamma))
            times.append(self.speculation.seconds_per_token(passes[-1].total_s, draft.total_s, gamma))
        together = np.array(np.broadcast_arrays(*times), dtype=float)
        chosen = fastest(passes, by=times)
        return chosen, together.min(axis=0), together.argmin(axis=0) + 1, [chosen, draft]

    @staticmethod
    def _of_one_replica(layout: Layout, batch: Size) -> Size:
        return np.ceil(np.asarray(batch, dtype=float) / layout.dp)

    def _draft(self, layout: Layout) -> Deployment:
        """The draft model on the ranks of one stage, as many of them as divide it; pipelines do not speed it up."""
        assert self.speculation is not None
        ranks = layout.stage_ranks
        options = [Layout(tp=tp) for tp in range(ranks, 0, -1) if ranks % tp == 0]
        found = next(o for o in options if divides(self.speculation.draft, o, self.accelerator.node_size))
        return self.deployment(found, self.speculation.draft)


def scenario_of(
    model: str | Path | Shape,
    accelerator: str | Path | Accelerator | None,
    load: Load,
    precision: Precision | None = None,
    *,
    calibration: str | Path | Calibration | None = None,
    network_calibration: str | Path | Calibration | None = None,
    key: Mapping[str, Any] | None = None,
    usd_per_hour: float | None = None,
    routing: Routing = "random",
    memory_reserve: float = MEMORY_RESERVE,
    speculator: str | Path | Shape | None = None,
    acceptance: float = 0.8,
) -> Scenario:
    """The scenario by names and numbers.

    model, speculator: a built-in name, a config.json or a Shape. accelerator, calibration, network_calibration, key,
    precision, usd_per_hour: as pricing.prices.prices_of has them.

    Raises InputError for anything that cannot be found, read or priced.
    """
    shape = shape_of(model)
    if accelerator is not None:
        precision = as_shipped(shape, precision)
    prices = prices_of(
        calibration, accelerator, precision=precision, key=key, usd_per_hour=usd_per_hour,
        network_calibration=network_calibration,
    )  # fmt: skip
    speculation = None if speculator is None else Speculation(shape_of(speculator), acceptance)
    return Scenario(shape, prices, load, routing, memory_reserve, speculation)


def shape_of(model: str | Path | Shape) -> Shape:
    """A model by its name or file."""
    if isinstance(model, Shape):
        return model
    path = Path(model)
    return _read(str(model), state_of(path / "config.json") or state_of(path))


@lru_cache(maxsize=32)
def _read(name: str, state: tuple[int, int, int] | None) -> Shape:
    """A shape is read once for as long as its file is not changed. state: of the file, None for a built-in name."""
    return load_shape(name)
