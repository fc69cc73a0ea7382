"""Asking a calibration for times."""

import warnings

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.laws.linear import affine, affine_bandwidth_per_ranks
from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.errors import InputError
from tests.studies.synthetic import NO_NOISE, synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}


@pytest.fixture(scope="module")
def exact(make):
    cells = synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, [(4, 1), (8, 2), (16, 4)], seed=0, noise=NO_NOISE)
    return make(cells)


def test_scalars_give_a_float_of_seconds(exact):
    time = exact.time_s("all_reduce", 65536, 4)
    # 120 + 35*3 us of latency and 65536 * 1.5 bytes at 2.5 GB/s
    assert isinstance(time, float)
    assert time == pytest.approx(225e-6 + 65536 * 1.5 / 2.5e9, rel=1e-4)


def test_arguments_broadcast(exact):
    times = exact.time_s("all_reduce", np.array([[1024], [2**20]]), [4, 8, 16], [1, 2, 4])
    assert times.shape == (2, 3)
    assert (np.diff(times, axis=0) > 0).all() and (np.diff(times, axis=1) > 0).all()
    assert times[1, 2] == pytest.approx((225 + 160) * 1e-6 + 2**20 * (1.5 / 2.5e9 + 2 * 3 / 16 / 0.9e9), rel=1e-4)


def test_one_rank_costs_nothing(exact):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert exact.time_s("all_reduce", 4096, 1) == 0.0
        assert exact.time_s("all_reduce", 4096, [1, 4])[0] == 0.0


def test_an_unmeasured_direction_is_nan_with_one_warning(exact):
    with pytest.warns(NotIdentifiedWarning, match=r"2 of 3 times .*one group size only \(4 ranks per node\)") as caught:
        times = exact.time_s("all_reduce", 4096, [4, 2, 8], 1)
    assert len(caught) == 1
    assert np.isnan(times).tolist() == [False, True, True]


def test_beyond_the_domain_is_given_with_a_warning(exact):
    with pytest.warns(ExtrapolationWarning, match="ranks 32 is outside the measured 4 to 16.*nodes 8 is outside") as caught:
        time = exact.time_s("all_reduce", 4096, 32, 8)
    assert len(caught) == 1 and time > exact.time_s("all_reduce", 4096, 16, 4)
    with pytest.warns(ExtrapolationWarning, match="bytes 1 is outside the measured 256 to"):
        exact.time_s("all_reduce", 1, 4)


def test_file_and_fit_predict_the_same(calibration, cells):
    """The file keeps nine digits of parameters and combinations; nothing else may get lost on the way."""
    from inferometer.emulator.calibrate.fit.choose import choose_law
    from inferometer.emulator.calibrate.fit.points import points_of
    from inferometer.emulator.calibrate.schema.keys import keys_of, rows_of_key, usable_rows

    for key in keys_of(cells):
        if key["collective"] != "null":
            points = points_of(usable_rows(rows_of_key(cells, key))[0])
            expected = choose_law(key["collective"], points).chosen.fit.predict_us(points.n, points.r, points.N)
            given = calibration.time_s(key["collective"], points.n, points.r, points.N, timing=key["timing"])
            assert given == pytest.approx(expected * 1e-6, rel=1e-6)


def test_preferences_and_ambiguity(cells, calibration, make):
    assert calibration.law("all_reduce").target.timing == "isolated"
    assert calibration.law("all_reduce", timing="pipelined").target.timing == "pipelined"
    two = make(cells[cells["collective"] == "barrier"])
    both = two.model_copy(
        update={
            "network_laws": [
                *two.network_laws,
                *(m.model_copy(update={"target": m.target.model_copy(update={"backend": "mpi"})}) for m in two.network_laws),
            ]
        }
    )
    with pytest.raises(InputError, match=r"several laws of 'barrier'.*backend=gloo\|mpi"):
        both.time_s("barrier", 0, 2)
    assert both.time_s("barrier", 0, 2, backend="mpi") == two.time_s("barrier", 0, 2)


def test_what_is_not_there_is_answered_by_what_is(calibration):
    with pytest.raises(InputError, match=r"no law of 'all_gather'.*it has all_reduce, all_to_all, barrier, broadcast"):
        calibration.time_s("all_gather", 1024, 2)
    with pytest.raises(InputError, match=r"with dtype=float16: there is timing=isolated\|pipelined"):
        calibration.time_s("all_reduce", 1024, 2, dtype="float16")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 2), "bytes must be"),
        ((1024, 0), "ranks must be"),
        ((1024, 2, 0.5), "nodes must be"),
        ((1024, 2, 4), "fewer ranks than nodes: 2 < 4"),
        ((np.nan, 2), "bytes must be"),
    ],
)
def test_senseless_queries_are_refused(calibration, arguments, message):
    with pytest.raises(InputError, match=message):
        calibration.time_s("all_reduce", *arguments)


def test_a_barrier_has_no_size(calibration):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert calibration.time_s("barrier", [0, 4096], 4).tolist() == [calibration.time_s("barrier", 0, 4)] * 2


def test_a_bandwidth_per_rank_count_is_never_carried_to_others(make):
    law = affine_bandwidth_per_ranks("all_reduce", [2, 4, 8])
    truth = {"a": 120.0, "b": 35.0, "c": 1.0, "B_intra@2": 4.0, "B_intra@4": 1.5, "B_intra@8": 0.5, "B_inter": 1.0}
    made = make(synthetic_cells("all_reduce", law, truth, [(2, 1), (4, 1), (8, 1)], seed=0, noise=NO_NOISE))
    model = made.law("all_reduce")
    assert model.form == "affine_bandwidth_per_ranks"
    assert model.params["B_intra@4"].value == pytest.approx(1.5, rel=1e-3)
    with pytest.warns(NotIdentifiedWarning):
        assert np.isnan(made.time_s("all_reduce", 4096, 6))
    assert made.time_s("all_reduce", 4096, 8) == pytest.approx(365e-6 + 4096 * 1.75 / 0.5e9, rel=1e-3)
    assert model.paper_projection.max_rel_dev_vs_full_model > 0.2


def test_the_papers_law_does_not_speak_for_nodes_nobody_measured(make):
    slower = {k: v * 3 if k in "abc" else v / 3 for k, v in paper_parameters("all_reduce").items()}
    made = make(synthetic_cells("all_reduce", affine("all_reduce"), slower, [(2, 1), (4, 1), (8, 1)], seed=0))
    model = made.law("all_reduce")
    assert model.form == "scaled" and model.params["scale"].value == pytest.approx(3, rel=0.15)
    assert model.params["b"].status == "tied" and model.params["c"].status == "not_identified"
    assert model.params["b"].value == pytest.approx(1.2 * model.params["scale"].value, rel=1e-6)
    with pytest.warns(NotIdentifiedWarning):
        assert np.isnan(made.time_s("all_reduce", 4096, 8, 2))


@pytest.mark.parametrize("query", [("x", 8), (1024, "eight"), ([1, 2, 3], [2, 4]), (np.nan, 2), (np.inf, 2)])
def test_what_is_no_query_is_refused(calibration, query):
    with pytest.raises(InputError, match="must be"):
        calibration.time_s("all_reduce", *query)
