"""A seeded subset of the planted-truth study (tests/verify): the same designs with fewer runs and wider bounds."""

from dataclasses import replace

import numpy as np
import pytest

from tests.studies.recovery import DESIGNS, recover, recovery_table
from tests.studies.synthetic import NO_NOISE, Noise, synthetic_cells

RUNS = 24
BY_NAME = {design.name: design for design in DESIGNS}


@pytest.mark.parametrize("name", ["one node, r=2,4,8", "4 ranks/node, N=1,2,4", "r=2 only"])
def test_a_planted_truth_is_recovered(name):
    result = recover(BY_NAME[name], range(5000, 5000 + RUNS))
    assert all(result.hid_all)
    assert max(result.median_error.values()) <= 0.05, recovery_table([result])
    # 24 runs at 95 % give fewer than 19 hits in one of 500 cases; an interval that covers 75 % in half of all.
    assert min(sum(hits) for hits in result.covered.values()) >= 19, recovery_table([result])


def test_intervals_are_no_wider_than_they_need_be():
    """Intervals that always cover would be useless: across designs some runs must miss."""
    result = recover(BY_NAME["one node, r=2,4"], range(6000, 6036))
    misses = sum(not hit for hits in result.covered.values() for hit in hits)
    assert misses >= 1, recovery_table([result])


def test_the_study_notices_what_is_not_recovered():
    wrong = replace(BY_NAME["one node, r=2,4"], parameters=("a", "c"), hidden=("b",))
    result = recover(wrong, range(2))
    assert result.median_error["c"] == np.inf and result.coverage["c"] == 0
    assert result.hid_all == [False, False]
    assert "inf" in recovery_table([result])


def test_synthetic_cells_have_the_noise_they_claim():
    design = BY_NAME["one node, r=2,4"]

    def times(noise, seed=0, launches=200):
        cells = synthetic_cells(
            design.collective,
            design.law,
            dict(design.truth),
            [(2, 1)],
            seed=seed,
            sizes=[1024],
            launches=launches,
            noise=noise,
        )
        return cells["us"].to_numpy()

    assert times(NO_NOISE).std() < 1e-10
    exact = times(NO_NOISE)[0]
    assert exact == pytest.approx(155 + 1024 / 2500)
    assert np.log(times(Noise(launch=0.1, cell=0, iteration=0, outliers=0, cell_outliers=0))).std() == pytest.approx(
        0.1, rel=0.2
    )
    spoiled = times(Noise(launch=0, cell=0, iteration=0, outliers=0.1, cell_outliers=0.2)) / exact
    assert 0.1 < (spoiled > 1.9).mean() < 0.3 and np.median(spoiled) == pytest.approx(1)
    assert np.array_equal(times(Noise(), seed=3), times(Noise(), seed=3))
