"""What a calibration would do, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inferometer.emulator.report.columns import WIDTH, wrapped

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.experiment.allocation import Allocation, Determined
    from inferometer.emulator.calibrate.experiment.plan import Plan


def plan_lines(plan: Plan) -> list[str]:
    """The text of `inferometer calibrate --plan`."""
    lines = [
        f"Plan: {plan.backend}, {plan.allocation.text}, {_launches(plan.launches)}. Nothing is measured.",
        *_crowded(plan),
        "",
        *_determined(plan),
        *_better(plan),
        "",
        *_time(plan),
    ]
    return [part for line in lines for part in (wrapped(line) if len(line) > WIDTH else [line])]


def _launches(count: int) -> str:
    return f"{count} launch{'es' * (count != 1)}"


def _crowded(plan: Plan) -> Iterator[str]:
    if plan.crowded:
        counts = ", ".join(map(str, plan.crowded))
        yield (
            f"{counts} ranks outnumber the {plan.allocation.cores} cores of a node: they get a law for each rank count, "
            "which is never used for another, and which leaves the parameters below undetermined."
        )


def _determined(plan: Plan) -> Iterator[str]:
    groups: dict[Determined, list[str]] = {}
    for collective, found in plan.determined.items():
        groups.setdefault(found, []).append(collective)
    for found, collectives in groups.items():
        yield f"{', '.join(collectives)}:"
        sums = [f"{text} (only together)" for text in found.together]
        yield f"  determines {', '.join([*found.known, *sums]) or 'nothing'}"
        if found.unknown:
            yield f"  leaves open {', '.join(found.unknown)}"
        for forms in found.alike:
            yield f"  cannot distinguish {', '.join(forms)}"


def _better(plan: Plan) -> Iterator[str]:
    if plan.better is None:
        return
    yield ""
    yield f"All of it would be determined by {plan.better.text}{_cores(plan.better)}:"
    nodes, local = len(plan.better.ranks_per_node), max(plan.better.ranks_per_node)
    if nodes == 1:
        yield f"  inferometer calibrate -n {local}"
        return
    yield (
        f"  torchrun --nnodes {nodes} --nproc-per-node {local} --node-rank … --master-addr … -m inferometer.launch calibrate"
    )
    yield "A rehearsal on this machine:"
    yield f"  inferometer lab --nodes {nodes} --per-node {local} --own-cores --delay 1ms -- calibrate"


def _cores(better: Allocation) -> str:
    return f" with {max(better.ranks_per_node)} cores or GPUs each"


def _time(plan: Plan) -> Iterator[str]:
    yield (
        f"Takes about {_minutes(plan.whole_s)}: {_launches(plan.launches)} of {plan.start_s:.0f} s to start, "
        f"{plan.probes_s:.0f} s of probes of computing, and {plan.fitting} of {plan.cells} cells"
        f"{'' if plan.budget_s is None else f' (budget {plan.budget_s:g} s)'}."
    )
    if plan.fitting < plan.cells:
        every_s = plan.launches * (plan.start_s + plan.probes_s + plan.cells_s)
        yield f"All cells would take about {_minutes(every_s)} (--budget {every_s:.0f})."
    if plan.dropped:
        yield f"No time for: {'; '.join(plan.dropped)}."
    yield f"Most telling first: {', '.join(plan.first)} …"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
