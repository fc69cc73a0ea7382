"""In-step overhead: planted parameters found again, what the cells cannot tell, the file, and what one may ask."""

from __future__ import annotations

import json
import warnings

import jsonschema
import numpy as np
import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.file import SCHEMA_FILE, load_calibration, to_json, write_calibration
from inferometer.emulator.calibrate.evaluate.in_step_residuals import departure_of, place_of
from inferometer.emulator.calibrate.evaluate.predict import ExtrapolationWarning, NotIdentifiedWarning
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.fit.in_step import fit_in_step
from inferometer.emulator.economics.pricing.calibrated_in_step import CalibrationInStep
from inferometer.emulator.economics.pricing.network import Sent
from inferometer.emulator.errors import InputError

TRUTH = {"s0": 60.0, "u": 0.02, "v": 0.08}  # µs, 1, ns/byte
SIZES = (4096, 65536, 1 << 20)
GAPS = (300.0, 3000.0)
KEY = {
    "collective": "all_reduce", "implementation": "synthetic", "backend": "gloo", "launch_mode": "host",
    "dtype": "float32", "concurrent_groups": 1, "scheduler": "rr",
    "oversubscribed": False,
}  # fmt: skip


def isolated_us(size):
    return 120 + size / 3000


def rows(seed=0, launches=3, sizes=SIZES, gaps=GAPS, spread=0.05, truth=None, place=(2, 1), isolated=True, **key):
    """Isolated cells and cells in a step; spread: of ln t, common to a launch, and half as much for each cell."""
    s = TRUTH | (truth or {})
    rng = np.random.default_rng(seed)
    found = []
    for launch in range(launches):
        effect = spread * rng.standard_normal()

        def timed(us, timing, size, asked=None, launch=launch, effect=effect):
            us *= np.exp(effect + spread / 2 * rng.standard_normal())
            place_ = {"ranks": place[0], "nodes": place[1], "bytes": size, "launch": launch}
            gap_us = None if asked is None else asked * (1 + 0.05 * rng.random())
            more = {
                "requested_compute_gap_us": asked,
                "compute_gap_us": gap_us,
                "iterations_us": None,
                "n": 20,
                "flags": [],
                "wrong": 0,
            }
            found.append(KEY | key | place_ | more | {"timing": timing, "us": us})

        for size in sizes:
            if isolated:
                timed(isolated_us(size), "isolated", size)
            for gap in gaps:
                timed(isolated_us(size) + s["s0"] + s["u"] * gap + s["v"] * size / 1e3, "in_step", size, gap)
    return pd.DataFrame(found)


def fitted(cells):
    (in_step,), refused = fit_in_step(cells, [])
    assert refused == []
    return in_step


def test_planted_parameters_are_found_again():
    in_step = fitted(rows(spread=1e-6))
    found = {name: p["value"] for name, p in in_step["params"].items()}
    assert found == pytest.approx(TRUTH, rel=0.1)  # apart differs by 5 % from launch to launch
    assert {p["status"] for p in in_step["params"].values()} == {"fitted"}
    assert [in_step["params"][name]["unit"] for name in TRUTH] == ["us", "1", "ns/byte"]
    assert in_step["fit"]["medape"] < 0.01 and in_step["fit"]["held_out"]["median"] < 0.02
    assert in_step["fit"]["held_out"]["n"] == 3 * 6
    assert in_step["domain"]["bytes"] == (4096, 1 << 20)
    assert 300 <= in_step["domain"]["compute_gap_us"][0] < 315 and 3000 <= in_step["domain"]["compute_gap_us"][1] < 3150


def test_intervals_over_launches_hold_the_truth():
    """A nominal 95 % over 60 runs of three launches: below 48 of 60 has a probability of 1e-9."""
    held = dict.fromkeys(TRUTH, 0)
    for seed in range(60):
        for name, parameter in fitted(rows(seed))["params"].items():
            low, high = parameter["ci95"] or (0.0, np.inf)
            held[name] += low <= TRUTH[name] <= high
    assert min(held.values()) >= 48, held


def test_one_launch_gone_wrong_does_not_carry_the_fit():
    cells = rows(spread=0.01)
    wrong = (cells["launch"] == 1) & (cells["timing"] == "in_step")
    cells.loc[wrong, "us"] += cells.loc[wrong, "compute_gap_us"]  # both ranks on one core
    assert fitted(cells)["params"]["s0"]["value"] == pytest.approx(60, rel=0.5)


