"""Predict one configuration: its latency, its cost, what they are made of."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.economics.serving.prediction import Prediction, frame
from inferometer.emulator.economics.serving.request import Request
from inferometer.emulator.economics.serving.scenario import Scenario
from inferometer.emulator.economics.serving.uncertainty import latency_interval
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision

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
    without gpus the fastest on one node, or on the fewest nodes that hold the model. further: calibration, key,
    usd_per_hour, routing, memory_reserve, speculator, acceptance of Request. Without context or prompt a context of
    2048 tokens is taken.

    Raises InputError for whatever cannot be started, with the arithmetic.
    """
    if layout is not None and gpus is not None and layout.gpus != gpus:
        raise InputError(f"tp·ep·pp·dp = {layout.gpus} but gpus = {gpus}")
    load = load_of(context, prompt, output, interleave)
    request = Request(model, accelerator, load, precision_of(weight_bits, activation_bits, kv_bits), **further)
    return frame([answer(request, batch=batch, layout=layout, gpus=gpus)])


def precision_of(*bits: int | None) -> Precision | None:
    """Of weights, activations, cache: what is not given has 16 bits; None where nothing is given."""
    return None if set(bits) == {None} else Precision(*(16 if width is None else width for width in bits))


def load_of(context: float | None, prompt: float | None, output: float | None, interleave: bool) -> Load:
    """The load as given; with nothing given, decoding at 2048 tokens."""
    if context is None and prompt is None and output is None:
        return Load(context=2048.0, interleave=interleave)
    return Load(context, prompt, output, interleave)


def answer(request: Request, *, batch: int, layout: Layout | None = None, gpus: int | None = None) -> Prediction:
    """The prediction for one request; with a calibration also its interval, where it leaves what was measured, and
    what the paper's constants would have said."""
    scenario = request.scenario()
    network = scenario.network
    chosen = layout or _best_layout(scenario, batch, gpus)
    scenario.check_fit(chosen, batch)
    if not np.isfinite(scenario.time(chosen, batch).token_latency_s):
        raise _undetermined(scenario, chosen)
    for source in (scenario.processor, scenario.in_step):
        if isinstance(source, CalibrationProcessor | CalibrationInStep):
            source.notes.clear()  # those of layouts that were tried and not chosen
    found = scenario.predict(chosen, batch)
    if not isinstance(network, CalibrationNetwork):
        return found
    interval, notes = latency_interval(scenario, chosen, batch, network)
    constants = None
    if scenario.processor is None:  # of a measured machine's links only the laws say how fast they are
        paper = replace(scenario, network=ConstantNetwork(scenario.accelerator), in_step=None)
        constants = float(paper.time(chosen, batch).token_latency_s)
    return replace(
        found,
        interval_s=interval,
        paper_constants_s=constants,
        notes=[*found.notes, *notes],
    )


def _best_layout(scenario: Scenario, batch: int, gpus: int | None) -> Layout:
    """The fastest layout on gpus devices; without a number on one node, or the fewest nodes that hold the model."""
    fullest: InputError | None = None
    for counts in _sizes(scenario.accelerator.node_size) if gpus is None else [(gpus,)]:
        undetermined: InputError | None = None
        times: list[tuple[float, Layout]] = []
        tried = [one for count in counts for one in layouts(scenario.shape, scenario.accelerator, count, gpus=count)]
        for layout in tried:
            try:
                scenario.check_fit(layout, batch)
            except InputError as error:
                fullest = error
                continue
            try:
                seconds = float(scenario.time(layout, batch).token_latency_s)
            except InputError as error:  # the calibration has no law for one of its collectives
                undetermined = error
                continue
            if np.isfinite(seconds):
                times.append((seconds, layout))
            else:
                undetermined = _undetermined(scenario, layout)
        if times:
            return min(times, key=lambda pair: pair[0])[1]
        if undetermined is not None:
            raise undetermined
    if fullest is not None:
        raise fullest
    raise InputError(f"{scenario.shape.name}: no layout of {gpus or 'any number of'} GPUs divides it")


def _undetermined(scenario: Scenario, layout: Layout) -> InputError:
    network = scenario.network
    why = f": {network.gaps()}" if isinstance(network, CalibrationNetwork) else ""
    return InputError(f"{network.name} does not determine what {layout.gpus} GPUs ({layout.describe()}) need{why}")


def _sizes(node_size: int) -> list[tuple[int, ...]]:
    """Numbers of devices tried together: all that one node holds, then two nodes, four, …"""
    return [tuple(range(1, node_size + 1)), *((node_size * 2**k,) for k in range(1, MOST_DOUBLINGS + 1))]
