"""A calibration on one screen: what collectives and computing cost here, what is not known, what to rely on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from inferometer.emulator.report.columns import WIDTH, wrapped
from inferometer.emulator.report.compute import compute_table
from inferometer.emulator.report.in_step import in_step_table
from inferometer.emulator.report.machine import implementations, machine_words, nodes_words
from inferometer.emulator.report.main_laws import (
    differing_words,
    main_laws,
    oversubscribed_ranks,
    paper_time_us,
    within_cores_first,
)
from inferometer.emulator.report.network import network_table
from inferometer.emulator.units import format_bytes, format_us

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.network_records import Combination, NetworkLaw, PaperProjection
    from inferometer.emulator.calibrate.schema.records import Parameter

SMALL_BYTES = 4096
"""The summary compares with the paper near this size: a small message, where latency is everything."""
LATENCY = {"base": "a", "per_local_rank": "b", "per_log2_node": "c"}
DROPPED_SHOWN = 20


def summary_lines(calibration: Calibration, verbose: bool = False) -> list[str]:
    """The text that `inferometer calibrate` and `fit` end with: a screen of 100 columns.

    verbose adds every interval, the laws of other timings, dtypes and concurrent groups, the compute laws by kind, what
    could not be fitted and what was dropped; its tables may be wider.
    """
    parts: list[Callable[[Calibration, bool], Iterator[str]]] = [
        _machine, _network, _in_step, _compute, _open_questions, _verdict,
    ]  # fmt: skip
    lines: list[str] = []
    for part in parts:
        found = list(part(calibration, verbose))
        lines += ["", *found] if lines and found else found
    return lines


def _table(verbose: bool, whole: Callable[[], list[str]], *narrower: Callable[[], list[str]]) -> list[str]:
    """The whole table or, on a screen that it is too wide for, the first narrower one that fits; the last is cut to fit."""
    for make in (whole, *narrower):
        lines = make()
        if verbose or max(map(len, lines), default=0) <= WIDTH:
            return lines
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]


def _machine(calibration: Calibration, verbose: bool) -> Iterator[str]:
    yield from wrapped(f"Calibration of {machine_words(calibration)}")
    for how, count in implementations(calibration).items():
        yield from wrapped(f"{how}: {count} launch{'' if count == 1 else 'es'}")


def _network(calibration: Calibration, verbose: bool) -> Iterator[str]:
    laws = main_laws(calibration)
    if not laws:
        return
    crowded = oversubscribed_ranks(calibration)
    timings = {law.target.timing for law in laws}
    kind = "" if None in timings else f", {' and '.join(sorted(map(str, timings)))} calls"
    yield f"Network{kind}: t = a + b·(ranks/nodes − 1) + c·log2(nodes) + bus bytes / B"
    table = _table(
        verbose,
        lambda: network_table(laws, crowded, intervals=True),
        lambda: network_table(laws, crowded, intervals=True, errors=False),
        lambda: network_table(laws, crowded, intervals=False),
        lambda: network_table(laws, crowded, intervals=False, errors=False),
    )
    yield from _conventions(calibration, laws, any("[" in line for line in table))
    yield from table
    if not crowded.isdisjoint(rank for law in laws for rank in law.domain.ranks):
        yield "* measured with more ranks × threads than usable cores"
    yield from _floor(calibration, crowded)
    yield from _comparison(calibration, laws, crowded)
    if verbose:
        for kind, others in _other_laws(calibration).items():
            yield f"{kind}:"
            yield from network_table(others, set(), True)


def _conventions(calibration: Calibration, laws: Sequence[NetworkLaw], with_intervals: bool) -> Iterator[str]:
    """What the table's brackets, its dtype and a ring's law mean, as far as they occur."""
    records: list[Parameter | Combination] = []
    for law in laws:
        records += [*law.params.values(), *law.identifiable_combinations]
    over = " or ".join(sorted({record.ci95_over or "launches" for record in records if record.ci95}, reverse=True))
    if over and with_intervals:
        meaning = " of the fit, which say nothing of another launch" if "cells" in over else ""
        yield f"[…, …]: 95 % interval over {over}{meaning}"
    elif over:
        yield f"95 % intervals over {over}: --verbose"
    shown = {law.target.dtype for law in laws}
    if len({law.target.dtype for law in calibration.network_laws if law.target.dtype}) > 1:
        yield f"dtype shown: {', '.join(str(name) for name in shown)}"
    if any((law.formula.rank_latency, law.formula.node_latency) == ("ring", None) for law in laws):
        yield "law flat_ring: a + b·(ranks − 1), a ring whose cost does not depend on nodes"


def _floor(calibration: Calibration, crowded: set[int]) -> Iterator[str]:
    floors = [floor for floor in calibration.launch_floor if floor.target.timing == "isolated"]
    times = []
    for floor in sorted(floors, key=lambda f: (f.ranks, f.nodes)):
        nodes = f" on {nodes_words(floor.nodes)}" if floor.nodes > 1 else ""
        times.append(f"{format_us(floor.us)} µs on {floor.ranks}{'*' if floor.ranks in crowded else ''} ranks{nodes}")
    if times:
        yield from wrapped(f"Dispatch floor (null operation): {', '.join(times)}.")


def _comparison(calibration: Calibration, laws: Sequence[NetworkLaw], crowded: set[int]) -> Iterator[str]:
    """This machine's small all_reduce beside the paper's, on the most ranks that have a core each."""
    every = [law for law in laws if law.target.collective == "all_reduce"]
    reduces = [law for law in every if not law.target.oversubscribed] or every
    names = differing_words([law.target for law in reduces])
    several = len(set(names)) > 1
    for law, name in zip(reduces, names):
        measured = [cell for cell in calibration.cells if cell.target == law.target and cell.us.median and cell.bytes]
        if not measured:  # published constants
            continue
        free = [cell for cell in measured if cell.ranks not in crowded] or measured
        ranks, nodes = max((cell.ranks, cell.nodes) for cell in free)
        there = [cell for cell in free if (cell.ranks, cell.nodes) == (ranks, nodes)]
        nearest = min(there, key=lambda cell: abs(np.log(cell.bytes / SMALL_BYTES)))
        here_us = nearest.us.median or 0.0
        paper_us = float(paper_time_us("all_reduce", nearest.bytes, ranks, nodes)[0])
        call = f"all_reduce{f' ({name})' if several else ''} of {format_bytes(nearest.bytes)}"
        yield from wrapped(
            f"{call}, {ranks} ranks, {nodes_words(nodes)}: {format_us(here_us)} µs measured, "
            f"{format_us(paper_us)} µs by the paper (ratio {here_us / paper_us:.3g})"
        )
        projection = law.paper_projection
        yield from wrapped(
            f"  in the paper's form: {_projected(projection)}; "
            f"median error {projection.medape:.0%}, largest {projection.maxape:.0%}"
        )


def _projected(projection: PaperProjection) -> str:
    """``a = 0 µs, b = 163 µs``; what is determined only together stands as a sum, what is not at all is named last."""
    values = {LATENCY[field]: value for field, value in projection.t_reduce_us.model_dump().items()}
    known = [f"{name} = {value:.3g} µs" for name, value in values.items() if value is not None]
    joint = [c for c in projection.identifiable_combinations if c.unit == "us"]
    known += [f"{c.expr} = {c.value:.3g} µs" for c in joint]
    covered = {name for c in joint for name in c.coefficients}
    missing = [name for name, value in values.items() if value is None and name not in covered]
    return ", ".join(known) + (f"{', ' if known else ''}{', '.join(missing)} not determined" if missing else "")


def _in_step(calibration: Calibration, verbose: bool) -> Iterator[str]:
    laws = [law for law in calibration.in_step_laws if verbose or law.target.concurrent_groups in (1, None)]
    if laws:
        yield "In-step overhead: in a model's step a call costs t + s, s = s0 + u·(compute gap) + v·bytes"
        crowded = oversubscribed_ranks(calibration)
        yield from _table(
            verbose,
            lambda: in_step_table(laws, crowded, intervals=True),
            lambda: in_step_table(laws, crowded, intervals=False),
        )


def _compute(calibration: Calibration, verbose: bool) -> Iterator[str]:
    laws = calibration.compute_laws
    lines = _table(verbose, lambda: compute_table(laws, intervals=True), lambda: compute_table(laws, intervals=False))
    if not lines:
        return
    on_device = any(law.form == "roofline" for law in laws)
    of = "one device, by how kernels are launched" if on_device else "one rank, by how many ranks compute at once"
    yield f"Compute of {of} (matmuls, weights from memory)"
    yield from lines
    if verbose:
        kinds = [law.kind for law in laws]
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
        yield f"Compute laws in the file, by kind: {counts}."


def _other_laws(calibration: Calibration) -> dict[str, list[NetworkLaw]]:
    """The laws that the main table does not show, by timing, groups and dtype."""
    shown = {id(law) for law in main_laws(calibration)}
    kinds: dict[str, list[NetworkLaw]] = {}
    for law in within_cores_first([law for law in calibration.network_laws if id(law) not in shown]):
        several = law.target.concurrent_groups not in (1, None)
        groups = "all groups at once" if several else "one group" if law.target.concurrent_groups else None
        words = [word for word in (law.target.timing, groups, law.target.dtype) if word]
        kinds.setdefault(f"Network, {', '.join(words) or 'nothing else known'}", []).append(law)
    return dict(sorted(kinds.items()))


def _open_questions(calibration: Calibration, verbose: bool) -> Iterator[str]:
    """What the data do not determine, what was not fitted, what the screen leaves out."""
    reasons: dict[str, dict[str, None]] = {}
    for law in main_laws(calibration):
        for name, parameter in law.params.items():
            if parameter.status == "not_identified" and parameter.reason:
                reasons.setdefault(parameter.reason, {})[name] = None
    for reason, names in sorted(reasons.items()):
        yield from wrapped(f"Not determined: {', '.join(names)}: {reason}")
    for part, reason in calibration.not_measured.items():
        yield from wrapped(f"Not measured: {part.removesuffix('_laws').replace('_', ' ')}: {reason}")
    refused = {f"{n.target.collective}: {n.reason}": None for n in calibration.not_fitted}
    dropped = calibration.method.get("dropped") or []
    dropped = [str(cell) for cell in dropped] if isinstance(dropped, list) else []
    if verbose:
        for text in refused:
            yield from wrapped(f"Not fitted: {text}")
        if dropped:
            yield f"Cells that the time budget dropped ({len(dropped)}; all in method.dropped of the file):"
            yield from (f"  {cell}" for cell in dropped[:DROPPED_SHOWN])
        return
    others = sum(map(len, _other_laws(calibration).values()))
    counts = {f"{others} further network laws": others, f"{len(refused)} keys not fitted": len(refused)}
    counts[f"{len(dropped)} cells dropped by the time budget"] = len(dropped)
    if more := [text for text, count in counts.items() if count]:
        yield from wrapped(f"Not shown: {', '.join(more)}; --verbose lists them.")


def _verdict(calibration: Calibration, verbose: bool) -> Iterator[str]:
    yield f"Verdict: {calibration.quality.verdict.replace('_', ' ')}"
    for reason in calibration.quality.reasons:
        yield from wrapped(reason, "  - ")
