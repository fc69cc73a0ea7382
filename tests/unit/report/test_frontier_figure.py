"""The figure of frontiers, looked at as matplotlib objects."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.report.frontier import draw_frontiers

NAN = float("nan")


def rows(accelerator, usd_per_mtok):
    about = {"curve": accelerator, "model": "m", "accelerator": accelerator, "network": "constants"}
    points = (100.0, 0.01, 4, "fastest"), (50.0, 0.004, 2, "preferred"), (20.0, 0.003, 1, "cheapest")
    return [
        about
        | {"tokens_per_s": speed, "tokens_per_s_per_gpu": 1 / cost, "usd_per_mtok": usd_per_mtok * cost, "gpus": gpus}
        | {"gpu_s_per_token": cost, "point": point}
        for speed, cost, gpus, point in points
    ]


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    from matplotlib.figure import Figure

    def draw(*curves):
        caught = []
        monkeypatch.setattr(Figure, "savefig", lambda self, *args, **kwargs: caught.append(self))
        draw_frontiers([row for curve in curves for row in curve], tmp_path / "x.png")
        return caught[0]

    return draw


def test_cost_and_tokens_of_one_gpu_over_tokens_of_one_user(drawn):
    cost, rate = drawn(rows("a", 100.0), rows("b", 200.0)).axes
    assert (cost.get_ylabel(), rate.get_ylabel()) == ("USD per million tokens", "tokens per second of one GPU")
    assert cost.get_xlabel() == rate.get_xlabel() == "tokens per second for one user"
    np.testing.assert_allclose(rate.lines[0].get_xydata(), [(100, 100), (50, 250), (20, 1 / 0.003)])
    np.testing.assert_allclose(cost.lines[2].get_xydata(), [(100, 2), (50, 0.8), (20, 0.6)])
    assert [tuple(line.get_xydata()[0]) for line in rate.lines[1::2]] == [(50, 250), (50, 250)]


def test_a_curve_without_a_price_is_named_and_changes_no_axis(drawn):
    cost, rate = drawn(rows("a", 100.0), rows("b", NAN)).axes
    assert cost.get_ylabel() == "USD per million tokens" and len(cost.lines) == 2 and len(rate.lines) == 4
    assert "no price is known: b" in cost.get_title()


def test_without_any_price_there_is_no_panel_of_costs(drawn):
    (rate,) = drawn(rows("a", NAN)).axes
    assert rate.get_ylabel() == "tokens per second of one GPU" and "no price is known: a" in rate.get_title()


def test_the_legend_lies_outside_and_curves_differ_in_line_and_lightness(drawn):
    figure = drawn(*(rows(name, 100.0) for name in "abcd"))
    (legend,) = figure.legends
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert all(axes.get_tightbbox().y0 >= box.y1 - 1 for axes in figure.axes)
    lines = figure.axes[-1].lines[::2]
    assert len({line.get_linestyle() for line in lines}) == 4
    grey = [np.dot(line.get_color()[:3], (0.299, 0.587, 0.114)) for line in lines]
    assert min(np.diff(grey)) > 0.1
    assert "m on a, b, c, d, 1 to 4 GPUs" in figure.get_suptitle()
