"""One small case of the planted-truth study (tests/verify), and what the study itself must notice."""

from dataclasses import replace

import numpy as np
import pytest

from tests.studies.recovery import DESIGNS, recover, recovery_table
from tests.studies.synthetic import NO_NOISE, Noise, synthetic_cells

BY_NAME = {design.name: design for design in DESIGNS}


def test_a_planted_truth_is_recovered():
    result = recover(BY_NAME["4 ranks/node, N=1,2,4"], range(5000, 5003))
    assert all(result.hid_all)
    assert max(result.median_error.values()) <= 0.1, recovery_table([result])


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
