"""The interval of a predicted time, the bootstrap behind imported times, laws by name, and the guidelines."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student

from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.evaluate.student import t_quantile
from inferometer.emulator.calibrate.fit.build import fit_key
from inferometer.emulator.calibrate.fit.choose import NotFittedError, choose_law
from inferometer.emulator.calibrate.fit.guidelines import guidelines_record
from inferometer.emulator.calibrate.fit.intervals import bootstrap, over_cells
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.forms import formula_named, law_of
from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.calibrate.schema.keys import keys_of, usable_rows
from inferometer.emulator.errors import InputError
from tests.studies.recognition import NOISE, ONE_NODE, PLANTED, SIZES, recognise
from tests.studies.synthetic import synthetic_cells

TRUTH = {"a": 8.0, "b": 2.0, "c": 12.0, "B_intra": 50.0, "B_inter": 20.0}
TWO = TRUTH | {"a.2": 40.0, "B_intra.2": 300.0, "B_inter.2": 30.0}


def one_launch(form="affine", truth=TRUTH, layouts=ONE_NODE, seed=0, sizes=SIZES):
    options = {"seed": seed, "sizes": sizes, "launches": 1, "iterations": 1, "noise": NOISE}
    cells = synthetic_cells("all_reduce", law_of(formula_named(form), "all_reduce"), truth, layouts, **options)
    return cells.assign(iterations_us=None)


@pytest.fixture(scope="module")
def two(make):
    return make(one_launch("two_protocols", TWO, ONE_NODE[:3]), kind="imported")


def test_the_interval_holds_what_the_law_was_not_fitted_to(two):
    """Reference: the planted law without noise, at sizes between those measured and at them."""
    law = law_of(formula_named("two_protocols"), "all_reduce")
    sizes = np.geomspace(512, 2**26, 60)
    for ranks in (2, 4, 8):
        truth = law.time_us(law.theta(TWO), sizes, ranks, 1) * 1e-6
        low, high = two.interval_s("all_reduce", sizes, ranks)
        assert ((low < truth) & (truth < high)).mean() > 0.97
        assert (high / low < 1.5).all() and (low < two.time_s("all_reduce", sizes, ranks)).all()


def test_it_widens_with_the_distance_beyond_what_was_measured_and_says_so(two):
    inside = np.divide(*two.interval_s("all_reduce", 4096, 8)[::-1])
    with pytest.warns(ExtrapolationWarning, match="ranks 32 is outside .*; the interval is widened"):
        low, high = two.interval_s("all_reduce", 4096, [16, 32])
    assert inside < (high / low)[0] < (high / low)[1]
    with pytest.warns(ExtrapolationWarning):
        far = np.divide(*two.interval_s("all_reduce", 2**40, 8)[::-1])
    assert far > inside


def test_shapes_and_what_is_not_determined(two):
    low, high = two.interval_s("all_reduce", np.ones((3, 1)) * 4096, [2, 4])
    assert low.shape == high.shape == (3, 2)
    assert two.interval_s("all_reduce", 4096, 1) == (0.0, 0.0)
    with pytest.warns(NotIdentifiedWarning):
        assert np.isnan(two.interval_s("all_reduce", 4096, 8, 2)).all()
    with pytest.raises(InputError, match="no law of 'all_reduce' with dtype=int8"):
        two.interval_s("all_reduce", 4096, 2, dtype="int8")


def test_the_parameters_share_of_the_interval_by_hand(make):
    """With one size nothing can be held out over sizes, and t = a + b(r−1) is linear: var t = x' Σ x."""
    cells = synthetic_cells("barrier", affine("barrier"), TRUTH, [(2, 1), (4, 1), (8, 1)], seed=1, sizes=[0], launches=4)
    made = make(cells)
    model = made.law("barrier")
    assert model.cov.scale == ["ln", "ln"] and model.cov.order == ["a", "b"]
    a, b = (model.params[name].value for name in "ab")
    slope = np.array([a, 3 * b]) / (a + 3 * b)
    own = student.ppf(0.975, 3) * np.sqrt(slope @ np.array(model.cov.matrix) @ slope)
    low, high = made.interval_s("barrier", 0, 4)
    assert np.log(high / low) / 2 == pytest.approx(np.hypot(own, 2 * model.fit.spread.sample), rel=1e-3)


def launched(form, truth, launches, noise, law):
    design = {"seed": 5, "sizes": SIZES, "launches": launches, "iterations": 1, "noise": noise}
    cells = synthetic_cells("all_reduce", law_of(formula_named(form), "all_reduce"), truth, ONE_NODE[:3], **design)
    return fit_key(keys_of(cells)[0], *usable_rows(cells), 0, law)


def test_with_several_launches_the_law_is_held_against_their_mean():
    """Launches that differ by 10 %, and their cells by another 10 %, say little of a law that holds exactly."""
    noise = replace(NOISE, launch=0.1, cell=0.1, cell_outliers=0.0)
    exact = {launches: launched("affine", TRUTH, launches, noise, "affine")["fit"]["spread"] for launches in (2, 12)}
    assert exact[2]["sizes"] > 0.2 and exact[12]["sizes"] < 0.05
    bent = launched("two_protocols", TWO, 12, noise, "affine")["fit"]["spread"]
    still = launched("two_protocols", TWO, 1, replace(noise, launch=0.0, cell=0.0), "affine")["fit"]["spread"]
    assert bent["sizes"] == pytest.approx(still["sizes"], rel=0.2) and bent["sizes"] > 0.2


