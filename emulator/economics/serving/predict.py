"""Predict one configuration: its latency, its cost, what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.step import StepTime, over_network
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.economics.serving.prediction import Prediction, frame
from inferometer.emulator.economics.serving.scenario import Scenario, Timing, scenario_of
from inferometer.emulator.economics.serving.uncertainty import uncertainty
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import HAND_OFF
from inferometer.emulator.workload.layout import Layout, spelt
from inferometer.emulator.workload.memory import Resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Program

if TYPE_CHECKING:
    import pandas as pd

#: Nodes tried at most, in doublings, where neither a layout nor the number of devices is given.
MOST_DOUBLINGS = 7


def predict(
    model: Any,
    accelerator: Any,
    *,
    batch: int = 1,
    layout: Layout | None = None,
    gpus: int | None = None,
    context: float | None = None,
    prompt: float | None = None,
    output: float | None = None,
    interleave: bool = False,
    weight_bits: int | None = None,
    activation_bits: int | None = None,
    kv_bits: int | None = None,
    **further: Any,
) -> pd.DataFrame:
    """The deployable prediction as a DataFrame of one row; columns as the fields of Prediction.

    model, accelerator: built-in names, files or records; accelerator None: the machine that the calibration has measured.
    Bits that are not given are 16, or what was measured there. Without a layout the fastest on gpus devices is taken,
    without gpus the fastest on one node, or on the fewest nodes that hold the model. further: calibration,
    network_calibration, key, usd_per_hour, routing, memory_reserve, speculator, acceptance of scenario_of. Without context
    or prompt a context of 2048 tokens is taken.

    Raises InputError for whatever cannot be started, with the arithmetic.
    """
    if layout is not None and gpus is not None and layout.gpus != gpus:
        raise InputError(f"{spelt(layout.degrees)} but gpus = {gpus}")
    load = load_of(context, prompt, output, interleave)
    scenario = scenario_of(model, accelerator, load, precision_of(weight_bits, activation_bits, kv_bits), **further)
    return frame([answer(scenario, batch=batch, layout=layout, gpus=gpus)])


def precision_of(*bits: int | None) -> Precision | None:
    """Of weights, activations, cache: 16 bits where not given, of weights the checkpoint's; None where nothing is given."""
    if set(bits) == {None}:
        return None
    weight, activation, cache = (16 if width is None else width for width in bits)
    return Precision(weight, activation, cache, shipped=bits[0] is None)


def load_of(context: float | None, prompt: float | None, output: float | None, interleave: bool) -> Load:
    """The load as given; with nothing given, decoding at 2048 tokens."""
    if context is None and prompt is None and output is None:
        return Load(context=2048.0, interleave=interleave)
    return Load(context, prompt, output, interleave)


def answer(scenario: Scenario, *, batch: int, layout: Layout | None = None, gpus: int | None = None) -> Prediction:
    """The prediction for one scenario; with a calibration also its interval, where it leaves what was measured, and
    what the paper's constants would have said."""
    best = _best_layout(scenario, batch, gpus) if layout is None else _asked(scenario, batch, layout)
    found = scenario.prediction(best.layout, batch, best.timing, best.memory)
    if scenario.prices.calibration is None:
        return found
    assert isinstance(best.timing.step, StepTime)
    known = uncertainty(best.timing.step, found.token_latency_s)
    return replace(
        found,
        interval_s=known.interval_s,
        narrowed_by=known.narrowed_by,
        paper_constants_s=_by_constants(scenario, best, batch),
        notes=[*found.notes, *best.timing.notes, *known.notes],
    )


@dataclass(frozen=True)
class _Candidate:
    """A layout with what was worked out for it."""

    layout: Layout
    program: Program
    memory: Resident
    timing: Timing


