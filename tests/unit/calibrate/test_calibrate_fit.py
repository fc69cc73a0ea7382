"""The robust fit: exact on clean data, steady under outliers, honest at its bounds."""

from dataclasses import replace

import numpy as np
import pytest

from inferometer.emulator.calibrate.fit.intervals import (
    fits_without_each_launch,
    over_launches,
    within_launches,
)
from inferometer.emulator.calibrate.fit.points import points_of, weights_of, without_launch_effect
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.linear import affine, flat_ring, paper, scaled
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.calibrate.laws.problem import LinearProblem
from tests.studies.synthetic import NO_NOISE, Noise, synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}
FULL = [(4, 1), (2, 2), (4, 4), (8, 2), (16, 4)]


def made(law=None, layouts=FULL, truth=TRUTH, **options):
    law = law or affine("all_reduce")
    options = {"seed": 0, "noise": NO_NOISE, "launches": 3} | options
    return points_of(synthetic_cells("all_reduce", law, truth, layouts, **options))


@pytest.mark.parametrize("law", [affine("all_reduce"), flat_ring("all_reduce")], ids=lambda law: law.name)
def test_clean_data_are_fitted_exactly(law):
    fit = fit_law(law, made(law))
    assert fit.combinations == pytest.approx(law.theta(TRUTH), rel=1e-4)


def test_scaled_finds_the_factor_and_paper_fits_nothing():
    prior = paper_parameters("all_reduce")
    points = made(affine("all_reduce"), truth={k: v * (3 if k in "abc" else 1 / 3) for k, v in prior.items()})
    fit = fit_law(scaled("all_reduce"), points)
    assert fit.free == pytest.approx([3.0], rel=1e-6)
    assert fit.predict_us(0, 8, 1)[0] == pytest.approx(3 * 15.2)
    fixed = fit_law(paper("all_reduce"), points)
    assert len(fixed.free) == 0 and fixed.predict_us(0, 8, 1)[0] == pytest.approx(15.2)


def test_one_cell_in_ten_gone_wrong_hardly_moves_the_fit():
    points = made(noise=Noise(launch=0, cell=0.02, cell_outliers=0), launches=5)
    spoiled = np.random.default_rng(3).random(len(points)) < 0.1
    assert 15 < spoiled.sum() < 35
    us = np.where(spoiled, points.us * 6, points.us)
    bad = replace(points, us=us)
    fit = fit_law(affine("all_reduce"), bad)
    assert np.abs(fit.combinations / affine("all_reduce").theta(TRUTH) - 1).max() < 0.05


def test_a_launch_common_factor_is_taken_out_and_its_mean_kept():
    points = made(launches=4)
    factors = np.array([0.9, 1.0, 1.1, 1.2])
    shifted = replace(points, us=points.us * factors[points.launch])
    assert without_launch_effect(shifted) == pytest.approx(points.us * np.exp(np.log(factors).mean()))


def test_a_launch_that_lacks_cells_is_still_aligned():
    points = made(launches=3)
    factors = np.array([0.9, 1.0, 1 / 0.9])
    us = points.us * factors[points.launch]
    shifted = replace(points, us=us)
    part = shifted.take((shifted.launch != 2) | (shifted.cell % 2 == 0))
    assert without_launch_effect(part) == pytest.approx(part.us / factors[part.launch])


def test_weights_are_equal_per_layout_and_octave():
    dense = [1024, 1100, 1200, 1300, 2**20]
    points = made(layouts=[(2, 1), (4, 1)], sizes=dense, launches=1)
    extra = points.take((points.r == 2) | (points.n == 2**20))
    weights = weights_of(extra)
    assert weights.mean() == pytest.approx(1)
    assert weights[extra.r == 2].sum() == pytest.approx(weights[extra.r == 4].sum())
    two = extra.r == 2
    assert weights[two & (extra.n == 2**20)].sum() == pytest.approx(weights[two & (extra.n < 2**20)].sum())


def test_jacobian_is_the_derivative():
    points = made()
    problem = affine("all_reduce").problem(
        affine("all_reduce").design(points.n, points.r, points.N), points.n, points.r, points.N
    )
    assert isinstance(problem, LinearProblem)
    at = affine("all_reduce").theta(TRUTH)
    for j in range(len(at)):
        step = np.zeros(len(at))
        step[j] = at[j] * 1e-6
        slope = (problem.time_us(at + step) - problem.time_us(at - step)) / (2 * step[j])
        assert slope == pytest.approx(problem.jacobian(at)[:, j], rel=1e-5, abs=1e-9)


