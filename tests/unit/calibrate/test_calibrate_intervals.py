"""Intervals where launches hold few cells, and where an estimate is near 0."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.evaluate.uncertainty import _parameters, norm
from inferometer.emulator.calibrate.fit.build import fit_key
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.calibrate.fit.intervals import fits_without_each_launch, over_launches, spreads
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.forms import formula_named, law_of
from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.schema.keys import keys_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.samples.samples import SamplesFile
from tests.studies.synthetic import synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}


def sweep_and_repeats(launches, **fields):
    """One launch of a whole sweep, and further ones that repeat two of its sizes."""
    settings = {"seed": 3, "sizes": [256 * 4**k for k in range(8)], "launches": launches} | fields
    cells = synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, [(2, 1)], **settings)
    first = sorted(cells["bytes"].unique())[:2]
    return cells[(cells["launch"] == cells["launch"].min()) | cells["bytes"].isin(first)]


@pytest.mark.parametrize("launches", [2, 3])
def test_a_launch_of_few_cells_is_not_refitted_alone(make, launches):
    cells = sweep_and_repeats(launches).assign(iterations_us=None)
    points = points_of(cells)
    fit = fit_law(law_of(formula_named("two_protocols"), "all_reduce"), points)
    without = fits_without_each_launch(fit, points)
    assert len(without) == launches - 1
    assert make(cells).network_laws[0].params["B_intra"].value == pytest.approx(2.5, rel=0.3)
    if launches == 3:
        lacking = (set(points.launches) - set(without)).pop()
        reason = f"with launch {lacking} left out, too few cells remain for this law"
        assert over_launches(fit, points, without).reason == reason
    else:  # samples that hold the short launch alone are left out
        assert spreads(fit, points, without, [None] * len(points), 0)[0].intervals is not None


@pytest.mark.parametrize("value", [0.0, 1e-6, 5.0])
def test_an_estimate_near_0_moves_the_time_by_its_own_deviation(make, value):
    """t = a + b(r−1) with b on the linear scale: up to a + (r−1)(b + t_{0.975} s), down to a, both finite."""
    cells = synthetic_cells("barrier", affine("barrier"), TRUTH, [(2, 1), (4, 1), (8, 1)], seed=1, sizes=[0], launches=4)
    model = make(cells).law("barrier")
    assert model.cov.order == ["a", "b"] and model.cov.dof == 3
    a, deviation = model.params["a"].value, 400.0
    near_0 = model.params["b"].model_copy(update={"value": value})
    cov = model.cov.model_copy(update={"matrix": [[0.0, 0.0], [0.0, deviation**2]], "scale": ["ln", "linear"]})
    model = model.model_copy(update={"params": model.params | {"b": near_0}, "cov": cov})
    time = a + 3 * value
    up = np.log(1 + 3 * student.ppf(0.975, 3) * deviation / time)
    found = norm(_parameters(model, *np.array([[0.0], [4.0], [1.0]])))[0]
    assert found == pytest.approx(max(up, np.log(time / a)), rel=5e-3)


@pytest.mark.filterwarnings("ignore:.*is outside the measured")
@pytest.mark.parametrize("size", [1e3, 1e5, 1e8])
def test_the_interval_of_a_bandwidth_that_hardly_shows_is_finite(size):
    """1/B_intra of Polaris' all_gather is 1.7e-5 ns/byte with a deviation of 8e-3: B_intra is above 50 GB/s or so."""
    calibration = load_calibration("polaris-tuned")
    low, high = calibration.interval_s("all_gather", size, 4, 1)
    assert 1e-8 < low < calibration.time_s("all_gather", size, 4, 1) < high < 1e-3 + size / 5e9


def test_the_same_cells_in_another_order_give_the_same_launches():
    cells = sweep_and_repeats(3)
    points = points_of(pd.concat([cells.iloc[::-1]]))
    fit = fit_law(affine("all_reduce"), points)
    assert set(fits_without_each_launch(fit, points)) == set(points.launches)


def test_a_parameter_at_its_bound_has_no_interval():
    """With b = 0 about half of the fits leave b at 0; its refits then reach from 0 to somewhere above."""
    law, truth, layouts = affine("barrier"), TRUTH | {"b": 0.0}, [(2, 1), (4, 1), (8, 1)]
    found = []
    for seed in range(8):
        cells = synthetic_cells("barrier", law, truth, layouts, seed=seed, sizes=[0])
        params = fit_key(keys_of(cells)[0], cells, {}, 0, "affine")["params"]
        found += [p for p in params.values() if p["status"] == "at_bound"]
    assert found
    for parameter in found:
        assert parameter["ci95"] is None and parameter["ci95_over"] is None and parameter["ci95_reason"]
    assert any(parameter["ci95_reason"].startswith("at its bound; refits reach from 0 to") for parameter in found)


def test_samples_that_bear_no_law_at_all_are_refused_with_the_reason(tmp_path):
    (tmp_path / "x.csv").write_text("collective,bytes,ranks,nodes,us\nall_reduce,1024,2,1,20\nall_reduce,2048,2,1,21\n")
    imported = import_files("csv", [tmp_path / "x.csv"])
    samples = SamplesFile.create(tmp_path / "x.samples.jsonl", imported.header)
    for cell in imported.cells:
        samples.append(cell)
    samples.close()
    with pytest.raises(InputError, match=r"no law could be fitted .*cannot bear the law 'three_protocols'"):
        fit([tmp_path / "x.samples.jsonl"], law="three_protocols")