@pytest.mark.parametrize(
    ("changes", "unknown", "words"),
    [
        ({"gaps": (300.0,)}, ["u"], "one compute gap only (300 us)"),
        ({"sizes": (4096,)}, ["v"], "one size only (4096 bytes)"),
        ({"gaps": (300.0,), "sizes": (4096,)}, ["u", "v"], "only ("),
    ],
)
def test_what_was_not_varied_is_not_identified(changes, unknown, words):
    in_step = fitted(rows(spread=0.01, **changes))
    for name in unknown:
        parameter = in_step["params"][name]
        assert (parameter["value"], parameter["ci95"], parameter["status"]) == (None, None, "not_identified")
        assert words in parameter["reason"]
    s0 = TRUTH["s0"] + TRUTH["u"] * 300 * ("u" in unknown) + TRUTH["v"] * 4.096 * ("v" in unknown)
    assert in_step["params"]["s0"]["value"] == pytest.approx(s0, rel=0.15)


def test_sizes_and_compute_gaps_varied_together_are_not_identified():
    cells = rows()
    step = cells["timing"] == "in_step"
    together = (cells["bytes"] == 4096) & (cells["requested_compute_gap_us"] == 300)
    together |= (cells["bytes"] == 1 << 20) & (cells["requested_compute_gap_us"] == 3000)
    in_step = fitted(cells[~step | together])
    assert {in_step["params"][name]["reason"] for name in "uv"} == {"sizes and compute gaps were not varied independently"}


def test_a_term_that_is_not_there_is_at_its_bound():
    parameter = fitted(rows(spread=1e-6, truth={"v": 0.0, "s0": 200.0}))["params"]["v"]
    assert (parameter["value"], parameter["status"], parameter["ci95"]) == (0.0, "at_bound", None)
    assert "0" in parameter["reason"] and "refits reach" in parameter["ci95_reason"]


def test_two_launches_have_no_interval():
    for parameter in fitted(rows(launches=2))["params"].values():
        assert parameter["ci95"] is None and parameter["ci95_reason"] == "needs 3 launches, has 2"


def test_times_are_compared_within_a_launch():
    """A launch twice as slow, isolated and in a step, has twice the overhead; against others it would be far more."""
    cells = rows(spread=1e-6)
    cells.loc[cells["launch"] == 1, "us"] *= 2
    in_step = fitted(cells)
    assert 60 < in_step["params"]["s0"]["value"] < 120 and in_step["fit"]["n_isolated_from_law"] == 0


def test_each_key_ranks_and_nodes_has_its_own():
    cells = pd.concat([rows(), rows(place=(4, 1)), rows(place=(4, 2)), rows(collective="all_gather")])
    in_step_laws, _ = fit_in_step(cells, [])
    found = [(s["target"]["collective"], s["ranks"], s["nodes"]) for s in in_step_laws]
    assert found == [("all_gather", 2, 1), ("all_reduce", 2, 1), ("all_reduce", 4, 1), ("all_reduce", 4, 2)]


@pytest.fixture(scope="module")
def stepped(make):
    """Isolated laws of four sizes on two ranks; in a step another size too, which was not measured isolated."""
    cells = rows(sizes=(256, *SIZES))
    step = cells["timing"] == "in_step"
    return make(cells[(step & (cells["bytes"] > 256)) | (~step & (cells["bytes"] != 65536))])


def test_residuals_are_against_the_isolated_law_and_s(make):
    """Half as slow again as the laws say at one size after one time: seen there, and there alone."""
    cells = rows(spread=0.01, sizes=[256 * 4**k for k in range(8)])
    off = (cells["bytes"] == 65536) & (cells["requested_compute_gap_us"] == 3000)
    cells.loc[off, "us"] *= 1.5
    (in_step,) = make(cells).in_step_laws
    ratios = {(residuals.bytes, residuals.compute_gap_us > 1000): residuals.ratio for residuals in in_step.residuals}
    assert ratios.pop((65536, True)) == pytest.approx(1.5, rel=0.15)
    assert list(ratios.values()) == pytest.approx([1.0] * 15, rel=0.15)
    assert fit_in_step(cells, [])[0][0]["residuals"] is None  # no law to hold them against


def in_models(us, sizes=(2048, 16384), launches=3, **changes):
    """What model_collectives has of one probe: all_reduces of these sizes, half a ms of compute gap, of so many us."""
    about = {name: KEY[name] for name in ("collective", "backend", "dtype", "scheduler")}
    about |= {"probe": "p", "nodes": 1, "ranks": 2, "compute_gap_us": 500.0} | changes
    return pd.DataFrame(
        [
            {**about, "op": f"of {n}", "bytes": float(n), "launch": launch, "us": us(n) * (1 + 0.1 * (launch - 1))}
            for n in sizes
            for launch in range(launches)
        ]
    )


