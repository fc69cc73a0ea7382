"""Draws of candidates' times, and decisions from them."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.economics.serving.draws import Open, band, choice
from inferometer.emulator.economics.serving.uncertainty import Cause, Share


def test_a_law_errs_alike_for_all_and_its_interval_holds_95_percent():
    left_open = Open.of(np.array([2.0, 3.0]), np.array([2.0, 3.0]), {"all_reduce": Share(1.0, {Cause("a"): 0.4})})
    drawn = left_open.drawn(seed=1, draws=20_000)
    low, high = band(drawn, 0.95)
    assert low == pytest.approx(np.array([1.0, 2.0]) + np.exp(-0.4), rel=0.01)
    assert high == pytest.approx(np.array([1.0, 2.0]) + np.exp(0.4), rel=0.01)
    assert np.ptp(drawn[:, 1] - drawn[:, 0]) < 1e-12


def test_a_longer_token_stretches_what_is_open():
    share = {"compute": Share(1.0, {Cause("compute"): 0.1})}
    one, double = (Open.of(np.array([t]), np.array([2.0]), share).drawn(2) for t in (2.0, 4.0))
    assert double - 4 == pytest.approx(2 * (one - 2))


def test_tables_join_where_a_law_is_not_used():
    share = {"a": Share(0.5, {Cause("a"): 0.1})}
    joined = Open.joined([Open.of(np.ones(2), np.ones(2), share), Open.of(np.ones(1), np.ones(1), {})])
    drawn = joined.drawn(3)
    assert drawn.shape == (1000, 3) and np.ptp(drawn[:, 2]) == 0 < np.ptp(drawn[:, 0])
    assert (joined.taken(np.array([2])).drawn(3) == 1).all()


def test_causes_of_one_law_move_candidates_together_or_against_each_other():
    halves = {Cause("b"): np.array([0.1, 0.2, -0.1]), Cause("on 2"): np.array([0.0, 0.0, 0.3])}
    drawn = np.log(Open.of(np.ones(3), np.ones(3), {"law": Share(1.0, halves)}).drawn(seed=2, draws=20_000))
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0])
    expected = -0.1 / np.hypot(0.1, 0.3)
    assert np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1] == pytest.approx(expected, abs=0.02)
    assert Share(1.0, halves).half == pytest.approx([0.1, 0.2, np.hypot(0.1, 0.3)])


def test_few_launches_are_drawn_by_students_t():
    """Of three degrees of freedom: 2.353 standard errors at 90 %, 3.182 at 95 %."""
    share = {"law": Share(1.0, {Cause("a", 3.0): 0.3182})}
    drawn = np.log(Open.of(np.ones(1), np.ones(1), share).drawn(seed=3, draws=40_000))
    for level, reach in ((0.9, 0.2353), (0.95, 0.3182)):
        low, high = band(drawn, level)
        assert (-low[0], high[0]) == pytest.approx((reach, reach), rel=0.03)


def test_the_choice_counts_draws():
    drawn = np.array([[1.0, 2.0], [1.0, 0.5], [1.0, 2.0], [3.0, 2.9]])
    found = choice(drawn, np.ones(2))
    assert found.p_best.tolist() == [0.5, 0.5]
    assert found.regret == pytest.approx([(0 + 1 + 0 + 0.1 / 2.9) / 4, (1 + 0 + 1 + 0) / 4])
    within = choice(drawn, np.ones(2), most_s=1.5)
    assert within.p_best.tolist() == [0.5, 0.25] and within.p_meets.tolist() == [0.75, 0.25]
