"""What collectives and kernels cost: points with intervals, laws, residuals, alternatives, bus bandwidth, rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.network import FittedLaw
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.calibrate.schema.records import Cell
from inferometer.emulator.report.main_laws import differing_words, main_laws
from inferometer.emulator.report.page.elements import section, table, tag
from inferometer.emulator.report.page.plot import Plot, Series
from inferometer.emulator.units import format_bytes, format_us
from inferometer.parallel.collectives import COLLECTIVES

LINE_POINTS = 120
Group = tuple[int, int]


def rank_place(ranks: int) -> int:
    """The palette's place of a rank count: the same in every figure."""
    return int(max(0, np.ceil(np.log2(max(ranks, 1))) - 1))


def costs(calibration: Calibration) -> str:
    laws = [law for law in main_laws(calibration) if law.domain.bytes[1] > 0]
    words = differing_words([law.target for law in laws])
    figures: list[str] = []
    for name in dict.fromkeys(law.target.collective for law in laws):
        here = [(law, label) for law, label in zip(laws, words) if law.target.collective == name]
        figures += _figures(calibration, name, here)
    parts = [tag("div", "".join(figures), class_="figures"), _parameters(main_laws(calibration)), _alternatives(laws)]
    return section("What collectives and kernels cost", "costs", "".join([*parts, _rates(calibration)]))


def cells_of(calibration: Calibration, law: NetworkLaw) -> dict[Group, list[Cell]]:
    """The measured cells behind a law by (ranks, nodes), by size."""
    found: dict[Group, list[Cell]] = {}
    for cell in calibration.cells:
        mine = cell.target == law.target and (not law.target.oversubscribed or cell.ranks in law.domain.ranks)
        if mine and cell.us.median and cell.bytes > 0:
            found.setdefault((cell.ranks, cell.nodes), []).append(cell)
    return {group: sorted(cells, key=lambda cell: cell.bytes) for group, cells in sorted(found.items())}


def _figures(calibration: Calibration, name: str, laws: Sequence[tuple[NetworkLaw, str]]) -> Iterator[str]:
    times: list[Series] = []
    rates: list[Series] = []
    off: list[Series] = []
    for dash, (law, label) in enumerate(laws):
        fitted = FittedLaw(law)
        groups = cells_of(calibration, law)
        for (ranks, nodes), cells in groups.items():
            place = f"{ranks} ranks" if nodes == 1 else f"{ranks} on {nodes}"
            short = place if len(laws) == 1 else f"{place} {label}"
            look: dict[str, Any] = {"colour": rank_place(ranks), "mark": rank_place(ranks)}
            x = [cell.bytes for cell in cells]
            y = [float(cell.us.median or 0) for cell in cells]
            tips = [_tip(name, cell, place) for cell in cells]
            low, high = ([None if cell.us.ci is None else cell.us.ci[side] for cell in cells] for side in (0, 1))
            times.append(Series(short, "points", x, y, low, high, tips, **look))
            line = np.geomspace(x[0], max(x[-1], x[0] + 1), LINE_POINTS)
            us = np.asarray(fitted.us(line, ranks, nodes), dtype=float)
            known = np.isfinite(us) & (us > 0)
            if known.any():
                where, there = line[known].tolist(), us[known].tolist()
                times.append(Series(f"law, {short}", "line", where, there, label=place, dash=dash, colour=rank_place(ranks)))
            factor = COLLECTIVES[name].bus_factor(ranks) / 1e3
            bus = [factor * size / t for size, t in zip(x, y)]
            rates.append(Series(short, "points", x, bus, tips=tips, **look))
            if known.any():
                moved = (factor * line[known] / us[known]).tolist()
                rates.append(Series(f"law, {short}", "line", where, moved, label=place, dash=dash, colour=rank_place(ranks)))
                by_law = np.asarray(fitted.us(x, ranks, nodes), dtype=float)
                off.append(Series(short, "points", x, (np.array(y) / by_law).tolist(), tips=tips, label=place, **look))
    if off:
        sizes = [size for series in off for size in series.x]
        off.append(Series("as the law says", "line", [min(sizes), max(sizes)], [1.0, 1.0], dash=1))
    form = "; ".join(f"{label}: {law.form}" for law, label in laws)
    yield Plot(f"{name}-time", f"{name}: time", "bytes", "µs", times, bytes=True, legend=(form,)).html()
    yield Plot(f"{name}-rate", f"{name}: bus bandwidth", "bytes", "GB/s", rates, bytes=True, y_zero=True).html()
    yield Plot(f"{name}-residual", f"{name}: measured/law", "bytes", "ratio", off, bytes=True).html()