def _asked(scenario: Scenario, batch: int, layout: Layout) -> _Candidate:
    """The layout that was asked for. Raises InputError where it does not fit."""
    program = scenario.deployment(layout).decode_program(batch, scenario.load)
    memory = scenario.memory(layout, batch, program)
    scenario.check_fit(layout, batch, memory)
    return _Candidate(layout, program, memory, _raised(scenario.times([layout], [program], batch)[0]))


def _by_constants(scenario: Scenario, best: _Candidate, batch: int) -> float | None:
    """The latency with the paper's constants on the accelerator's links; None where their speed is not known."""
    prices = scenario.prices
    if prices.device.intra_bytes_per_s is None:  # of a measured machine's links only the laws say how fast they are
        return None
    network, step = ConstantNetwork(prices.device), best.timing.step
    if scenario.speculation is None:
        assert isinstance(step, StepTime)
        return float(over_network(step, network).total_s)
    paper = replace(scenario, prices=replace(prices, network=network, in_step=None))
    return float(_raised(paper.times([best.layout], [best.program], batch)[0]).token_latency_s)


def _best_layout(scenario: Scenario, batch: int, gpus: int | None) -> _Candidate:
    """The fastest layout on gpus devices; without a number on one node, or the fewest nodes that hold the model."""
    hands_on = scenario.prices.network.knows(HAND_OFF)
    too_large: InputError | None = None
    for counts in _sizes(scenario.accelerator.node_size) if gpus is None else [(gpus,)]:
        every = layouts(scenario.shape, scenario.accelerator, max(counts), gpus=gpus and max(counts))
        tried = [layout for layout in every if layout.gpus in counts]
        priceable = tried if hands_on else [layout for layout in tried if layout.pp == 1]
        search = _fastest(scenario, batch, priceable)
        if search.best is None and priceable != tried:  # for the reason why the others are none either
            search = _fastest(scenario, batch, tried)
        if search.best is not None:
            return search.best
        if search.undetermined is not None:
            raise search.undetermined
        too_large = search.too_large or too_large
    if too_large is not None:
        raise too_large
    raise InputError(f"{scenario.shape.name}: no layout of {gpus or 'any number of'} GPUs divides it")


@dataclass(frozen=True)
class _Search:
    """The fastest of some layouts, if one can be priced; why the last one of the others cannot, or does not fit."""

    best: _Candidate | None
    undetermined: InputError | None
    too_large: InputError | None


def _fastest(scenario: Scenario, batch: int, tried: Sequence[Layout]) -> _Search:
    fitting: list[tuple[Layout, Program, Resident]] = []
    too_large: InputError | None = None
    for layout in tried:
        program = scenario.deployment(layout).decode_program(batch, scenario.load)
        memory = scenario.memory(layout, batch, program)
        if (missing := scenario.missing(layout, memory)) is not None:
            too_large = missing
        else:
            fitting.append((layout, program, memory))
    if not fitting:
        return _Search(None, None, too_large)
    undetermined: InputError | None = None
    found: list[tuple[float, _Candidate]] = []
    timings = scenario.times([layout for layout, *_ in fitting], [program for _, program, _ in fitting], batch)
    for one, timing in zip(fitting, timings):
        if isinstance(timing, InputError):  # the calibration has no law for one of its collectives
            undetermined = timing
        elif np.isfinite(seconds := float(timing.token_latency_s)):
            found.append((seconds, _Candidate(*one, timing)))
        else:
            undetermined = scenario.undetermined(one[0], timing)
    best = min(found, key=lambda pair: pair[0])[1] if found else None
    return _Search(best, undetermined, too_large)


def _raised(found: Timing | InputError) -> Timing:
    if isinstance(found, InputError):
        raise found
    return found


def _sizes(node_size: int) -> list[tuple[int, ...]]:
    """Numbers of devices tried together: all that one node holds, then two nodes, four, …"""
    return [tuple(range(1, node_size + 1)), *((node_size * 2**k,) for k in range(1, MOST_DOUBLINGS + 1))]
