"""A calibration on one screen: what the collectives cost, how that compares with the paper's constants, what to trust."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.laws.prior import paper_parameters
from inferometer.emulator.report.compute import compute_lines
from inferometer.emulator.report.in_step import in_step_lines
from inferometer.emulator.units import format_bytes, format_us

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.records import Combination, NetworkLaw, Parameter, Target

SMALL_BYTES = 4096
"""The summary compares with the paper near this size: a small message, where latency is everything."""
SHORT = ("bfloat16", "float16", "half")
TOLD_APART = ("implementation", "launch_mode", "timing", "concurrent_groups", "scheduler")
"""Fields in which laws of one collective, backend and dtype may differ."""


def summary_lines(calibration: Calibration) -> list[str]:
    """The text that `inferometer calibrate` ends with."""
    return [
        *_machine(calibration),
        "",
        *_law(calibration),
        "",
        *_table(calibration),
        "",
        *_comparison(calibration),
        *in_step_lines(calibration),
        *compute_lines(calibration),
        *_unknown(calibration),
        *_also(calibration),
        "",
        *_verdict(calibration),
    ]


def main_models(calibration: Calibration) -> list[NetworkLaw]:
    """The laws that the summary shows: one operation at a time, one group, in the dtype that most cells have."""
    alone = [m for m in calibration.network_laws if m.target.concurrent_groups in (1, None)]
    isolated = [m for m in alone if m.target.timing in ("isolated", None)] or alone  # imports may know one timing only
    dtypes = [m.target.dtype for m in isolated]
    order = {name: (name != "float32", -dtypes.count(name), name not in SHORT, str(name)) for name in dtypes}
    first = min(dtypes, key=order.__getitem__, default=None)
    return [m for m in isolated if m.target.dtype == first]


def differing_words(targets: Sequence[Target]) -> list[str]:
    """A name [len(targets)] for each key: its backend, and the fields in which keys of one collective differ."""
    varying = [name for name in TOLD_APART if _varies(targets, name)]
    names = []
    for target in targets:
        values = [target.backend, *(getattr(target, name) for name in varying)]
        names.append(" ".join(dict.fromkeys(str(value) for value in values if value is not None)))
    return names


def _varies(targets: Sequence[Target], name: str) -> bool:
    """Whether a field differs among the keys of a collective and backend."""
    residuals: dict[tuple[str, str | None], set[object]] = {}
    for target in targets:
        residuals.setdefault((target.collective, target.backend), set()).add(getattr(target, name))
    return any(len(values) > 1 for values in residuals.values())


def paper_time_us(collective: str, size_bytes: ArrayLike, ranks: ArrayLike, nodes: ArrayLike) -> np.ndarray:
    """What the paper's constants say of a collective, µs [n]; the arguments broadcast to n values, at least one."""
    law = affine(collective)
    sizes, over, across = np.broadcast_arrays(*(np.atleast_1d(np.asarray(x, float)) for x in (size_bytes, ranks, nodes)))
    return law.time_us(law.theta(paper_parameters(collective)), sizes, over, across)


def _machine(calibration: Calibration) -> Iterator[str]:
    place = calibration.provenance
    hardware: dict[str, Any] = dict(place.hardware or {})
    topology: dict[str, Any] = dict(place.topology or {})
    gpus = hardware.get("gpus") or []
    imported = ", ".join(hardware.get("devices") or []) or "an unknown machine"
    processor, cores = hardware.get("cpu_model"), hardware.get("cores_usable")
    here = ", ".join([str(processor)] + [f"{cores} usable cores"] * (cores is not None)) if processor else imported
    what = f"{len(gpus)} × {gpus[0]}" if gpus else here
    where = f"; {topology['ranks']} ranks on {_nodes(topology.get('nodes'))}" if topology.get("ranks") else ""
    yield f"Calibration of {what}{where}"
    launches: dict[str, int] = {}
    for cell in calibration.cells:
        scheduler = f"scheduler {cell.target.scheduler}" if cell.target.scheduler else None
        known = [word for word in (cell.target.implementation or cell.target.backend, scheduler) if word]
        how = ", ".join(known) or "unknown implementation"
        launches[how] = max(launches.get(how, 0), len(cell.launch_medians))
    for how, count in sorted(launches.items()):
        yield f"{how}: {count} launch{'' if count == 1 else 'es'}"


