"""The deployable convention: what a deployment that can really be started takes for a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.price import InStepOverhead, Terms, price
from inferometer.emulator.economics.pricing.processor import Datasheet, Processor
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import Layout, check_nodes
from inferometer.emulator.workload.memory import Resident, resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program, Size
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

#: Share of the memory kept for activations, workspaces, fragmentation: what vLLM's gpu-memory-utilization 0.9 leaves.
MEMORY_RESERVE = 0.1
#: Micro-batches of a prefill that are tried, in multiples of the stages.
PREFILL_ROUNDS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Load:
    """What is asked of a deployment: either a context to decode at, or prompts and outputs of a given length."""

    context: float | None = None
    prompt: float | None = None
    output: float | None = None
    interleave: bool = False
    """Prompts enter with the decode steps (continuous batching) instead of before them."""

    def __post_init__(self) -> None:
        if (self.prompt is None) != (self.output is None):
            raise InputError("prompt and output belong together: give both, or a context alone")
        if (self.context is None) == (self.prompt is None):
            raise InputError("give either a context, or a prompt and an output")
        for name, low in (("context", 0), ("prompt", 1), ("output", 1)):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value >= low):
                raise InputError(f"{name} = {value:g} must be at least {low}")
        if self.interleave and self.prompt is None:
            raise InputError("interleaving needs a prompt and an output: their ratio is what each step carries")

    @property
    def mean_context(self) -> float:
        """Tokens a decode step finds in the cache on average: at first the prompt, then one more each time."""
        if self.prompt is None or self.output is None:
            return float(self.context or 0.0)
        return self.prompt + (self.output - 1) / 2

    @property
    def longest_context(self) -> float:
        """Tokens a sequence needs room for in the cache."""
        if self.prompt is None or self.output is None:
            return float(self.context or 0.0) + 1
        return self.prompt + self.output

    @property
    def longest_words(self) -> str:
        if self.prompt is None:
            return f"context {self.context or 0:g} + 1 new tokens"
        return f"prompt {self.prompt:g} + output {self.output:g}"


@dataclass(frozen=True)
class StepTime:
    """A step of the whole batch: its terms over all stages, and what the pipeline adds to their sum."""

    terms: Terms
    pipeline_s: Size

    @property
    def total_s(self) -> Size:
        return self.terms.total_s + self.pipeline_s


@dataclass(frozen=True)
class Deployment:
    """A model on a number of accelerators under one layout, ready to be asked for batches.

    processor: what computing costs there, the accelerator's datasheet if None; in_step: what collectives cost beyond their
    isolated time in a step.
    """

    shape: Shape
    layout: Layout
    accelerator: Accelerator
    network: Network
    precision: Precision = field(default_factory=Precision)
    routing: Routing = "random"
    memory_reserve: float = MEMORY_RESERVE
    processor: Processor | None = None
    in_step: InStepOverhead | None = None

    def __post_init__(self) -> None:
        check_nodes(self.layout, self.accelerator.node_size)
        if not 0 <= self.memory_reserve < 1:
            raise InputError(f"memory reserve = {self.memory_reserve:g} must lie between 0 and 1")

    def decode(self, batch: ArrayLike, load: Load, tokens: int = 1) -> StepTime:
        """Time of one decode step of the whole batch (TPOT). batch: whole numbers, any shape. tokens: per sequence.

        A replica's batch runs as min(pp, batch) micro-batches. A micro-batch's next token needs the last stage of its
        previous one, and a stage serves all micro-batches in turn:

            TPOT = max( Σ_stages t, micro-batches · max_stages t )
        """
        step, micro_batches = self._decode_step(batch, load, tokens)
        stages = self._price(step, micro_batches)
        slowest = _slowest(stages)
        total = np.maximum(sum(stage.total_s for stage in stages), micro_batches * slowest)
        return _step_time(stages, total)

    def first_token(self, batch: ArrayLike, load: Load) -> StepTime:
        """Time of a decode step of the batch that also carries one whole prompt: TTFT of continuous batching, unqueued.

        With the sequences divided over ep each share takes in one prompt, since no share can help with another's.
        """
        assert load.prompt is not None
        batches, micro_batches = self._padded(batch, self.layout.pp)
        # Every micro-batch is priced as the one that carries the prompt: all stages wait for that one.
        prompts = load.prompt * micro_batches * self.layout.sequence_shares
        step = Step(batches, 1, load.mean_context, prompts, load.prompt / 2)
        return _step_time(stages := self._price(step, micro_batches), sum(stage.total_s for stage in stages))

    def prefill(self, batch: ArrayLike, prompt: float) -> StepTime:
        """Time until all prompts of the batch have gone through together (TTFT of a static batch).

        A pipeline runs them as so many micro-batches (1, or 1 to 8 times pp) as take least: the bubble, which the last
        stage waits for the first, shrinks with their number while the weights are read more often:
        Σ_stages t + (micro-batches − 1) · max_stages t.
        """
        counts = (1,) if self.layout.pp == 1 else (1, *(self.layout.pp * k for k in PREFILL_ROUNDS))
        return fastest([self._prefill(batch, prompt, count) for count in counts])

    def _prefill(self, batch: ArrayLike, prompt: float, most_micro_batches: int) -> StepTime:
        batches, micro_batches = self._padded(batch, most_micro_batches)
        stages = self._price(Step.prefill(batches, prompt), micro_batches)
        total = sum(stage.total_s for stage in stages) + (micro_batches - 1) * _slowest(stages)
        return _step_time(stages, total)

    def memory(self, batch: ArrayLike, load: Load) -> Resident:
        """Weights and the whole batch's cache on the fullest GPU, without the reserve."""
        batches, _ = self._padded(batch, self.layout.pp)
        program = build(self.shape, self.layout, Step.decode(1, 0), precision=self.precision)
        return resident(program, batches, load.longest_context)

    def decode_program(self, batch: ArrayLike, load: Load) -> Program:
        """What `decode` prices: the program of one micro-batch's step."""
        return self._program(*self._decode_step(batch, load, 1))

    def _decode_step(self, batch: ArrayLike, load: Load, tokens: int) -> tuple[Step, Array]:
        batches, micro_batches = self._padded(batch, self.layout.pp)
        if load.interleave and load.prompt is not None and load.output is not None:
            return Step.interleaved(batches, load.prompt, load.output), micro_batches
        return Step.decode(batches, load.mean_context, tokens), micro_batches

    def _price(self, step: Step, micro_batches: Array) -> list[Terms]:
        processor = self.processor or Datasheet(self.accelerator)
        concurrent_ranks = min(self.layout.gpus, self.accelerator.node_size)
        return price(self._program(step, micro_batches), processor, self.network, concurrent_ranks, self.in_step)

    def _program(self, step: Step, micro_batches: Array) -> Program:
        return build(
            self.shape,
            self.layout,
            step,
            precision=self.precision,
            micro_batches=micro_batches,
            node_size=self.accelerator.node_size,
            routing=self.routing,
        )

    def _padded(self, batch: ArrayLike, most_micro_batches: int) -> tuple[Array, Array]:
        """One replica's batch, filled up so that it divides evenly, with the number of its micro-batches."""
        asked = np.asarray(batch, dtype=float)
        if not (np.isfinite(asked) & (asked >= 1) & (asked == np.round(asked))).all():
            raise InputError(f"batch = {np.ravel(batch)[0]:g} must be a whole number of sequences, at least 1")
        layout = self.layout
        replica = np.ceil(asked / layout.dp)
        micro_batches = np.minimum(most_micro_batches, np.ceil(replica / layout.sequence_shares))
        parts = micro_batches * layout.sequence_shares
        return np.ceil(replica / parts) * parts, micro_batches


def fastest(steps: Sequence[StepTime], by: Sequence[Size] | None = None) -> StepTime:
    """Element by element the step of least time, or of the least of `by`."""
    times = np.array(np.broadcast_arrays(*(by or [step.total_s for step in steps])), dtype=float)
    best = np.argmin(times, axis=0)

    def chosen(values: list[Size]) -> Array:
        return np.choose(best, np.array(np.broadcast_arrays(*values, times[0])[:-1], dtype=float))

    terms = {name: chosen([getattr(step.terms, name) for step in steps]) for name in steps[0].terms.as_dict()}
    return StepTime(Terms(**terms), chosen([step.pipeline_s for step in steps]))


def _slowest(stages: list[Terms]) -> Array:
    slowest: Array = np.maximum.reduce(np.broadcast_arrays(*(np.asarray(stage.total_s) for stage in stages)))
    return slowest


def _step_time(stages: list[Terms], total: Size) -> StepTime:
    terms = sum(stages[1:], stages[0])
    return StepTime(terms, np.asarray(total) - terms.total_s)
