"""How far a prediction may be off, by the calibration's own account."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.pricing.calibrated_processor import CalibrationProcessor
from inferometer.emulator.economics.pricing.processor import Processor
from inferometer.emulator.economics.serving.scenario import Scenario
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Collective, Program


def latency_interval(
    scenario: Scenario, layout: Layout, batch: int, network: CalibrationNetwork
) -> tuple[tuple[float, float] | None, list[str]]:
    """The 95 % interval of the token latency, as `deviations` has it, with notes on what it rests on.

    Where a token takes longer or shorter than the sum of a step's terms (a pipeline's waits, speculation), the deviations
    grow or shrink with it.
    """
    program = scenario.deployment(layout).decode_program(batch, scenario.load)
    timing = scenario.time(layout, batch)
    terms, concurrent_ranks = timing.step.terms, min(layout.gpus, scenario.accelerator.node_size)
    computing = float(terms.kernel_s + (0.0 if terms.compute_s is None else terms.compute_s))
    found, notes = deviations(program, network, scenario.processor, concurrent_ranks, computing)
    for source in (scenario.processor, scenario.in_step):
        if isinstance(source, CalibrationProcessor | CalibrationInStep):
            notes |= source.notes
    if found is None:
        return None, list(notes)
    latency = float(timing.token_latency_s)
    stretch = latency / float(terms.total_s)
    return (max(0.0, latency - found[0] * stretch), latency + found[1] * stretch), list(notes)


def beyond(program: Program, network: CalibrationNetwork) -> dict[str, None]:
    """In words, each once, where a program's collectives leave what the network has measured."""
    sent = [op for stage in program.stages for _, op in stage.counted() if isinstance(op, Collective)]
    return dict.fromkeys(text for op in sent for text in network.beyond(op.collective, op.bytes, op.ranks, op.nodes))


def deviations(
    program: Program, network: CalibrationNetwork, processor: Processor | None, concurrent_ranks: int, computing_s: float
) -> tuple[tuple[float, float] | None, dict[str, None]]:
    """How far below and above a program's summed time the truth may lie at 95 %, in seconds, with notes.

    All uses of one law err together, since they share its parameters, so their deviations add; different laws err
    independently, so theirs add in squares. Computing, computing_s seconds in all, is taken as given where it is an
    accelerator's figures; where it is measured it is one more law. Skews are taken as given. None, with a note, where a law
    has no interval; None where there is neither network nor measured computing.
    """
    notes = beyond(program, network)
    below: dict[str, float] = defaultdict(float)
    above: dict[str, float] = defaultdict(float)
    unknown = ""
    for stage in program.stages:
        for count, op in stage.counted():
            if not isinstance(op, Collective):
                continue
            interval = network.interval(op.collective, op.bytes, op.ranks, op.nodes)
            if interval is None:
                unknown = unknown or f"the law of {op.collective}"
                continue
            low, middle, high = interval
            below[op.collective] += count * (middle - low)
            above[op.collective] += count * (high - middle)
    if isinstance(processor, CalibrationProcessor):
        share = processor.relative_error(program.precision, concurrent_ranks)
        unknown = unknown or ("the laws of computing" if share is None else "")
        below["compute"] = above["compute"] = computing_s * (share or 0.0)
    if unknown:
        return None, notes | {f"no interval: nothing says how far {unknown} may be off": None}
    if not below:
        return None, notes
    down, up = (float(np.sqrt(sum(v * v for v in side.values()))) for side in (below, above))
    return (down, up), notes