def expected_us(n):
    return isolated_us(n) + TRUTH["s0"] + TRUTH["u"] * 500 + TRUTH["v"] * n / 1e3


def priced_us(made, n, compute_gap_us=500.0):
    in_step = CalibrationInStep(made, {"backend": "gloo"})
    (overhead_s,) = in_step.overhead_s([Sent("all_reduce", n, 2, 1, compute_gap_us * 1e-6, isolated_us(n) * 1e-6)])
    return isolated_us(n) + overhead_s * 1e6


def test_a_step_is_priced_by_the_residuals_of_models_collectives():
    """Cells agree with the laws; in models the same takes 1.4 times as long at some sizes: there it does, far away not."""
    cells = rows(spread=0.01, sizes=[256 * 4**k for k in range(8)])
    made = {}
    for name, steps in (("cells", None), ("models", in_models(lambda n: 1.4 * expected_us(n)))):
        made[name] = calibrate(
            cells, seed=0, provenance={"kind": "measured"}, method={}, created="2026-01-01T00:00:00Z", steps=steps
        )
    for size in (2048, 16384, 6000):
        assert priced_us(made["cells"], size) == pytest.approx(expected_us(size), rel=0.05)
        assert priced_us(made["models"], size) == pytest.approx(1.4 * expected_us(size), rel=0.08)
    far = 1 << 22, 3000.0
    assert priced_us(made["models"], *far) == pytest.approx(priced_us(made["cells"], *far), rel=0.05)
    (in_step,) = made["models"].in_step_laws
    residuals = [(its.bytes, its.compute_gap_us, its.ratio) for its in in_step.residuals if its.in_model]
    assert sorted(residuals) == [(n, 500.0, pytest.approx(1.4, rel=0.06)) for n in (2048, 16384)]
    assert in_step.domain.bytes == (256, 256 * 4**7)
    assert in_step.params == made["cells"].in_step_laws[0].params and in_step.fit == made["cells"].in_step_laws[0].fit


@pytest.mark.parametrize(
    "other", [{"collective": "all_gather"}, {"dtype": "bfloat16"}, {"ranks": 4}, {"nodes": 2}, {"scheduler": "other"}]
)
def test_collectives_of_models_count_for_their_own_key_ranks_and_nodes(other):
    steps = in_models(lambda n: 1.4 * expected_us(n), **other)
    made = calibrate(rows(), seed=0, provenance={"kind": "measured"}, method={}, created="2026-01-01T00:00:00Z", steps=steps)
    assert not any(its.in_model for its in made.in_step_laws[0].residuals)


def test_a_size_that_was_not_measured_isolated_is_taken_from_the_law(stepped):
    (in_step,) = stepped.in_step_laws
    assert in_step.fit.n_isolated_from_law == 3 * len(GAPS)
    lacking = [cell for cell in in_step.cells if cell.bytes == 65536]
    assert [cell.isolated_medians for cell in lacking] == [[None] * 3] * 2
    assert all(None not in cell.isolated_medians for cell in in_step.cells if cell.bytes != 65536)
    assert in_step.params["u"].ci95 is not None


def test_without_any_isolated_time_the_reason_is_given(make):
    made = make(pd.concat([rows(isolated=False), rows(collective="broadcast", gaps=())]))
    assert made.in_step_laws == [] and "in_step" in made.not_measured
    (refused,) = made.not_fitted
    assert refused.target.timing == "in_step" and "neither isolated times nor" in refused.reason


def test_the_file_holds_the_skew_and_its_cells(stepped, tmp_path):
    write_calibration(stepped, tmp_path / "c.json")
    assert load_calibration(tmp_path / "c.json") == stepped
    document = json.loads(to_json(stepped))
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()))
    assert "in_step" not in stepped.not_measured
    (in_step,) = stepped.in_step_laws
    assert [(c.bytes, c.requested_compute_gap_us) for c in in_step.cells] == [(n, gap) for gap in GAPS for n in SIZES]
    assert all(c.requested_compute_gap_us <= c.compute_gap_us <= 1.05 * c.requested_compute_gap_us for c in in_step.cells)
    assert {m.target.timing for m in stepped.network_laws} == {c.target.timing for c in stepped.cells} == {"isolated"}


