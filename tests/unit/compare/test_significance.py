"""Ratios of times: their interval, and which of many are more than chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from inferometer.emulator.compare.significance import (
    Ratio,
    by_half_widths,
    by_launches,
    launch_means,
    significant,
)


def test_launches_are_compared_as_by_welch():
    rng = np.random.default_rng(1)
    old, new = np.exp(rng.normal(3, 0.1, 4)), np.exp(rng.normal(3.2, 0.2, 6))
    found = by_launches(old.tolist(), new.tolist())
    reference = ttest_ind(np.log(new), np.log(old), equal_var=False)
    interval = reference.confidence_interval()
    assert found.p_value == pytest.approx(reference.pvalue)
    assert found.ci95 == pytest.approx((np.exp(interval.low), np.exp(interval.high)))
    assert found.value == pytest.approx(np.exp(np.log(new).mean() - np.log(old).mean()))


def test_one_launch_says_nothing_of_its_spread():
    assert by_launches([10.0], [12.0, 13.0]) == Ratio(pytest.approx(np.sqrt(12 * 13) / 10), None, None)


def test_launches_without_spread_differ_or_do_not():
    assert by_launches([10.0, 10.0], [10.0, 10.0]) == Ratio(1.0, (1.0, 1.0), 1.0, "launches")
    assert by_launches([10.0, 10.0], [11.0, 11.0]).p_value == 0.0


def test_two_laws_err_independently():
    found = by_half_widths(10.0, 20.0, 0.3, 0.4)
    assert found.ci95 == pytest.approx((2 * np.exp(-0.5), 2 * np.exp(0.5)))
    assert found.p_value == pytest.approx(0.0066, abs=2e-4)  # ln 2 is 2.717 standard errors of 0.5/1.96
    assert by_half_widths(10.0, 20.0, 0.3, np.nan) == Ratio(2.0, None, None)


def test_holm_keeps_one_false_alarm_among_all_below_a_twentieth():
    ratios = [Ratio(1.0, None, p) for p in (0.04, 0.001, None, 0.02, 0.012)]
    assert significant(ratios) == [True, True, False, True, True]  # 0.001·4, 0.012·3, 0.02·2, 0.04·1
    assert significant([Ratio(1.0, None, p) for p in (0.04, 0.03)]) == [False, False]


def test_false_alarms_of_many_equal_cells_are_rare():
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        launches = np.exp(rng.normal(2, 0.05, (40, 2, 3)))
        alarms += any(significant([by_launches(old.tolist(), new.tolist()) for old, new in launches]))
    assert alarms <= 300 * 0.09  # 5 % of 300 is 15, with four standard deviations


def test_a_launch_that_lacks_a_cell_does_not_count():
    assert launch_means([[1.0, 4.0, 9.0], [4.0, None, 1.0]]).tolist() == pytest.approx([2.0, 3.0])
    assert launch_means([[1.0], [None]]).size == 0
