"""A departure from a law is predicted near where it was measured, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.departure import Departure, features
from inferometer.emulator.calibrate.evaluate.residuals import MatmulInModel, SizesInModel
from inferometer.emulator.calibrate.schema.compute_records import MatmulResidual, SizesResidual

KERNELS = ((0.2, (1.0, 1.0)),)


def test_the_posterior_mean_by_hand():
    """One point: k/(k + noise²) of its logarithm at the point, exp(−d²/2) of that at a distance d."""
    one = Departure(np.array([[0.0, 0.0]]), [1.2], KERNELS, 0.1)
    kept = 0.2**2 / (0.2**2 + 0.1**2) * np.log(1.2)
    assert np.log(one.ratio(features(0.0, 0.0))) == pytest.approx(kept)
    assert np.log(one.ratio(features(1.0, 1.0))) == pytest.approx(kept * np.exp(-1))
    assert one.ratio(features(9.0, 0.0)) == pytest.approx(1.0)


def test_without_residuals_the_law_stands_alone():
    nothing = Departure(np.empty((0, 2)), [], KERNELS, 0.1)
    assert nothing.ratio(features([0.0, 1.0], 2.0)).tolist() == [1.0, 1.0]
    assert MatmulInModel([]).ratio(8, 512, [512, 1024], False, False, 1).tolist() == [1.0, 1.0]


def test_a_smooth_departure_is_predicted_between_its_measurements():
    """Points a length apart, 3 % of noise: sizes between are predicted within it."""
    rng = np.random.default_rng(0)
    at = np.stack(np.meshgrid(np.arange(0.0, 6.0, 1.0), np.arange(0.0, 6.0, 1.0)), axis=-1).reshape(-1, 2)

    def truth(x):
        return 0.15 * np.sin(x[..., 0] / 2) + 0.05 * x[..., 1] / 6

    residuals = Departure(at, np.exp(truth(at) + 0.03 * rng.standard_normal(len(at))), KERNELS, 0.03)
    new = rng.uniform(0.5, 4.5, (200, 2))
    assert np.sqrt(np.mean((np.log(residuals.ratio(new)) - truth(new)) ** 2)) < 0.03


def matmul(rows, inner, outer, ratio, grouped=False, sharded=False, several=1.0):
    size = {"rows": rows, "inner": inner, "outer": outer, "grouped": grouped, "sharded": sharded}
    return MatmulResidual(**size, several=several, ratio=ratio)


def test_matmuls_follow_their_like_in_shape_and_kind():
    law = MatmulInModel([matmul(8, 512, 3584, 0.8), matmul(8, 448, 256, 1.4, grouped=True)])
    assert law.ratio(8, 512, 3584, False, False, 1) == pytest.approx(0.8, abs=0.05)
    assert law.ratio(8, 448, 256, True, False, 1) == pytest.approx(1.4, abs=0.1)
    near, far = (float(law.ratio(8, 512, outer, False, False, 1)) for outer in (3072, 65536 * 64))
    assert near < 0.9 and far == pytest.approx(1.0, abs=0.01)
    sharded = float(law.ratio(8, 512, 3584, False, True, 1))
    assert 0.8 < sharded < 0.97  # what whole models take says something of sharded ones
    both = MatmulInModel([matmul(8, 512, 3584, 0.8), matmul(8, 512, 3584, 1.1, sharded=True)])
    assert both.ratio(8, 512, 3584, False, [False, True], 1) == pytest.approx([0.8, 1.1], abs=0.06)


def test_one_row_and_several_have_residuals_of_their_own():
    law = MatmulInModel([matmul(1, 512, 3584, 1.4, several=0.0), matmul(2, 512, 3584, 0.8)])
    one, half, two = (float(law.ratio(rows, 512, 3584, False, False, part)) for rows, part in ((1, 0), (1.5, 0.5), (2, 1)))
    assert (one, two) == (pytest.approx(1.4, abs=0.05), pytest.approx(0.8, abs=0.05)) and two < half < one
    alike = MatmulInModel([matmul(1, 512, 3584, 1.4), matmul(2, 512, 3584, 0.8)])
    assert law.ratio(4, 512, 3584, False, False, 1) == pytest.approx(
        0.8, abs=0.05
    )  # what one row departs by says nothing here
    assert alike.ratio(4, 512, 3584, False, False, 1) < 0.7
    residuals = [{"activation_bytes": 1e4, "tokens": 1, "ratio": 0.7}, {"activation_bytes": 2e4, "tokens": 2, "ratio": 1.3}]
    steps = [SizesResidual(kv_bytes=0, flop=0, **its) for its in residuals]
    found = SizesInModel(steps).ratio(activation_bytes=[1e4, 2e4, 4e4], tokens=[1, 2, 4])
    assert found == pytest.approx([0.7, 1.3, 1.15], abs=0.06)


def test_operations_of_a_line_follow_their_like_in_size():
    law = SizesInModel([SizesResidual(activation_bytes=1e5, kv_bytes=1e6, flop=1e7, ratio=1.3)])
    assert law.ratio(activation_bytes=1e5, kv_bytes=1e6, flop=1e7) == pytest.approx(1.3, abs=0.03)
    assert law.ratio(activation_bytes=[1e5, 1e2], kv_bytes=1e6, flop=1e7)[1] == pytest.approx(1.0, abs=0.01)
