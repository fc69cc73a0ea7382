"""Which law wins, and the error it is chosen by."""

from dataclasses import replace

import numpy as np
import pytest

from inferometer.emulator.calibrate.fit.choose import choose_law
from inferometer.emulator.calibrate.fit.held_out import hold_out, node_folds, rank_folds, relative_errors, size_folds
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.laws.linear import affine, affine_bandwidth_per_ranks, flat_ring
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from tests.studies.synthetic import NO_NOISE, Noise, synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}
NODES = [(4, 1), (2, 2), (4, 4), (8, 2), (16, 4)]
ONE_NODE = [(2, 1), (4, 1), (8, 1)]


def chosen(law, layouts, truth=TRUTH, seed=0, **options):
    cells = synthetic_cells("all_reduce", law, truth, layouts, seed=seed, launches=3, **options)
    return choose_law("all_reduce", points_of(cells))


@pytest.mark.parametrize("make", [affine, flat_ring])
def test_the_law_that_made_the_data_is_chosen(make):
    assert chosen(make("all_reduce"), NODES).chosen.name == make("all_reduce").name


def test_bandwidth_that_falls_with_ranks_is_recognised():
    law = affine_bandwidth_per_ranks("all_reduce", [2, 4, 8])
    truth = {"a": 120.0, "b": 35.0, "c": 1.0, "B_intra@2": 4.0, "B_intra@4": 1.5, "B_intra@8": 0.5, "B_inter": 1.0}
    choice = chosen(law, ONE_NODE, truth)
    assert choice.chosen.name == "affine_bandwidth_per_ranks"
    assert "better than affine" in choice.reason


def test_data_made_by_the_paper_need_no_parameters():
    choice = chosen(affine("all_reduce"), NODES, paper_parameters("all_reduce"), noise=NO_NOISE)
    assert choice.chosen.name == "paper" and choice.chosen.score == pytest.approx(0, abs=1e-9)


def test_a_slower_paper_is_scaled():
    slower = {k: v * 3 if k in "abc" else v / 3 for k, v in paper_parameters("all_reduce").items()}
    assert chosen(affine("all_reduce"), NODES, slower).chosen.name == "scaled"


def test_laws_that_coincide_count_once():
    choice = chosen(affine("all_reduce"), ONE_NODE)
    by_name = {c.name: c for c in choice.candidates}
    assert by_name["flat_ring"].coincides_with == "affine"
    assert by_name["flat_ring"].score is None
    by_name = {c.name: c for c in chosen(affine("all_reduce"), NODES).candidates}
    assert by_name["flat_ring"].coincides_with is None


def test_too_few_sizes_and_ranks_fall_back_on_affine():
    choice = chosen(affine("all_reduce"), [(2, 1)], sizes=[4096, 65536])
    assert choice.chosen.name == "affine" and "nothing can be held out" in choice.reason


def test_folds_hold_out_every_third_size_and_each_count():
    points = points_of(synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, NODES, seed=0, launches=2))
    folds = size_folds(points)
    sizes = np.unique(points.n)
    assert [np.unique(points.n[f.held]).tolist() for f in folds] == [sizes[k::3].tolist() for k in range(3)]
    assert np.sum([f.held for f in folds], axis=0).tolist() == [1] * len(points)
    assert [f.label for f in rank_folds(points)] == ["2 ranks", "4 ranks", "8 ranks", "16 ranks"]
    assert [f.label for f in node_folds(points)] == ["1 nodes", "2 nodes", "4 nodes"]
    assert size_folds(points.take(points.n <= sizes[1])) == []
    assert rank_folds(points.take(points.r == 4)) == []


def test_held_out_points_do_not_reach_the_fit():
    """A size whose times are nonsense must be missed by its own prediction, not followed."""
    points = points_of(synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, NODES, seed=0, launches=2, noise=NO_NOISE))
    fold = size_folds(points)[1]
    us = np.where(fold.held, points.us * 100, points.us)
    spoiled = replace(points, us=us)
    predicted = hold_out(affine("all_reduce"), spoiled, [fold]).predicted_us
    assert predicted[fold.held] == pytest.approx(points.us[fold.held], rel=1e-3)
    assert np.isnan(predicted[~fold.held]).all()


def test_a_count_the_rest_cannot_predict_is_null_with_a_reason():
    points = points_of(synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, [(2, 1), (4, 1)], seed=0, launches=2))
    held_out = hold_out(affine("all_reduce"), points, rank_folds(points))
    assert not held_out.held.any()
    assert held_out.missing[0] == "2 ranks: the other cells do not determine the time there"
    three = points_of(
        synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, ONE_NODE, seed=0, launches=2, noise=Noise())
    )
    errors = relative_errors(hold_out(affine("all_reduce"), three, rank_folds(three)).predicted_us, three.us)
    assert len(errors) == len(three) and np.median(errors) < 0.2
