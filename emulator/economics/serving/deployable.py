"""What a deployment that can be started takes for a token: which programs it runs, in how many micro-batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.pricing.step import Rhythm, StepTime, step_time
from inferometer.emulator.economics.pricing.terms import Terms
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import Layout, check_nodes
from inferometer.emulator.workload.memory import Resident, resident
from inferometer.emulator.workload.program import Program, Size
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

#: Share of the memory kept for activations, workspaces, fragmentation: what vLLM's gpu-memory-utilization 0.9 leaves.
MEMORY_RESERVE = 0.1
#: Micro-batches of a prefill that are tried, in multiples of the stages.
PREFILL_ROUNDS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Load:
    """What is asked of a deployment: either a context to decode at, or prompts and outputs of a given length.

    Numbers, or arrays that broadcast with each other and with the batches asked for.
    """

    context: Size | None = None
    prompt: Size | None = None
    output: Size | None = None
    interleave: bool = False
    """Prompts enter with the decode steps (continuous batching) instead of before them."""

    def __post_init__(self) -> None:
        if (self.prompt is None) != (self.output is None):
            raise InputError("prompt and output belong together: give both, or a context alone")
        if (self.context is None) == (self.prompt is None):
            raise InputError("give either a context, or a prompt and an output")
        for name, low in (("context", 0), ("prompt", 1), ("output", 1)):
            value = getattr(self, name)
            if value is not None and not np.all(fine := np.isfinite(value) & (np.asarray(value) >= low)):
                raise InputError(f"{name} = {np.asarray(value)[~np.asarray(fine)].ravel()[0]:g} must be at least {low}")
        if self.interleave and self.prompt is None:
            raise InputError("interleaving needs a prompt and an output: their ratio is what each step carries")

    @property
    def mean_context(self) -> Size:
        """Tokens a decode step finds in the cache on average: at first the prompt, then one more each time."""
        if self.prompt is None or self.output is None:
            return self._context
        return self.prompt + (self.output - 1) / 2

    @property
    def longest_context(self) -> Size:
        """Tokens a sequence needs room for in the cache."""
        if self.prompt is None or self.output is None:
            return self._context + 1
        return self.prompt + self.output

    @property
    def longest_words(self) -> str:
        """Of the longest one."""
        if self.prompt is None or self.output is None:
            return f"context {np.max(self._context):g} + 1 new tokens"
        at = np.unravel_index(np.argmax(self.longest_context), np.shape(self.longest_context))
        prompt, output = (np.broadcast_to(one, np.shape(self.longest_context))[at] for one in (self.prompt, self.output))
        return f"prompt {prompt:g} + output {output:g}"

    @property
    def _context(self) -> Size:
        return self.context if isinstance(self.context, np.ndarray) else float(self.context or 0.0)


@dataclass(frozen=True)
class Mixed:
    """Steps of several programs, chosen element by element of an array of batches."""

    terms: Terms
    pipeline_s: Size

    @property
    def total_s(self) -> Size:
        return self.terms.total_s + self.pipeline_s


Timed = StepTime | Mixed


@dataclass(frozen=True)
class Deployment:
    """A model on a number of accelerators under one layout, ready to be asked for batches."""

    shape: Shape
    layout: Layout
    prices: Prices
    routing: Routing = "random"
    memory_reserve: float = MEMORY_RESERVE

    def __post_init__(self) -> None:
        check_nodes(self.layout, self.prices.device.node_size)
        if not 0 <= self.memory_reserve < 1:
            raise InputError(f"memory reserve = {self.memory_reserve:g} must lie between 0 and 1")

    @property
    def concurrent_ranks(self) -> int:
        """Ranks of a node that compute at the same time."""
        return min(self.layout.gpus, self.prices.device.node_size)

    def decode(self, batch: ArrayLike, load: Load, tokens: int = 1) -> StepTime:
        """Time of one decode step of the whole batch (TPOT). batch: whole numbers, any shape. tokens: per sequence.

        A replica's batch runs as min(pp, batch) micro-batches (pricing.step.ends, repeated).
        """
        return self._time(self.decode_program(batch, load, tokens), "repeated")

    def first_token(self, batch: ArrayLike, load: Load) -> StepTime:
        """Time of a decode step of the batch that also carries one whole prompt: TTFT of continuous batching, unqueued.

        With the sequences divided over ep each share takes in one prompt, since no share can help with another's.
        """
        assert load.prompt is not None
        batches, micro_batches = self._padded(batch, self.layout.pp)
        # Every micro-batch is priced as the one that carries the prompt: all stages wait for that one.
        prompts = load.prompt * micro_batches * self.layout.sequence_shares
        step = Step(batches, 1, load.mean_context, prompts, load.prompt / 2)
        return self._time(self._program(step, micro_batches), "through")

    def prefill(self, batch: ArrayLike, prompt: Size) -> Timed:
        """Time until all prompts of the batch have gone through together (TTFT of a static batch).

        A pipeline runs them as so many micro-batches (1, or 1 to 8 times pp) as take least: the bubble, which the last
        stage waits for the first, shrinks with their number while the weights are read more often
        (pricing.step.ends, once).
        """
        counts = (1,) if self.layout.pp == 1 else (1, *(self.layout.pp * k for k in PREFILL_ROUNDS))
        return fastest([self._time(self.prefill_program(batch, prompt, count), "once") for count in counts])

    def memory(self, batch: ArrayLike, load: Load, program: Program | None = None) -> Resident:
        """Weights and the whole batch's cache on the fullest GPU, without the reserve. program: any of its steps."""
        batches, _ = self._padded(batch, self.layout.pp)
        return resident(program or self._program(Step.decode(1, 0), 1), batches, load.longest_context)

    def decode_program(self, batch: ArrayLike, load: Load, tokens: int = 1) -> Program:
        """What `decode` prices: the program of one micro-batch's step."""
        batches, micro_batches = self._padded(batch, self.layout.pp)
        if load.interleave and load.prompt is not None and load.output is not None:
            return self._program(Step.interleaved(batches, load.prompt, load.output), micro_batches)
        return self._program(Step.decode(batches, load.mean_context, tokens), micro_batches)

    def prefill_program(self, batch: ArrayLike, prompt: Size, most_micro_batches: int) -> Program:
        """What `prefill` prices, in no more than so many micro-batches."""
        batches, micro_batches = self._padded(batch, most_micro_batches)
        return self._program(Step.prefill(batches, prompt), micro_batches)

    def _time(self, program: Program, rhythm: Rhythm) -> StepTime:
        return step_time(program, self.prices, concurrent_ranks=self.concurrent_ranks, rhythm=rhythm)

    def _program(self, step: Step, micro_batches: Size) -> Program:
        return build(
            self.shape,
            self.layout,
            step,
            precision=self.prices.precision,
            micro_batches=micro_batches,
            node_size=self.prices.device.node_size,
            routing=self.routing,
        )

    def _padded(self, batch: ArrayLike, most_micro_batches: int) -> tuple[Size, Size]:
        """One replica's batch, filled up so that it divides evenly, with the number of its micro-batches."""
        asked = np.asarray(batch, dtype=float)
        if not (fine := np.isfinite(asked) & (asked >= 1) & (asked == np.round(asked))).all():
            raise InputError(f"batch = {asked[~fine].ravel()[0]:g} must be a whole number of sequences, at least 1")
        dp, shares = self.layout.dp, self.layout.sequence_shares
        if asked.ndim == 0:
            one = ceil(float(asked) / dp)
            count = min(most_micro_batches, ceil(one / shares))
            return float(ceil(one / (count * shares)) * count * shares), float(count)
        replica = np.ceil(asked / dp)
        micro_batches = np.minimum(most_micro_batches, np.ceil(replica / shares))
        return np.ceil(replica / (micro_batches * shares)) * (micro_batches * shares), micro_batches


def fastest(steps: Sequence[Timed], by: Sequence[Size] | None = None) -> Timed:
    """The step of least time, or of the least of `by`; of arrays element by element."""
    keys = by or [step.total_s for step in steps]
    times = np.array(np.broadcast_arrays(*keys), dtype=float)
    best = np.argmin(times, axis=0)
    if not times[0].ndim:
        return steps[int(best)]

    def chosen(values: list[Size]) -> Array:
        return np.choose(best, np.array(np.broadcast_arrays(*values, times[0])[:-1], dtype=float))

    terms = Terms({name: chosen([step.terms[name] for step in steps]) for name in steps[0].terms})
    return Mixed(terms, chosen([step.pipeline_s for step in steps]))
