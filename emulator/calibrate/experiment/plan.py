"""What a calibration would do, without doing it: what it determines, what would determine the rest, how long it takes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.experiment.allocation import Allocation, Determined, determined_by, would_determine
from inferometer.emulator.calibrate.experiment.order import by_information, expected_s
from inferometer.emulator.measure.method import Method
from inferometer.emulator.measure.plan import GroupMesh, candidate_cells
from inferometer.emulator.measure.probes import MatmulProbe, ModelProbe, probes_of
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.placement import Placement

START_S, START_RANK_S = 3.0, 0.15
"""Of a launch: Python and torch once, then every rank (benchmarks/launch_speed.py)."""
PROBE_WARM_UP_S = 0.4
"""Of a model's probe, beside its steps: making the model, warming up."""
SHARE = 0.75
"""Of a launch's time: what probes take at most (measure.probing)."""
FIRST = 6


@dataclass(frozen=True)
class Plan:
    """determined: by collective. better: the allocation that determines the rest; None: nothing is open, or none is found.
    cells: candidates; fitting: how many of them the budget has time for; first: those that the first launch begins with;
    dropped: purposes of the tiers of which no cell fits. Seconds are of one launch, but whole_s: of all, within the budget.
    """

    backend: str
    allocation: Allocation
    crowded: tuple[int, ...]
    """Rank counts that outnumber the cores."""
    determined: dict[str, Determined]
    better: Allocation | None
    launches: int
    start_s: float
    probes_s: float
    cells_s: float
    whole_s: float
    budget_s: float | None
    cells: int
    fitting: int
    first: tuple[str, ...]
    dropped: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {"schema": "inferometer/plan/1"} | asdict(self)


def plan_of(method: Method, allocation: Allocation) -> Plan:
    node_of = tuple(node for node, ranks in enumerate(allocation.ranks_per_node) for _ in range(ranks))
    placement = Placement(node_of, one_clock=True)
    meshes = [GroupMesh(mesh, placement.nodes_of(mesh.groups("member")[0])) for mesh in placement.group_meshes()]
    order = by_information(candidate_cells(method, meshes))
    determined = {name: determined_by(allocation, name) for name in _sized(method)}
    better = [found for name in determined if (found := would_determine(allocation, name)) is not None]
    start_s = START_S + START_RANK_S * method.world_size
    probes_s, seconds = probing_s(method, allocation), np.cumsum([expected_s(cell) for cell in order])
    cells_s = float(seconds[-1]) if len(seconds) else 0.0
    whole_s, fitting = method.launches * (start_s + probes_s + cells_s), len(order)
    if method.budget_s is not None and whole_s > method.budget_s:
        whole_s = method.budget_s
        each_s = method.budget_s / method.launches - start_s
        probes_s = min(probes_s, SHARE * each_s)
        fitting = int((seconds <= each_s - probes_s).sum())
    kept = {cell.tier for cell in order[:fitting]}
    return Plan(
        backend=method.backend,
        allocation=allocation,
        crowded=tuple(sorted({r for r, _, fits in allocation.groups() if not fits})),
        determined=determined,
        better=max(better, key=lambda one: sum(one.ranks_per_node), default=None),
        launches=method.launches,
        start_s=start_s,
        probes_s=probes_s,
        cells_s=cells_s,
        whole_s=whole_s,
        budget_s=method.budget_s,
        cells=len(order),
        fitting=fitting,
        first=tuple(cell.id for cell in order[:FIRST]),
        dropped=tuple(tier.why or str(at) for at, tier in enumerate(method.sweep.tier) if at not in kept),
    )


def _sized(method: Method) -> list[str]:
    """The collectives that are measured in isolation, whose laws the plain form describes."""
    named = [name for tier in method.sweep.tier if "isolated" in tier.timings for name in tier.collectives]
    return [name for name in dict.fromkeys(named) if COLLECTIVES[name].sized and not COLLECTIVES[name].pair]


def probing_s(method: Method, allocation: Allocation) -> float:
    """What all probes of computing take in one launch."""
    wanted = method.sweep.compute
    if wanted is None:
        return 0.0
    cores = allocation.cores if allocation.cores is not None else max(allocation.ranks_per_node)
    total = 0.0
    for probe in probes_of(method, list(allocation.ranks_per_node), cores * method.threads):
        match probe:
            case MatmulProbe():
                total += len(probe.rows) * wanted.seconds
            case ModelProbe():
                total += wanted.step_seconds + PROBE_WARM_UP_S
    return total
