"""The figure of a calibration: measured points with their intervals and the fitted lines, of each collective the times and
the bus bandwidths.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.report.machine import implementations, machine_words
from inferometer.emulator.report.main_laws import differing_words, main_laws, paper_time_us
from inferometer.emulator.units import format_bytes
from inferometer.parallel.collectives import COLLECTIVES

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
    from inferometer.emulator.calibrate.schema.records import Cell

COLUMNS = 2
"""Collectives side by side, each with two panels: times, bus bandwidths."""
PANEL_INCHES = (3.7, 3.0)
HANDLE_INCHES, LETTER_INCHES = 0.6, 0.065
"""Width of a legend entry's line, and of one letter of its label."""
POINTS_ON_A_LINE = 200
MARKERS = "osD^v<>P"
LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
PAPER_DASHES = (0, (4, 3))
PAPER_WITHIN = 3.0
"""The paper's bandwidths are drawn where they are at most so many times those measured: else nothing else could be read."""
HALF_WAY = 1.8
"""Octaves above 2 ranks at which half of the colours are used: small counts, drawn together most often, differ most."""


@dataclass(frozen=True)
class Style:
    """How a group of ranks is drawn: colour by its ranks, lighter the more, marker by its place among the groups."""

    colour: Any
    marker: str

    @classmethod
    def of(cls, group: tuple[int, int], groups: Sequence[tuple[int, int]]) -> Style:
        return cls(rank_colour(group[0]), MARKERS[groups.index(group) % len(MARKERS)])


def rank_colour(ranks: int) -> tuple[float, ...]:
    """The colour of a rank count, the same in every figure; printed in grey it is lighter the more ranks there are."""
    from matplotlib import colormaps

    octave = max(np.log2(max(ranks, 1)) - 1, 0)
    found = colormaps["plasma"](octave / (octave + HALF_WAY))
    return tuple(float(part) for part in found)