def _nodes(count: int | None) -> str:
    return "an unknown number of nodes" if count is None else f"{count} node{'' if count == 1 else 's'}"


def _law(calibration: Calibration) -> Iterator[str]:
    records: list[Parameter | Combination] = []
    for m in main_models(calibration):
        records += [*m.params.values(), *m.identifiable_combinations]
    over = " or ".join(sorted({record.ci95_over or "launches" for record in records if record.ci95}, reverse=True))
    known = f"        […, …]: 95 % interval over {over}" if over else ""
    yield f"t = a + b·(ranks/nodes − 1) + c·log2(nodes) + bus bytes / B{known}"
    if "cells" in over:
        yield "over cells: how well these cells determine the law, nothing of what another launch would give"
    shown = {m.target.dtype for m in main_models(calibration)}
    if len({m.target.dtype for m in calibration.network_laws if m.target.dtype}) > 1:
        yield f"shown: {', '.join(str(name) for name in shown)}"
    if any(m.form == "flat_ring" for m in main_models(calibration)):
        yield "law flat_ring: a + b·(ranks − 1), a ring that does not know of nodes"


def _table(calibration: Calibration) -> list[str]:
    """A line per law, the paper's constants, the dispatch floor. A column that would say nothing is left out."""
    head = ["collective", "backend", "ranks", "nodes", "a (µs)", "b (µs per rank)", "c (µs per log2 N)", "B (GB/s)"]
    rows = [[*head, "error", "held out", "law"]]
    models = main_models(calibration)
    for m, name in zip(models, differing_words([m.target for m in models])):
        missed, held = (m.fit.medape, m.fit.cv.sizes.median) if m.fit else (None, None)
        first, *further = _bandwidths(m)
        where = [m.target.collective, name, _span(m.domain.ranks), _span(m.domain.nodes)]
        latency = [_cell(m.params.get(name)) for name in ("a", "b", "c")]
        rows.append([*where, *latency, first, *("–" if e is None else f"{e:.0%}" for e in (missed, held)), m.form])
        rows += [[*[""] * 7, text, "", "", ""] for text in further]
        for combination in m.identifiable_combinations:
            interval = f" [{combination.ci95[0]:.3g}, {combination.ci95[1]:.3g}]" if combination.ci95 else ""
            what = f"(only {combination.expr} = {combination.value:.3g}{interval} {combination.unit})"
            rows.append([*[""] * 10, what])
    one_node = all(m.domain.nodes == [1] for m in main_models(calibration))
    paper = paper_parameters("all_reduce")
    constants = [f"{paper[name]:g}" for name in ("a", "b", "c", "B_intra")]
    note = "constants, H100" + (f"; c = {paper['c']:g} µs" if one_node else "")
    rows.append(["the paper, all_reduce", "nccl", "", "", *constants, "", "", note])
    for floor in sorted(calibration.launch_floor, key=lambda f: (f.ranks, f.nodes)):
        if floor.target.timing == "isolated":
            where = [floor.target.backend or "", str(floor.ranks), str(floor.nodes)]
            rows.append(["null (dispatch floor)", *where, format_us(floor.us), *[""] * 6])
    if one_node:  # one node says nothing of nodes
        silent = (head.index("nodes"), head.index("c (µs per log2 N)"))
        rows = [[text for column, text in enumerate(row) if column not in silent] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths)).rstrip() for row in rows]


def _cell(parameter: Parameter | None) -> str:
    if parameter is None:
        return "–"
    if parameter.value is None:
        return "not known"
    text = f"{parameter.value:.3g}"
    if parameter.status in ("tied", "fixed_prior"):  # the paper's proportions, not a measurement of this term
        return f"{text} ({parameter.status.replace('_', ' ')})"
    interval = parameter.ci95
    if interval:
        return f"{text} [{interval[0]:.3g}, {interval[1]:.3g}]"
    return f"{text} [no interval]" if parameter.status == "fitted" else f"{text} ({parameter.status.replace('_', ' ')})"


