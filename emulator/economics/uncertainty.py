"""How far a prediction may be off, by the calibration's own account."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from inferometer.emulator.economics.calibrated import CalibrationNetwork
from inferometer.emulator.economics.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.calibrated_skew import CalibrationSkew
from inferometer.emulator.economics.scenario import Scenario
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Collective


def latency_interval(
    scenario: Scenario, layout: Layout, batch: int, network: CalibrationNetwork
) -> tuple[tuple[float, float] | None, list[str]]:
    """The 95 % interval of the token latency from the intervals of the laws' times, with notes on what it rests on.

    All uses of one law err together, since they share its parameters, so their deviations add; different laws err
    independently, so theirs add in squares. Compute terms are taken as given where they are an accelerator's figures;
    where they are measured they are one more law, with the error of its matmuls in models it had not seen. Skews are
    taken as given. Where a token takes longer or shorter than the sum of a step's terms (a pipeline's waits,
    speculation), the deviations grow or shrink with it. None, with
    a note, where a law has no interval; None where there is no network.
    """
    notes: dict[str, None] = {}
    below: dict[str, float] = defaultdict(float)
    above: dict[str, float] = defaultdict(float)
    deployment = scenario.deployment(layout)
    for stage in deployment.decode_program(batch, scenario.load).stages:
        for count, op in stage.counted():
            if not isinstance(op, Collective):
                continue
            notes |= dict.fromkeys(network.beyond(op.collective, op.bytes, op.ranks, op.nodes))
            interval = network.interval(op.collective, op.bytes, op.ranks, op.nodes)
            if interval is None:
                return None, [*notes, f"no interval: nothing says how far the law of {op.collective} may be off"]
            low, middle, high = interval
            below[op.collective] += count * (middle - low)
            above[op.collective] += count * (high - middle)
    timing = scenario.time(layout, batch)
    if isinstance(scenario.processor, CalibrationProcessor):
        at_once = min(layout.gpus, scenario.accelerator.node_size)
        terms, share = timing.step.terms, scenario.processor.relative_error(scenario.precision, at_once)
        off = float(terms.kernel_s + (0.0 if terms.compute_s is None else terms.compute_s)) * share
        below["compute"], above["compute"] = off, off
        notes |= scenario.processor.notes
    if isinstance(scenario.skew, CalibrationSkew):
        notes |= scenario.skew.notes
    if not below:
        return None, list(notes)
    latency = float(timing.token_latency_s)
    stretch = latency / float(timing.step.terms.total_s)
    down, up = (float(np.sqrt(sum(v * v for v in side.values()))) * stretch for side in (below, above))
    return (max(0.0, latency - down), latency + up), list(notes)