def draw(calibration: Calibration, path: str | Path) -> None:
    """Write the figure (format by the suffix). Collectives without data sizes have no panels.

    Colour: ranks. Marker: group of ranks and nodes. Line and fill: backend, with what else differs between laws of a
    collective. The grey dashes are the paper's constants.
    """
    # The object-oriented interface: no global state, no display needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = [m for m in main_laws(calibration) if m.domain.bytes[1] > 0]
    names = list(dict.fromkeys(m.target.collective for m in models))
    labels = differing_words([m.target for m in models])
    kinds = sorted(set(labels))
    groups = sorted({(cell.ranks, cell.nodes) for m in models for cell in _cells_of(calibration, m)})
    columns = min(COLUMNS, max(1, len(names)))
    rows = max(1, -(-len(names) // columns))
    figure = Figure(figsize=(2 * PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 1.0), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2 * columns, squeeze=False, sharex=True).ravel()
    for times, rates, name in zip(panels[::2], panels[1::2], names):
        for m, label in zip(models, labels):
            if m.target.collective == name:
                _draw_law(times, rates, calibration, m, groups, kinds.index(label))
        _label(times, name, "µs")
        _label(rates, f"{name}: bus bandwidth", "GB/s")
        times.set_yscale("log")
        if name == "all_reduce":
            _draw_paper(times, rates, groups)
        rates.set_ylim(bottom=0)
    for panel in panels[2 * len(names) :]:
        panel.set_visible(False)
    figure.suptitle("\n".join(title_lines(calibration)), fontsize=10)
    if names:
        _legend(figure, groups, kinds)
    figure.savefig(path, dpi=130)


def title_lines(calibration: Calibration) -> list[str]:
    """The machine; what ran on it, and when."""
    found = implementations(calibration).items()
    ran = "; ".join(f"{how}, {count} launch{'' if count == 1 else 'es'}" for how, count in found)
    return [*textwrap.wrap(machine_words(calibration), 110), *textwrap.wrap(f"{ran}; {calibration.created[:10]}", 110)]


def _cells_of(calibration: Calibration, model: NetworkLaw) -> list[Cell]:
    found = [cell for cell in calibration.cells if cell.target == model.target and cell.us.median is not None]
    return [cell for cell in found if not model.target.oversubscribed or cell.ranks in model.domain.ranks]


def _draw_law(
    times: Any, rates: Any, calibration: Calibration, law: NetworkLaw, groups: list[tuple[int, int]], kind: int
) -> None:
    """Points with their intervals and the fitted line, as times and as bus bandwidths."""
    key = law.target.model_dump(exclude={"collective"})
    for ranks, nodes in groups:
        cells = [c for c in _cells_of(calibration, law) if (c.ranks, c.nodes) == (ranks, nodes)]
        if not cells:
            continue
        style = Style.of((ranks, nodes), groups)
        sizes = np.array([cell.bytes for cell in cells], float)
        medians = np.array([cell.us.median for cell in cells], float)
        low, high = np.array([_interval(cell) for cell in cells]).T
        low, high = np.minimum(low, medians), np.maximum(high, medians)
        fitted = [c.bytes for c in cells if "degenerate_size" not in c.flags] or [c.bytes for c in cells]
        line = np.geomspace(min(fitted), max(fitted), POINTS_ON_A_LINE).clip(min(fitted), max(fitted))
        us = 1e6 * np.asarray(calibration.time_s(law.target.collective, line, ranks, nodes, **key))
        factor = COLLECTIVES[law.target.collective].bus_factor(ranks) / 1e3
        points: dict[str, Any] = {
            "fmt": style.marker, "color": style.colour, "markersize": 4, "capsize": 2, "linewidth": 1,
            "markerfacecolor": "white" if kind else style.colour,
        }  # fmt: skip
        drawn = LINES[kind % len(LINES)]
        times.errorbar(sizes, medians, yerr=[medians - low, high - medians], **points)
        times.plot(line, us, drawn, color=style.colour, linewidth=1.2)
        moved = factor * sizes
        spread = [moved / medians - moved / high, np.where(low > 0, moved / np.where(low > 0, low, 1), 0) - moved / medians]
        rates.errorbar(sizes, moved / medians, yerr=np.maximum(spread, 0), **points)
        rates.plot(line, factor * line / us, drawn, color=style.colour, linewidth=1.2)


def _interval(cell: Cell) -> tuple[float, float]:
    """Of the median over launches; with fewer than three launches, the span of the launch medians."""
    if cell.us.ci:
        return cell.us.ci
    medians = [us for us in cell.launch_medians if us is not None]
    return min(medians), max(medians)


def _draw_paper(times: Any, rates: Any, groups: list[tuple[int, int]]) -> None:
    """The paper's constants for an all_reduce; of bandwidths only where they leave the measured ones readable."""
    first, last = times.get_xlim()
    line = np.geomspace(first, last, POINTS_ON_A_LINE)
    most = PAPER_WITHIN * rates.get_ylim()[1]
    dashes: dict[str, Any] = {"linestyle": PAPER_DASHES, "color": "0.6", "linewidth": 1, "zorder": 0}
    for ranks, nodes in groups:
        us = paper_time_us("all_reduce", line, ranks, nodes)
        times.plot(line, us, **dashes)
        rate = COLLECTIVES["all_reduce"].bus_factor(ranks) * line / us / 1e3
        if rate.max() <= most:
            rates.plot(line, rate, **dashes)


def _label(panel: Any, name: str, unit: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    panel.set_xscale("log", base=2)
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("bytes", fontsize=9)
    panel.set_ylabel(unit, fontsize=9)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(value)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.tick_params(which="both", labelsize=8, labelbottom=True)
    panel.grid(True, which="major", linewidth=0.4, alpha=0.5)


def _legend(figure: Any, groups: list[tuple[int, int]], kinds: list[str]) -> None:
    """Below all panels, so that it hides nothing."""
    from matplotlib.lines import Line2D

    handles = []
    for ranks, nodes in groups:
        style = Style.of((ranks, nodes), groups)
        words = f"{ranks} ranks" + (f" on {nodes} nodes" if nodes > 1 else "")
        handles.append(Line2D([], [], color=style.colour, marker=style.marker, markersize=4, label=words))
    for i, name in enumerate(kinds):
        label = f"{name}: median, 95 %; fit".removeprefix(": ")
        face = "white" if i else "0.2"
        handle = Line2D([], [], color="0.2", marker="o", markersize=4, markerfacecolor=face, label=label)
        handle.set_linestyle(LINES[i % len(LINES)])
        handles.append(handle)
    handles.append(Line2D([], [], color="0.6", linestyle=PAPER_DASHES, label="the paper's constants"))
    widest = HANDLE_INCHES + LETTER_INCHES * max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() / widest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
