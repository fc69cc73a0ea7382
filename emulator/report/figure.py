"""The figure of a calibration: measured points with their intervals and the fitted lines, one panel per collective."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.report.main_laws import differing_words, main_laws, paper_time_us
from inferometer.emulator.units import format_bytes

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration
    from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
    from inferometer.emulator.calibrate.schema.records import Cell

COLUMNS = 3
PANEL_INCHES = (4.6, 3.4)
HANDLE_INCHES, LETTER_INCHES = 0.6, 0.065
"""Width of a legend entry's line, and of one letter of its label."""
POINTS_ON_A_LINE = 200
MARKERS = "osD^v<>P"
LINES: tuple[Any, ...] = ("-", "--", ":", "-.")
PAPER_DASHES = (0, (4, 3))


def draw(calibration: Calibration, path: str | Path) -> None:
    """Write the figure (format by the suffix). Collectives without data sizes have no panel.

    Colour: group of ranks and nodes. Line and marker: backend, with what else differs between laws of a collective. The
    grey dashes are the paper's constants.
    """
    # The object-oriented interface: no global state, no display needed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    models = [m for m in main_laws(calibration) if m.domain.bytes[1] > 0]
    names = list(dict.fromkeys(m.target.collective for m in models))
    labels = differing_words([m.target for m in models])
    kinds = sorted(set(labels))
    groups = sorted({(cell.ranks, cell.nodes) for m in models for cell in _cells_of(calibration, m)})
    rows = max(1, -(-len(names) // COLUMNS))
    columns = min(COLUMNS, max(1, len(names)))
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for panel, name in zip(panels, names):
        for m, label in zip(models, labels):
            if m.target.collective == name:
                _draw_model(panel, calibration, m, groups, kinds.index(label))
        _label(panel, name)
        if name == "all_reduce":
            _draw_paper(panel, groups)
    for panel in panels[len(names) :]:
        panel.set_visible(False)
    if names:
        _legend(figure, groups, kinds)
    figure.savefig(path, dpi=130)


def _cells_of(calibration: Calibration, model: NetworkLaw) -> list[Cell]:
    found = [cell for cell in calibration.cells if cell.target == model.target and cell.us.median is not None]
    return [cell for cell in found if not model.target.oversubscribed or cell.ranks in model.domain.ranks]


def _draw_model(panel: Any, calibration: Calibration, model: NetworkLaw, groups: list[tuple[int, int]], style: int) -> None:
    key = model.target.model_dump(exclude={"collective"})
    for ranks, nodes in groups:
        cells = [c for c in _cells_of(calibration, model) if (c.ranks, c.nodes) == (ranks, nodes)]
        if not cells:
            continue
        colour = f"C{groups.index((ranks, nodes))}"
        sizes = np.array([cell.bytes for cell in cells], float)
        medians = np.array([cell.us.median for cell in cells], float)
        low, high = np.array([_interval(cell) for cell in cells]).T
        fitted = [c.bytes for c in cells if "degenerate_size" not in c.flags] or [c.bytes for c in cells]
        panel.errorbar(
            sizes, medians, yerr=[np.maximum(medians - low, 0), np.maximum(high - medians, 0)],
            fmt=MARKERS[style % len(MARKERS)], color=colour, markersize=4, capsize=2, linewidth=1,
        )  # fmt: skip
        line = np.geomspace(min(fitted), max(fitted), POINTS_ON_A_LINE).clip(min(fitted), max(fitted))
        times = 1e6 * np.asarray(calibration.time_s(model.target.collective, line, ranks, nodes, **key))
        panel.plot(line, times, LINES[style % len(LINES)], color=colour, linewidth=1.2)


def _interval(cell: Cell) -> tuple[float, float]:
    """Of the median over launches; with fewer than three launches, the span of the launch medians."""
    if cell.us.ci:
        return cell.us.ci
    medians = [us for us in cell.launch_medians if us is not None]
    return min(medians), max(medians)


def _draw_paper(panel: Any, groups: list[tuple[int, int]]) -> None:
    first, last = panel.get_xlim()
    line = np.geomspace(first, last, POINTS_ON_A_LINE)
    for ranks, nodes in groups:
        panel.plot(
            line,
            paper_time_us("all_reduce", line, ranks, nodes),
            linestyle=PAPER_DASHES,
            color="0.6",
            linewidth=1,
            zorder=0,
        )


def _label(panel: Any, name: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_title(name, fontsize=10)
    panel.set_xlabel("bytes", fontsize=9)
    panel.set_ylabel("µs", fontsize=9)
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_bytes(value)))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.tick_params(which="both", labelsize=8, labelbottom=True)
    panel.grid(True, which="major", linewidth=0.4, alpha=0.5)


def _legend(figure: Any, groups: list[tuple[int, int]], kinds: list[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=f"C{i}", label=f"{ranks} ranks" + (f" on {nodes} nodes" if nodes > 1 else ""))
        for i, (ranks, nodes) in enumerate(groups)
    ]
    for i, name in enumerate(kinds):
        label = f"{name}: median, 95 %; fit".removeprefix(": ")
        handle = Line2D([], [], color="0.2", marker=MARKERS[i % len(MARKERS)], label=label)
        handle.set_linestyle(LINES[i % len(LINES)])
        handles.append(handle)
    handles.append(Line2D([], [], color="0.6", linestyle=PAPER_DASHES, label="the paper's constants"))
    widest = HANDLE_INCHES + LETTER_INCHES * max(len(str(handle.get_label())) for handle in handles)
    columns = max(1, min(len(handles), int(figure.get_figwidth() / widest)))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
