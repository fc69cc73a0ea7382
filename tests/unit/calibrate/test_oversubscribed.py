"""Cells of more ranks than cores: laws of their own, one for each rank count, that nobody extrapolates from."""

import numpy as np
import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.fit.points import centre_of_launches
from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.schema.keys import keys_of
from inferometer.emulator.report.summary import summary_lines
from tests.studies.synthetic import synthetic_cells

WITHIN = {"a": 100.0, "b": 25.0, "c": 1.0, "B_intra": 2.5, "B_inter": 1.0}
CROWDED = {6: 900.0, 8: 4000.0}
"""Latency in µs by rank count: on no line with the others."""
SIZES = [256 * 8**k for k in range(5)]


def of(truth, layouts, crowded, **more):
    fields = {"seed": len(layouts), "sizes": SIZES, "launches": 3, "oversubscribed": crowded} | more
    frame = synthetic_cells("all_reduce", affine("all_reduce"), truth, layouts, **fields)
    frame["flags"] = [["oversubscribed"] if crowded else []] * len(frame)
    return frame


@pytest.fixture(scope="module")
def within():
    return of(WITHIN, [(2, 1), (3, 1), (4, 1)], False)


@pytest.fixture(scope="module")
def made(make, within):
    crowded = [of(WITHIN | {"a": us, "b": 0.0, "B_intra": 0.5}, [(ranks, 1)], True) for ranks, us in CROWDED.items()]
    return make(pd.concat([within, *crowded], ignore_index=True))


def test_they_are_a_key_of_their_own_with_a_law_for_each_rank_count(made):
    laws = [(law.target.oversubscribed, law.domain.ranks) for law in made.network_laws]
    assert laws == [(False, [2, 3, 4]), (True, [6]), (True, [8])]
    assert len(keys_of(pd.DataFrame([cell.target.model_dump() for cell in made.cells]))) == 2


def test_what_was_measured_within_the_cores_does_not_notice_them(made, make, within):
    alone = make(within)
    assert made.law("all_reduce").params == alone.law("all_reduce").params
    assert made.time_s("all_reduce", 4096, 4) == alone.time_s("all_reduce", 4096, 4)


def test_each_rank_count_gets_its_own_time(made):
    for ranks, us in CROWDED.items():
        expected = us + 2 * (ranks - 1) / ranks * SIZES[2] / 0.5e3
        assert made.time_s("all_reduce", SIZES[2], ranks) * 1e6 == pytest.approx(expected, rel=0.1)
    together = made.time_s("all_reduce", SIZES[2], np.array([1, 2, 6, 8]))
    assert together.tolist() == [made.time_s("all_reduce", SIZES[2], ranks) for ranks in (1, 2, 6, 8)]
    low, high = made.interval_s("all_reduce", SIZES[2], np.array([4, 8]))
    assert (low < made.time_s("all_reduce", SIZES[2], np.array([4, 8]))).all() and (high > low).all()


def test_other_rank_counts_are_extrapolated_from_within_the_cores_only(made):
    with pytest.warns(ExtrapolationWarning, match="ranks 16 is outside the measured 2 to 4"):
        us = made.time_s("all_reduce", 256, 16) * 1e6
    assert us == pytest.approx(WITHIN["a"] + 15 * WITHIN["b"], rel=0.1)
    with pytest.warns(NotIdentifiedWarning):
        assert np.isnan(made.time_s("all_reduce", 256, 16, oversubscribed=True))
    with pytest.warns(ExtrapolationWarning, match="ranks 8 is outside"):
        assert made.time_s("all_reduce", 256, 8, oversubscribed=False) * 1e6 == pytest.approx(275, rel=0.1)


def test_without_any_cell_within_the_cores_they_answer_for_themselves(make):
    made = make(of(WITHIN | {"a": 900.0}, [(6, 1)], True))
    assert made.law("all_reduce").target.oversubscribed
    assert made.time_s("all_reduce", 256, 6) > 0
    with pytest.warns(NotIdentifiedWarning):
        assert np.isnan(made.time_s("all_reduce", 256, 2))


def test_the_summary_shows_the_law_within_the_cores_first(made):
    lines = [line.split()[:2] for line in summary_lines(made) if line.startswith("all_reduce  ")]
    assert lines == [["all_reduce", "2–4"], ["all_reduce", "6*"], ["all_reduce", "8*"]]


def test_a_launch_that_was_disturbed_does_not_move_the_law(make, within):
    """Something else had the machine while the second launch of three ran: all its times are twice as long."""
    disturbed = within.assign(us=np.where(within["launch"] == 1, 2 * within["us"], within["us"]))
    found, undisturbed = make(disturbed).law("all_reduce"), make(within).law("all_reduce")
    assert found.params["a"].value == pytest.approx(undisturbed.params["a"].value, rel=0.15)  # 2^(1/3) by the mean
    assert centre_of_launches(np.array([0.0, 0.04, 0.02])) == pytest.approx(0.02)
    assert centre_of_launches(np.array([0.0, 0.7])) == pytest.approx(0.35)  # which of the two was disturbed?