def test_cells_in_a_step_change_nothing_else(make):
    """But for the quality, which looks at every cell."""
    cells = rows(sizes=(256, *SIZES))
    plain, more = make(cells[cells["timing"] == "isolated"]), make(cells)
    for part in ("network_laws", "cells", "launch_floor", "guidelines", "not_fitted"):
        assert getattr(plain, part) == getattr(more, part)
    assert plain.in_step_laws == [] and plain.not_measured["in_step"]


def test_the_overhead_of_a_call_is_what_predict_prices(stepped):
    values = {name: parameter.value for name, parameter in stepped.in_step_laws[0].params.items()}
    one = stepped.in_step_s("all_reduce", 65536, 2, 1, 1e-3)
    assert isinstance(one, float)
    isolated_s = stepped.time_s("all_reduce", 65536, 2)
    sent = Sent("all_reduce", 65536, 2, 1, 1e-3, isolated_s)
    assert [one] == pytest.approx(CalibrationInStep(stepped).overhead_s([sent]), rel=1e-12)
    law_s = 1e-6 * (values["s0"] + values["u"] * 1000 + values["v"] * 65.536)
    near = departure_of(stepped.in_step_laws[0].residuals).ratio(place_of(65536, 1000.0, True))
    assert one == pytest.approx((isolated_s + law_s) * float(near) - isolated_s, rel=1e-9)
    sizes, gap_us = np.array([4096, 65536, 1 << 20]), np.array([[4e-4], [3e-3]])
    table = stepped.in_step_s("all_reduce", sizes, 2, 1, gap_us, dtype="float32", backend="gloo")
    assert table.shape == (2, 3) and (np.diff(table, axis=1) > 0).all() and (np.diff(table, axis=0) > 0).all()
    assert stepped.in_step_s("all_reduce", 65536, 1, 1, 1e-3) == 0


def test_what_was_not_measured_in_a_step_is_nan_with_one_warning(stepped):
    with pytest.warns(NotIdentifiedWarning, match="overhead of 3 of 3 calls was not measured") as caught:
        found = stepped.in_step_s("all_reduce", [4096, 8192, 65536], 4, 1, 1e-3)
    assert np.isnan(found).all() and len(caught) == 1 and caught[0].filename == __file__


def test_another_collective_pays_the_overhead_of_all_reduce_with_one_warning(stepped):
    with pytest.warns(
        ExtrapolationWarning, match="broadcast: was not timed in a step on 2 ranks, all_reduce stands in"
    ) as caught:
        found = stepped.in_step_s("broadcast", [4096, 65536], 2, 1, 1e-3)
    values = {name: parameter.value for name, parameter in stepped.in_step_laws[0].params.items()}
    by_law = [1e-6 * (values["s0"] + values["u"] * 1000 + values["v"] * n / 1e3) for n in (4096, 65536)]
    assert found == pytest.approx(by_law) and len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize(
    ("size", "compute_gap_s", "words"), [(1 << 24, 1e-3, "bytes 1.67772e"), (65536, 0.5, "compute gap")]
)
def test_beyond_the_domain_is_given_with_one_warning(stepped, size, compute_gap_s, words):
    with pytest.warns(ExtrapolationWarning, match=words) as caught:
        assert stepped.in_step_s("all_reduce", size, 2, 1, compute_gap_s) > 0
    assert len(caught) == 1 and caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stepped.in_step_s("all_reduce", 65536, 2, 1, 1e-3)


def test_impossible_questions_are_refused(stepped, make):
    for arguments, words in [
        ((-1, 2, 1, 1e-3), "bytes must be"), ((64, 1, 2, 1e-3), "fewer ranks than nodes"),
        ((64, 2, 1, -1e-3), "compute_gap_s must be"), ((64, 2, 1, "long"), "could not convert"),
        (([1, 2], 2, 1, [1e-3, 1e-3, 1e-3]), "compute_gap_s must be"),
    ]:  # fmt: skip
        with pytest.raises(InputError, match=words):
            stepped.in_step_s("all_reduce", *arguments)
    with pytest.raises(InputError, match="no such key field: colour"):
        stepped.in_step_s("all_reduce", 64, 2, 1, 1e-3, colour="red")
    two = make(pd.concat([rows(), rows(scheduler="other")]))
    with pytest.raises(InputError, match="choose one scheduler"):
        two.in_step_s("all_reduce", 4096, 2, 1, 1e-3)
    assert two.in_step_s("all_reduce", 4096, 2, 1, 1e-3, scheduler="rr") > 0