def _tip(name: str, cell: Cell, place: str) -> str:
    interval = f"\n95 %: {format_us(cell.us.ci[0])} to {format_us(cell.us.ci[1])} µs" if cell.us.ci else ""
    launches = len([us for us in cell.launch_medians if us is not None])
    time = f"{format_us(cell.us.median)} µs, {launches} launch{'' if launches == 1 else 'es'}"
    flags = f"\n{', '.join(cell.flags)}" if cell.flags else ""
    return f"{name} of {format_bytes(cell.bytes)}, {place}\n{time}{interval}{flags}"


def _parameters(laws: Sequence[NetworkLaw]) -> str:
    rows = []
    for law, label in zip(laws, differing_words([law.target for law in laws])):
        ranks = ", ".join(map(str, law.domain.ranks)) + ("*" if law.target.oversubscribed else "")
        held = law.fit.cv.sizes.median if law.fit else None
        for name, one in law.params.items():
            interval = f"{one.ci95[0]:.3g} to {one.ci95[1]:.3g}" if one.ci95 else None
            rows.append(
                (
                    law.target.collective, label, ranks, law.form, name, None if one.value is None else f"{one.value:.4g}",
                    one.unit, interval, one.status.replace("_", " "), None if held is None else f"{100 * held:.1f}",
                )
            )  # fmt: skip
    head = ("collective", "implementation", "ranks", "law", "parameter", "value", "unit", "95 %", "status", "held-out %")
    return tag("h3", "Parameters") + table(head, rows, right=(5, 9), caption="*: more ranks × threads than usable cores")


def _alternatives(laws: Sequence[NetworkLaw]) -> str:
    rows = []
    for law in laws:
        for one in law.fit.alternatives if law.fit else []:
            score = None if one.score is None else f"{100 * one.score:.2f}"
            error = None if one.medape is None else f"{100 * one.medape:.2f}"
            chosen = "chosen" if one.chosen else one.unfit or (f"as {one.coincides_with}" if one.coincides_with else "")
            ranks = ", ".join(map(str, law.domain.ranks))
            rows.append((law.target.collective, ranks, one.form, one.free_parameters, score, error, chosen))
    if not rows:
        return ""
    head = ("collective", "ranks", "law", "parameters", "held-out score %", "median error %", "")
    shown = table(head, rows, right=(3, 4, 5), caption="Laws that were fitted to the same cells; the score decides")
    return tag("details", tag("summary", "Alternatives") + shown)


def _rates(calibration: Calibration) -> str:
    rows = []
    for law in calibration.compute_laws:
        held = law.fit.held_out.median
        about = (law.target.dtype, law.target.concurrent_ranks, law.kind, law.op or "all")
        for name, rate in (law.rates or {}).items():
            interval = f"{rate.ci95[0]:.3g} to {rate.ci95[1]:.3g}" if rate.ci95 else None
            value = None if rate.value is None else f"{rate.value:.4g}"
            rows.append((*about, name.replace("_", " "), value, rate.unit, interval, _percent(held)))
        if law.form == "roofline":
            for name, one in law.params.items():
                value = None if one.value is None else f"{one.value:.4g}"
                interval = f"{one.ci95[0]:.3g} to {one.ci95[1]:.3g}" if one.ci95 else None
                rows.append((*about, name, value, one.unit, interval, _percent(held)))
    if not rows:
        why = calibration.not_measured.get("compute", "no law says a rate")
        return tag("h3", "Kernels") + tag("p", f"Not measured: {why}.", class_="soft")
    head = ("dtype", "ranks at once", "kind", "operation", "rate", "value", "unit", "95 %", "held-out %")
    return tag("h3", "Kernels") + table(head, rows, right=(1, 5, 8))


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"