def _bandwidths(model: NetworkLaw) -> list[str]:
    """One entry per bandwidth of the law, the first for the law's own line."""
    named = {name: p for name, p in model.params.items() if name.startswith("B_") and p.value is not None}
    if len(named) <= 1:
        return [_cell(p) for p in named.values()] or ["–"]
    entries = []
    for name, parameter in named.items():
        kind, _, ranks = name.partition("@")
        entries.append(f"{_cell(parameter)} {f'at {ranks} ranks' if ranks else kind}")
    return entries


def _span(ranks: list[int]) -> str:
    return f"{min(ranks)}–{max(ranks)}" if len(ranks) > 1 else str(ranks[0])


def _comparison(calibration: Calibration) -> Iterator[str]:
    """One sentence a person remembers: this machine's small all_reduce against the paper's."""
    models = main_models(calibration)
    for m, name in zip(models, differing_words([m.target for m in models])):
        if m.target.collective != "all_reduce":
            continue
        measured = [cell for cell in calibration.cells if cell.target == m.target and cell.us.median and cell.bytes]
        if not measured:  # published constants
            continue
        ranks, nodes = max((cell.ranks, cell.nodes) for cell in measured)
        there = [cell for cell in measured if (cell.ranks, cell.nodes) == (ranks, nodes)]
        nearest = min(there, key=lambda cell: abs(np.log(cell.bytes / SMALL_BYTES)))
        size, here_us = nearest.bytes, nearest.us.median or 0.0
        paper_us = float(paper_time_us("all_reduce", size, ranks, nodes)[0])
        projection = m.paper_projection
        yield (
            f"An all_reduce of {format_bytes(size)} over {ranks} ranks on {_nodes(nodes)} takes "
            f"{format_us(here_us)} µs{f' ({name})' if name else ''}; "
            f"the paper's constants say {format_us(paper_us)} µs, {_times(here_us / paper_us)}."
        )
        yield (
            f"In the paper's form this machine is {_projected(projection.t_reduce_us.model_dump())}, "
            f"which misses the measured cells by {projection.medape:.0%} (median), {projection.maxape:.0%} at most."
        )


def _times(ratio: float) -> str:
    return f"{ratio:.3g} times less" if ratio >= 1 else f"{1 / ratio:.3g} times more"


def _projected(values: dict[str, float | None]) -> str:
    names = {"base": "a", "per_local_rank": "b", "per_log2_node": "c"}
    return ", ".join(f"{names[k]} = {'not known' if v is None else f'{v:.3g} µs'}" for k, v in values.items())


def _unknown(calibration: Calibration) -> Iterator[str]:
    reasons: dict[str, list[str]] = {}
    for m in main_models(calibration):
        for name, parameter in m.params.items():
            if parameter.status == "not_identified":
                reasons.setdefault(f"{name}: {parameter.reason}", []).append(m.target.collective)
    for reason, names in sorted(reasons.items()):
        yield f"Not known: {reason}" + ("" if len(names) > 1 else f" ({names[0]})")


def _also(calibration: Calibration) -> Iterator[str]:
    shown = {id(m) for m in main_models(calibration)}
    rest = [m for m in calibration.network_laws if id(m) not in shown]
    if rest:
        kinds: dict[str, list[str]] = {}
        for m in rest:
            several = m.target.concurrent_groups not in (1, None)
            groups = "all groups at once" if several else "one group" if m.target.concurrent_groups else None
            words = [word for word in (m.target.timing, groups, m.target.dtype) if word]
            kinds.setdefault(", ".join(words) or "nothing else known", []).append(m.target.collective)
        for kind, names in sorted(kinds.items()):
            yield f"Also in the file: {kind}: {', '.join(sorted(set(names)))}"
    refused = {f"{n.target.collective}: {n.reason}": None for n in calibration.not_fitted}
    yield from (f"Not fitted: {words}" for words in refused)
    dropped = calibration.method.get("dropped") or []
    if isinstance(dropped, list) and dropped:
        yield f"The time budget left {len(dropped)} cells out (listed in the file under method.dropped)"


def _verdict(calibration: Calibration) -> Iterator[str]:
    yield f"Verdict: {calibration.quality.verdict}"
    for reason in calibration.quality.reasons:
        yield f"  - {reason}"