def test_a_parameter_at_zero_is_exactly_zero():
    points = made(layouts=[(2, 1), (4, 1), (8, 1)], truth=TRUTH | {"b": 0.0}, noise=Noise(), seed=11)
    values = [
        fit_law(
            affine("all_reduce"),
            made(layouts=[(2, 1), (4, 1), (8, 1)], truth=TRUTH | {"b": 0.0}, noise=Noise(), seed=s),
        )
        for s in range(8)
    ]
    b = [fit.combinations[1] for fit in values]
    assert min(b) == 0.0 and max(b) < 10
    assert len(points) == 81


def test_intervals_need_three_launches():
    points = made(noise=Noise(), launches=2)
    fit = fit_law(affine("all_reduce"), points)
    spread = over_launches(fit, points, fits_without_each_launch(fit, points))
    assert spread.intervals is None and spread.reason == "needs 3 launches, has 2"
    alone = points.take(points.launch == 0)
    assert over_launches(fit, alone, fits_without_each_launch(fit, alone)).reason == "needs 3 launches, has 1"


def test_interval_over_launches_by_hand():
    # Three launches that differ by a factor only: ln q varies as the factors do, so this is a t-interval of three logs.
    points = made(launches=3)
    factors = np.array([0.9, 1.0, 1.2])
    us = points.us * factors[points.launch]
    shifted = replace(points, us=us)
    fit = fit_law(affine("all_reduce"), shifted)
    spread = over_launches(fit, shifted, fits_without_each_launch(fit, shifted))
    logs = np.log(factors)
    half = 4.302652729911275 * logs.std(ddof=1) / np.sqrt(3)  # t_{0.975, 2}
    expected = 120 * np.exp(logs.mean() + np.array([-half, half]))
    assert spread.intervals[0] == pytest.approx(expected, rel=1e-3)
    assert spread.dof == 2
    assert np.diag(spread.cov) == pytest.approx(logs.var(ddof=1) / 3, rel=1e-2)


def test_within_launch_interval_is_seeded_and_narrower_than_the_launches_differ():
    cells = synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, FULL, seed=5, launches=2, noise=Noise(launch=0.3))
    points = points_of(cells)
    fit = fit_law(affine("all_reduce"), points)
    times = list(cells["iterations_us"])
    one, same, other = (within_launches(fit, points, times, seed).intervals for seed in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert (one[:, 0] < fit.combinations).all() and (fit.combinations < one[:, 1]).all()
    assert (one[:, 1] / one[:, 0] < 1.3).all()
    missing = within_launches(fit, points, [None, *times[1:]], 1)
    assert missing.intervals is None and "no iteration times" in missing.reason


def test_a_parameter_that_is_zero_lies_in_its_own_interval():
    """In about half of such runs the estimate is a little above 0; its interval must still reach down to 0."""
    law, truth = affine("all_reduce"), TRUTH | {"b": 0.0}
    reached = []
    for seed in range(30):
        points = made(law, [(2, 1), (4, 1), (8, 1)], truth, seed=seed, noise=Noise(), launches=5)
        fit = fit_law(law, points)
        spread = over_launches(fit, points, fits_without_each_launch(fit, points))
        reached.append(spread.intervals[1, 0] == 0)
        assert spread.intervals[1, 1] < 10
    assert sum(reached) >= 26


def test_a_point_far_from_the_other_launches_of_its_cell_counts_less():
    """Reference: the same cells without the outliers. One cell in ten has one launch that is 5 times too long."""
    law, truth = affine("all_reduce"), TRUTH
    layouts = [(2, 1), (4, 1), (8, 1)]
    noise = Noise(launch=0.05, outliers=0.0, cell_outliers=0.0)
    cells = synthetic_cells("all_reduce", law, truth, layouts, seed=1, noise=noise)
    spoilt = cells.copy()
    at = spoilt.index[::10]
    spoilt.loc[at, "us"] *= 5
    points = points_of(spoilt)
    assert set(np.flatnonzero(points.trust < 0.1)) == set(at)
    assert (np.delete(points.trust, at) > 0.2).all() and np.median(points.trust) == 1
    clean, robust = (fit_law(law, points_of(c)).combinations for c in (cells, spoilt))
    naive = fit_law(law, replace(points, trust=np.ones(len(points)))).combinations
    assert np.abs(robust / clean - 1).max() < 0.5 * np.abs(naive / clean - 1).max()


def test_two_launches_cannot_say_which_of_them_is_wrong():
    law = affine("all_reduce")
    cells = synthetic_cells("all_reduce", law, TRUTH, [(2, 1), (4, 1)], seed=1, launches=2)
    cells.loc[cells.index[::7], "us"] *= 5
    assert (points_of(cells).trust == 1).all()