def test_sources_are_those_of_the_half_width(two):
    law = two.evaluator.network.fitted("all_reduce", {})
    rows = law.deviations(np.array([4096, 2**24]), 4, 1)
    assert len(rows) == len(law.freedom) == 1 + len(two.law("all_reduce").cov.order)
    assert np.sqrt((rows**2).sum(axis=0)) == pytest.approx(law.half_width(np.array([4096, 2**24]), 4, 1))


def test_t_quantiles_are_those_of_scipy():
    for dof in (1, 2, 3, 4, 7, 30, 1000):
        assert t_quantile(dof) == pytest.approx(student.ppf(0.975, dof), rel=5e-3)


def test_bootstrap_over_cells_is_seeded_and_holds_the_fit():
    points = points_of(one_launch())
    fit = fit_law(affine("all_reduce"), points)
    assert np.array_equal(bootstrap(fit, points, 3, 20), bootstrap(fit, points, 3, 20))
    spread = over_cells(fit, points, 0, refits=100)
    assert spread.over == "cells" and spread.dof == 72 - 3
    assert (spread.intervals[:, 0] < fit.combinations).all() and (fit.combinations < spread.intervals[:, 1]).all()


def test_a_law_by_name(make):
    cells = one_launch("two_protocols", TWO)
    points = points_of(cells)
    assert choose_law("all_reduce", points, "smooth").chosen.name == "smooth"
    with pytest.raises(NotFittedError, match="cannot bear the law 'affine_overlap'"):
        choose_law("all_reduce", points, "affine_overlap")
    model = fit_key(keys_of(cells)[0], *usable_rows(cells), 0, "flat_ring")
    assert model["form"] == "flat_ring" and model["fit"]["choice"] == "asked for"
    assert [a["form"] for a in model["fit"]["alternatives"]] == ["flat_ring"]


def test_every_alternative_is_in_the_file_with_its_reason(two):
    model = two.law("all_reduce")
    found = {a.form: a for a in model.fit.alternatives}
    assert model.form == "two_protocols" and found["two_protocols"].chosen
    assert {"paper", "scaled", "affine", "flat_ring", "smooth", "three_protocols"} <= set(found)
    for a in found.values():
        assert a.bic is not None
        assert a.score is not None or a.coincides_with or a.unfit or a.form.endswith("bandwidth_per_ranks")
    assert {"a", "a.2", "b", "B_intra", "B_intra.2"} <= set(model.params)
    assert model.params["B_inter.2"].status == "not_identified" and "one node" in model.params["B_inter.2"].reason
    a = model.params["a"]
    assert a.ci95_over == "cells" and a.ci95[0] < 8 < a.ci95[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert two.time_s("all_reduce", 2**20, 8) > 0


@pytest.mark.parametrize("number", [11, 13], ids=lambda n: PLANTED[n].form)
def test_planted_laws_are_recognised(number):
    """Two of the hundred trials of tests/verify/test_law_recognition.py."""
    assert recognise(PLANTED[number], range(1)) == {PLANTED[number].form: 1}


def cell(us, size, collective="all_reduce", ranks=4, nodes=1):
    return {"target": {"collective": collective}, "ranks": ranks, "nodes": nodes, "bytes": size, "us": {"median": us}}


def test_broken_guidelines_are_listed():
    cells = [cell(10.0, 1024), cell(30.0, 2048), cell(20.0, 4096)]
    found = guidelines_record(cells, {})["broken"]
    assert [(b["rule"], b["bytes"], round(b["ratio"], 3)) for b in found] == [
        ("monotone_in_size", 4096, 1.5),
        ("split", 2048, 1.5),
    ]
    parts = [cell(30.0, 1024), cell(8.0, 1024, "reduce_scatter"), cell(12.0, 1024, "all_gather")]
    assert [(b["rule"], b["ratio"]) for b in guidelines_record(parts, {})["broken"]] == [("all_reduce_by_parts", 1.5)]
    # 1 MiB of all_reduce on 4 ranks: 1.5 MiB over the busiest link in 2 µs are 786 GB/s.
    fast = guidelines_record([cell(2.0, 2**20)], {"link_intra_GBs": 450.0})
    assert [(b["rule"], round(b["ratio"], 3)) for b in fast["broken"]] == [("line_rate", 1.748)]
    assert list(fast["not_checked"]) == ["line_rate_inter"]
    assert guidelines_record([cell(10.0, 1024), cell(10.2, 2048), cell(9.9, 4096)], {})["broken"] == []


def test_the_file_lists_broken_guidelines(two):
    assert set(two.guidelines.not_checked) == {"line_rate_intra", "line_rate_inter"}
    cells = [{"target": c.target.model_dump(), "us": {"median": c.us.median}} for c in two.cells]
    cells = [c | {"ranks": o.ranks, "nodes": o.nodes, "bytes": o.bytes} for c, o in zip(cells, two.cells)]
    again = guidelines_record(cells, {})["broken"]
    assert [(b.rule, b.bytes, b.ranks) for b in two.guidelines.broken] == [
        (b["rule"], b["bytes"], b["ranks"]) for b in again
    ]
