"""The statistics of a validation, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.validate.prediction_errors import (
    bounds,
    error_interval,
    ratio_to_repeat,
    relative_error,
    repeat_errors,
    spread,
)

times = st.floats(1.0, 1e6)


def test_each_launch_is_held_against_the_median_of_the_others():
    # 100 against (110 + 130)/2, 110 against (100 + 130)/2, 130 against (100 + 110)/2
    assert repeat_errors([100, 110, 130]) == pytest.approx([20 / 120, 5 / 115, 25 / 105])
    assert repeat_errors([100]) == []


def test_spread_is_of_what_was_predicted():
    found = spread([-0.1, 0.2, None, 0.4, -0.3])
    assert (found.count, found.median_abs, found.median) == (4, pytest.approx(0.25), pytest.approx(0.05))
    assert found.p90_abs == pytest.approx(0.3 + 0.7 * 0.1)  # 0.9 · 3 = 2.7 places along 0.1, 0.2, 0.3, 0.4
    assert spread([None]).median_abs is None


def test_the_errors_interval_joins_both_sides_in_squares():
    low, high = error_interval(90, (90 / 1.3, 90 * 1.3), 100, (100 / 1.4, 100 * 1.4))
    wide = np.exp(np.hypot(np.log(1.3), np.log(1.4)))
    assert (low, high) == pytest.approx((0.9 / wide - 1, 0.9 * wide - 1))
    assert error_interval(90, None, 100, (80, 125)) == pytest.approx((0.72 - 1, 1.125 - 1))
    assert error_interval(90, (80, 100), 100, None) is None


@given(times, times, st.floats(1.0, 2.0), st.floats(1.0, 2.0))
def test_the_interval_holds_the_error(predicted, measured, down, up):
    low, high = error_interval(predicted, (predicted / down, predicted * up), measured, (measured / up, measured * down))
    assert low <= relative_error(predicted, measured) + 1e-9 and relative_error(predicted, measured) - 1e-9 <= high


def test_the_ratio_is_of_medians_and_resampled_by_configuration():
    errors = [[-0.1, 0.2], [0.3, 0.2], [0.2, 0.2]]
    repeats = [[0.1, 0.1], [0.3, 0.1], [0.1, 0.1]]
    ratio, interval = ratio_to_repeat(errors, repeats)
    assert ratio == pytest.approx(0.2 / 0.1)
    low, high = interval
    assert low < ratio + 1e-9 and high >= ratio - 1e-9 and (low, high) == ratio_to_repeat(errors, repeats)[1]


def test_a_ratio_that_all_configurations_share_is_certain():
    ratio, interval = ratio_to_repeat([[0.1]] * 5, [[0.08]] * 5)
    assert ratio == pytest.approx(1.25) and interval == pytest.approx((1.25, 1.25))


def test_nothing_to_compare_gives_nothing():
    assert ratio_to_repeat([[]], [[0.1]]) == (None, None)
    assert ratio_to_repeat([[0.1]], [[0.0, 0.0]]) == (None, None)
    assert ratio_to_repeat([[0.1]], [[0.1]]) == (pytest.approx(1.0), None)


def test_bounds_are_held_missed_or_not_known():
    held = [bound.held for bound in bounds(spread([0.15, 0.15, 0.31]), 1.26)]
    assert held == [False, True, True]  # the 90th percentile is 0.15 + 0.8 · 0.16
    assert [bound.held for bound in bounds(spread([]), None)] == [None, None, None]
