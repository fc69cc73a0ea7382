"""The figure of a calibration, looked at as matplotlib objects."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.report.figure import draw, rank_colour
from inferometer.emulator.report.machine import machine_words
from inferometer.emulator.report.main_laws import main_laws
from inferometer.parallel.collectives import COLLECTIVES


@pytest.fixture(scope="module")
def figure(small_calibration, tmp_path_factory):
    """The Figure object, caught when it is saved, and the file."""
    from matplotlib.figure import Figure

    caught, path = [], tmp_path_factory.mktemp("figure") / "x.png"
    save = Figure.savefig

    def saving(self, *args, **kwargs):
        caught.append(self)
        save(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", saving)
        draw(small_calibration, path)
    return caught[0], path


def visible(figure):
    return [axes for axes in figure.axes if axes.get_visible()]


def test_the_figure_is_a_png(figure):
    content = figure[1].read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(content) > 10_000


def test_there_are_two_panels_for_each_collective_with_sizes(figure):
    titles = [axes.get_title() for axes in visible(figure[0])]
    names = ["all_gather", "all_reduce", "all_to_all", "broadcast"]  # no barrier, no null
    assert sorted(titles) == sorted([*names, *(f"{name}: bus bandwidth" for name in names)])
    for axes in visible(figure[0]):
        assert axes.get_xscale() == "log"
        assert (axes.get_yscale(), axes.get_ylabel()) == (
            ("linear", "GB/s") if axes.get_title().endswith("bandwidth") else ("log", "µs")
        )


def test_bus_bandwidths_are_those_of_the_times(figure):
    panels = {axes.get_title(): axes for axes in visible(figure[0])}
    for name in ("all_reduce", "all_to_all"):
        times, rates = panels[name], panels[f"{name}: bus bandwidth"]
        for here, there, ranks in zip(times.containers, rates.containers, (2, 4), strict=True):
            (sizes, us), (same, rate) = here.lines[0].get_xydata().T, there.lines[0].get_xydata().T
            factor = COLLECTIVES[name].bus_factor(ranks)
            np.testing.assert_allclose((same, rate), (sizes, factor * sizes / us / 1e3))


def test_the_title_names_the_machine_and_the_day(figure, small_calibration):
    title = figure[0].get_suptitle()
    assert machine_words(small_calibration) in title and small_calibration.created[:10] in title


def test_a_rank_count_has_one_colour_in_all_panels_and_grey_tells_them_apart(figure):
    drawn = {}
    for axes in visible(figure[0]):
        for container, ranks in zip(axes.containers, (2, 4)):
            drawn.setdefault(ranks, set()).add(tuple(container.lines[0].get_color()[:3]))
    assert all(len(colours) == 1 for colours in drawn.values())
    grey = [np.dot(rank_colour(ranks)[:3], (0.299, 0.587, 0.114)) for ranks in (2, 4, 8, 16, 64, 1024)]
    assert min(np.diff(grey)) > 0.05


def test_points_are_the_measured_cells_and_lines_the_fit(figure, small_calibration):
    (model,) = [m for m in main_laws(small_calibration) if m.target.collective == "all_to_all"]
    (panel,) = [axes for axes in visible(figure[0]) if axes.get_title() == "all_to_all"]
    cells = [cell for cell in small_calibration.cells if cell.target == model.target]
    drawn = [container.lines[0].get_xydata() for container in panel.containers]
    assert len(drawn) == 2  # groups of 2 and 4 ranks
    points = sorted((x, y) for line in drawn for x, y in line)
    np.testing.assert_allclose(points, sorted((cell.bytes, cell.us.median) for cell in cells))
    key = model.target.model_dump(exclude={"collective"})
    fits = [line for line in panel.lines if len(line.get_xdata()) == 200]
    for line, ranks in zip(fits, (2, 4), strict=True):
        times = small_calibration.time_s("all_to_all", line.get_xdata(), ranks, 1, **key)
        np.testing.assert_allclose(line.get_ydata(), 1e6 * np.asarray(times))


def test_the_paper_is_drawn_for_all_reduce_only(figure):
    dashed = {axes.get_title(): sum(line.get_color() == "0.6" for line in axes.lines) for axes in visible(figure[0])}
    assert dashed.pop("all_reduce") == 2
    assert dashed.pop("all_reduce: bus bandwidth") in (0, 2)  # where it leaves what was measured readable
    assert set(dashed.values()) == {0}


def test_the_legend_names_groups_backends_and_the_paper(figure):
    (legend,) = figure[0].legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["2 ranks", "4 ranks", "gloo: median, 95 %; fit", "the paper's constants"]


def test_another_suffix_is_another_format_and_an_unknown_one_an_error(small_calibration, tmp_path):
    draw(small_calibration, tmp_path / "x.svg")
    assert b"<svg" in (tmp_path / "x.svg").read_bytes()
    with pytest.raises(ValueError, match="odd"):
        draw(small_calibration, tmp_path / "x.odd")


@pytest.mark.filterwarnings("ignore:.*is outside the measured")
def test_one_panel_with_many_layouts_keeps_its_legend_and_distinguishes_launch_modes(two_modes, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    caught = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: caught.append(self))
    draw(two_modes, tmp_path / "x.png")
    (legend,) = caught[0].legends
    caught[0].draw_without_rendering()
    box, whole = legend.get_window_extent(), caught[0].bbox
    assert whole.x0 <= box.x0 and box.x1 <= whole.x1
    texts = [text.get_text() for text in legend.get_texts()]
    assert "gloo eager: median, 95 %; fit" in texts and "gloo graph: median, 95 %; fit" in texts
