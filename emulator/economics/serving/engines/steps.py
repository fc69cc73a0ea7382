"""The steps of one deployment on an engine, priced once on a grid of what may be in them, interpolated between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.pricing.step import StepTime, step_times
from inferometer.emulator.economics.serving.batching.costs import Scheduler, StepCosts
from inferometer.emulator.economics.serving.engines.executed import as_engine
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.feedforward import Routing
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Program, Size
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

ALMOST_NONE = 1e-6
"""Sequences that decode in a step of prompts alone."""
ENTERING = (1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0)
"""Prompt tokens of the priced steps, as shares of the scheduler's budget."""


@dataclass(frozen=True)
class Asked:
    """One deployment: a model under a layout, decoding at a mean context, with prompts of a mean length."""

    shape: Shape
    layout: Layout
    context: float
    prompt: float
    routing: Routing = "random"


@dataclass(frozen=True)
class StepTable(StepCosts):
    """decodings: sequences of one replica; entering: prompt tokens of it; decode_s: of each of decodings; mixed_s: of each
    of (0, *decodings) with each of entering."""

    decodings: Array
    entering: Array
    decode_s: Array
    mixed_s: Array

    def step_s(self, decoding: Size, entering: Size) -> Size:
        """Linear between the priced steps. Beyond the largest it goes on as between the last two."""
        d, e = np.broadcast_arrays(np.asarray(decoding, dtype=float), np.asarray(entering, dtype=float))
        alone = _line(d, self.decodings, self.decode_s)
        if not (e > 0).any():
            return alone
        columns = np.stack([_line(d, self._beside, column) for column in self.mixed_s.T], axis=-1)
        knots = np.concatenate([[0.0], self.entering])
        start = np.where(d < 0.5, columns[..., 0], np.minimum(alone, columns[..., 0]))
        values = np.concatenate([start[..., None], columns], axis=-1)
        at = np.clip(np.searchsorted(knots, e) - 1, 0, len(knots) - 2)
        low, high = (np.take_along_axis(values, (at + k)[..., None], axis=-1)[..., 0] for k in (0, 1))
        found = low + (high - low) * (e - knots[at]) / (knots[at + 1] - knots[at])
        return np.where(e > 0, found, alone)

    @cached_property
    def _beside(self) -> Array:
        return np.concatenate([[0.0], self.decodings])


def _line(at: Array, knots: Array, values: Array) -> Array:
    if len(knots) == 1:
        return np.broadcast_to(values, at.shape)
    place = np.clip(np.searchsorted(knots, at) - 1, 0, len(knots) - 2)
    share = (at - knots[place]) / (knots[place + 1] - knots[place])
    found: Array = values[place] + np.maximum(share, 0.0) * (values[place + 1] - values[place])
    return found


def grid(most: float) -> Array:
    """Numbers of sequences that are priced: two to an octave, the most among them."""
    octaves = int(np.ceil(2 * np.log2(max(most, 1.0)))) + 1
    found = np.minimum(np.round(2.0 ** (np.arange(octaves + 1) / 2)), max(most, 1.0))
    return np.unique(found)


def step_tables(
    asked: Sequence[Asked], prices: Prices, scheduler: Scheduler, most: Sequence[float]
) -> list[StepTable | InputError]:
    """The steps of several deployments at the same prices, or why one cannot be priced; each law is asked once for all.

    most: sequences of one replica that are to be priced, for each deployment.
    """
    programs: list[Program] = []
    sizes: list[tuple[Array, Array]] = []
    for one, top in zip(asked, most):
        decodings, shares = grid(top), one.layout.sequence_shares
        budget = np.array(ENTERING) * scheduler.budget
        beside = np.concatenate([[ALMOST_NONE], decodings])
        d, e = (part.ravel() for part in np.meshgrid(beside, budget, indexing="ij"))
        before = np.minimum(one.prompt, scheduler.budget) / 2
        programs.append(_program(one, prices, Step(decodings, 1, one.context)))
        programs.append(_program(one, prices, Step(d, 1, one.context, e * shares, before)))
        sizes.append((decodings, budget))
    ranks = [1] * len(programs)
    found = step_times(programs, prices, ranks, "repeated")
    tables: list[StepTable | InputError] = []
    for (decodings, budget), decode, mixed in zip(sizes, found[::2], found[1::2]):
        failed = next((step for step in (decode, mixed) if isinstance(step, InputError)), None)
        if failed is not None:
            tables.append(failed)
            continue
        assert isinstance(decode, StepTime) and isinstance(mixed, StepTime)
        alone = np.broadcast_to(np.asarray(decode.total_s, dtype=float), decodings.shape)
        every = np.broadcast_to(np.asarray(mixed.total_s, dtype=float), ((len(decodings) + 1) * len(budget),))
        tables.append(StepTable(decodings, budget, alone, every.reshape(len(decodings) + 1, len(budget))))
    return tables


def _program(one: Asked, prices: Prices, step: Step) -> Program:
    made = build(
        one.shape,
        one.layout,
        step,
        precision=prices.precision,
        node_size=prices.device.node_size,
        routing=one.routing,
        micro_batches=1 if one.layout.pp == 1 else np.minimum(np.maximum(np.asarray(step.sequences), 1.0), one.layout.pp),
    )
    return as_engine(made)
