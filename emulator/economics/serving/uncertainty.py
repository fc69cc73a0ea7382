"""How far a predicted step may be off, by the sources' own account."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from inferometer.emulator.calibrate.evaluate.stack import Stack
from inferometer.emulator.economics.pricing.step import StepTime
from inferometer.emulator.workload.program import Collective, Size


def latency_interval(step: StepTime, latency_s: float) -> tuple[tuple[float, float] | None, list[str]]:
    """The 95 % interval of a token latency that rests on a step, as `deviations` has it, with a note where it has none.

    Where a token takes longer or shorter than the sum of the step's terms (a pipeline's waits, speculation), the deviations
    grow or shrink with it.
    """
    found, notes = deviations(step)
    if found is None:
        return None, notes
    stretch = latency_s / float(step.terms.total_s)
    return (max(0.0, latency_s - found[0] * stretch), latency_s + found[1] * stretch), notes


def deviations(step: StepTime) -> tuple[tuple[float, float] | None, list[str]]:
    """How far below and above the sum of a step's terms the truth may lie at 95 %, in seconds, with a note.

    All uses of one law err together, since they share its parameters, so their deviations add; different laws err
    independently, so theirs add in squares. Computing is one more law, which errs by a fraction of kernel_s and compute_s;
    an accelerator's figures are taken as given, and so are in-step overheads. None, with a note, where a law has no
    interval; None where there is neither network nor measured computing.
    """
    below: dict[str, float] = defaultdict(float)
    above: dict[str, float] = defaultdict(float)
    unknown = ""
    network, processor = step.prices.network, step.prices.processor
    sent: dict[str, list[tuple[Size, Size, Size, Size]]] = {}
    for priced in step.ops:
        if isinstance(op := priced.op, Collective):
            isolated_s = priced.terms["network_latency_s"] + priced.terms["network_bandwidth_s"]
            sent.setdefault(op.collective, []).append((op.bytes, op.ranks, op.nodes, priced.repeats * isolated_s))
    for collective, rows in sent.items():
        bytes, ranks, nodes, seconds = Stack(rows).columns
        wide = network.half_width(collective, bytes, ranks, nodes)
        if wide is None:
            return None, []
        if np.isnan(wide).any():
            unknown = unknown or f"the law of {collective}"
            continue
        below[collective] = float((seconds * (1 - np.exp(-wide))).sum())
        above[collective] = float((seconds * (np.exp(wide) - 1)).sum())
    share = (
        None if processor is None else processor.relative_error(step.program.precision, step.bill.calls[0].concurrent_ranks)
    )
    if share is None:
        unknown = unknown or "the laws of computing"
    elif share > 0:
        computing_s = float(step.terms["kernel_s"] + step.terms.get("compute_s", 0.0))
        below["compute"] = above["compute"] = computing_s * share
    if unknown:
        return None, [f"no interval: nothing says how far {unknown} may be off"]
    if not below:
        return None, []
    down, up = (float(np.sqrt(sum(v * v for v in side.values()))) for side in (below, above))
    return (down, up), []
