"""Draws of candidates' times, and decisions from them."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.economics.serving.draws import Open, band, choice
from inferometer.emulator.economics.serving.uncertainty import Share


def test_a_law_errs_alike_for_all_and_its_interval_holds_95_percent():
    left_open = Open.of(np.array([2.0, 3.0]), np.array([2.0, 3.0]), {"all_reduce": Share(1.0, 0.5, np.expm1(0.4))})
    drawn = left_open.drawn(seed=1, draws=20_000)
    low, high = band(drawn, 0.95)
    assert low == pytest.approx(np.array([1.0, 2.0]) + np.exp(-0.4), rel=0.01)
    assert high == pytest.approx(np.array([1.0, 2.0]) + np.exp(0.4), rel=0.01)
    assert np.ptp(drawn[:, 1] - drawn[:, 0]) < 1e-12


def test_a_longer_token_stretches_what_is_open():
    share = {"compute": Share(1.0, 0.1, 0.1)}
    one, double = (Open.of(np.array([t]), np.array([2.0]), share).drawn(2) for t in (2.0, 4.0))
    assert double - 4 == pytest.approx(2 * (one - 2))


def test_tables_join_where_a_law_is_not_used():
    joined = Open.joined([Open.of(np.ones(2), np.ones(2), {"a": Share(0.5, 0.1, 0.1)}), Open.of(np.ones(1), np.ones(1), {})])
    drawn = joined.drawn(3)
    assert drawn.shape == (1000, 3) and np.ptp(drawn[:, 2]) == 0 < np.ptp(drawn[:, 0])
    assert (joined.taken(np.array([2])).drawn(3) == 1).all()


def test_the_choice_counts_draws():
    drawn = np.array([[1.0, 2.0], [1.0, 0.5], [1.0, 2.0], [3.0, 2.9]])
    found = choice(drawn, np.ones(2))
    assert found.p_best.tolist() == [0.5, 0.5]
    assert found.regret == pytest.approx([(0 + 1 + 0 + 0.1 / 2.9) / 4, (1 + 0 + 1 + 0) / 4])
    within = choice(drawn, np.ones(2), most_s=1.5)
    assert within.p_best.tolist() == [0.5, 0.25] and within.p_meets.tolist() == [0.75, 0.25]
