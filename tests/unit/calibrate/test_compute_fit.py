"""Laws of computing are found again in probes made from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.residuals import size_residuals
from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.fit.lines import fit_line
from inferometer.emulator.calibrate.laws import compute as computelaws
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from tests.studies.planted_compute import INNER, LARGEST, OUTER, ROWS, line_us, matmul_us, probes


def laws(table: pd.DataFrame) -> dict[tuple, ComputeLaw]:
    found = [ComputeLaw.model_validate(document) for document in fit_compute(table)]
    return {(law.target.concurrent_ranks, law.kind, law.op): law for law in found if law.predecessors is None}


def test_the_surface_holds_the_median_of_the_launches_and_foretells_other_shapes():
    found = laws(probes(noise=0.0))
    law = found[1, "matmul", None]
    assert (law.rows, law.inner, law.outer) == (ROWS, INNER, OUTER)
    for rows in (1, 3, 8, 50, 700, 4000):
        for inner, outer in ((200, 300), (512, 512), (2000, 3000), (6000, 6000)):
            told = float(computelaws.matmul_us(law, rows, inner, outer))
            assert told == pytest.approx(matmul_us(rows, inner * outer), rel=0.12), (rows, inner, outer)
    assert law.fit.held_out.n > 0 and law.fit.held_out.median < 0.1


def test_rates_are_what_a_datasheet_would_say():
    rates = laws(probes(noise=0.0))[1, "matmul", None].rates
    assert rates["memory_gb_per_s"].value == pytest.approx(4 * LARGEST / matmul_us(1, LARGEST) / 1e3)
    assert rates["gflops"].value == pytest.approx(max(2 * r * LARGEST / matmul_us(r, LARGEST) / 1e3 for r in ROWS))
    assert rates["gflops_at_8_rows"].value < rates["gflops"].value


def test_rows_spread_over_matrices_cost_each_matrix_its_own_rows():
    law = laws(probes(noise=0.0))[1, "matmul", None]
    each = float(computelaws.matmul_us(law, 4, 512, 512))
    assert float(computelaws.matmul_us(law, 32, 512, 512, 8)) == pytest.approx(8 * each)
    assert float(computelaws.matmul_us(law, 2, 512, 512, 8)) == pytest.approx(
        8 * float(computelaws.matmul_us(law, 1, 512, 512))
    )
    assert float(computelaws.matmul_us(law, 0, 512, 512)) == 0.0


def test_rows_that_fall_to_matrices_at_random_cost_what_their_numbers_do():
    law = laws(probes(noise=0.0))[1, "matmul", None]
    of = [float(computelaws.matmul_us(law, rows, 512, 512)) for rows in range(1, 40)]
    drawn = np.random.default_rng(0)
    for tokens, experts, active in [(4, 16, 2), (12, 32, 4), (40, 16, 2)]:
        choices = np.argsort(drawn.random((4000, tokens, experts)), axis=2)[..., :active].reshape(4000, -1)
        counts = np.stack([(choices == expert).sum(axis=1) for expert in range(experts)], axis=1)
        measured = np.concatenate([[0.0], of])[counts].sum(axis=1).mean()
        touched = (counts > 0).sum(axis=1).mean()
        told = float(computelaws.matmul_us(law, tokens * active, 512, 512, touched, routed=True))
        assert told == pytest.approx(measured, rel=0.02)
    many = [float(computelaws.matmul_us(law, 1024, 512, 512, 8, routed=routed)) for routed in (True, False)]
    assert many[0] == many[1]
    assert computelaws.chosen_shares([1.0, 2.0]).sum(axis=-1) == pytest.approx([1, 1])
    assert computelaws.chosen_shares(1.0)[0] == pytest.approx(1, abs=1e-3)


def test_what_is_routed_is_part_one_row_part_several():
    law = laws(probes(noise=0.0))[1, "matmul", None]
    routed = computelaws.Surface.of(law).several_share([1.0, 1.5, 3.0, 20.0], 512, 512, True)
    assert routed[0] < 0.01 and routed[3] == 1.0 and (np.diff(routed) > 0).all()
    shares = computelaws.chosen_shares(1.5)
    one, many = shares[0] * matmul_us(1, 2**18), sum(shares[1:]) * matmul_us(2, 2**18)
    assert routed[1] == pytest.approx(many / (one + many), rel=0.02)
    assert computelaws.Surface.of(law).several_share([1.0, 1.5, 2.0, 8.0], 512, 512, False).tolist() == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("op", ["attention", "stream"])
def test_a_line_is_found_again(op):
    law = laws(probes(noise=0.0))[1, op, None]
    sizes = {"activation_bytes": 3e5, "kv_bytes": 5e6, "flop": 4e7}
    assert float(computelaws.line_us(law, sizes)) == pytest.approx(line_us(op, sizes), rel=0.01)
    assert law.fit.held_out.median < 0.01


def test_what_leads_to_an_operation_has_a_line_of_its_own():
    found = laws(probes(noise=0.0))
    assert found[1, "glue", "ffn.down"].params["o"].value == pytest.approx(40.0, rel=0.01)
    assert found[1, "glue", "ffn.norm"].params["o"].value == pytest.approx(10.0, rel=0.01)
    assert found[1, "glue", None].fit.medape > 0.1  # one line for both misses them
    ways = {(law["predecessors"], law["op"]) for law in fit_compute(probes(noise=0.0)) if law.get("predecessors")}
    assert ways == {("ffn.up", "ffn.down"), ("ffn.up", "ffn.norm")}


def test_an_operation_has_a_line_of_its_own_for_each_way_to_it():
    """A norm takes twice as long after one operation as after another; the line over both predecessors runs between them."""
    table = probes(noise=0.0)
    norms = (table["op"] == "ffn.norm") & (table["kind"] == "stream")
    late = table[norms].assign(predecessors="moe.combine", us=lambda its: 2 * its["us"])
    table.loc[norms, "predecessors"] = "attention.out"
    found = [ComputeLaw.model_validate(document) for document in fit_compute(pd.concat([table, late]))]
    us = {
        law.predecessors: float(computelaws.line_us(law, {"activation_bytes": 2e4}))
        for law in found
        if (law.kind, law.op) == ("stream", "ffn.norm")
    }
    assert us["attention.out"] == pytest.approx(line_us("stream", {"activation_bytes": 2e4}), rel=0.01)
    assert us["moe.combine"] == pytest.approx(2 * us["attention.out"], rel=0.01)
    assert us["attention.out"] < us[None] < us["moe.combine"]


def test_a_size_that_does_not_vary_is_not_identified_and_adds_nothing():
    table = probes(noise=0.0)
    table.loc[table["kind"] == "attention", "kv_bytes"] = 1e6
    parameter = laws(table)[1, "attention", None].params["cache"]
    assert (parameter.value, parameter.status) == (None, "not_identified") and "kv_bytes" in parameter.reason


def test_sizes_that_only_grow_together_are_not_separated():
    table = probes(noise=0.0)
    table.loc[table["kind"] == "attention", "flop"] = 30 * table["kv_bytes"]
    params = laws(table)[1, "attention", None].params
    assert params["cache"].status == "fitted" and params["arithmetic"].status == "not_identified"


def test_intervals_come_from_launches():
    rate = laws(probes(noise=0.05))[1, "matmul", None].rates["memory_gb_per_s"]
    assert rate.ci95[0] < rate.value < rate.ci95[1] and rate.ci95_over == "launches"


def test_two_launches_give_no_interval_and_say_why():
    law = laws(probes(noise=0.05, launches=2))[1, "matmul", None]
    assert all(p.ci95 is None and "needs 3 launches" in p.ci95_reason for p in law.params.values())


def test_a_knot_that_a_launch_lacks_is_none():
    table = probes(noise=0.0)
    lost = (table["op"] == "matmul") & (table["rows"] == 8) & (table["launch"] == 1)
    assert 8 not in laws(table[~lost])[1, "matmul", None].rows


def test_each_number_of_ranks_at_once_has_its_own_laws():
    both = pd.concat([probes(noise=0.0), probes(noise=0.0, concurrent_ranks=2, slower=1.5)])
    found = laws(both)
    one, two = (computelaws.matmul_us(found[n, "matmul", None], 8, 512, 512) for n in (1, 2))
    assert np.isclose(two / one, 1.5)


def test_scattered_times_do_not_pull_a_line_below_them():
    """Each time is off by a factor of its own, of median 1: the sum of the line stays the sum of the truth."""
    design = np.column_stack([np.ones(400), np.linspace(0, 1e4, 400)])
    truth = design @ np.array([50.0, 0.02])
    scattered = truth * np.exp(0.4 * np.random.default_rng(3).standard_normal(400))
    assert (design @ fit_line(design, scattered)).sum() == pytest.approx(truth.sum(), rel=0.05)


@pytest.mark.parametrize("lacking", ["matmul", "attention", "stream", "glue"])
def test_half_a_set_of_probes_is_none(lacking):
    table = probes(noise=0.0)
    mask = table["op"] == "matmul" if lacking == "matmul" else table["kind"] == lacking
    assert fit_compute(table[~mask]) == []
    few = table["probe"].isin(table[mask]["probe"].unique()[:3])
    assert fit_compute(table[~mask | few]) == []


def test_one_launch_alone_is_fitted_without_intervals():
    assert laws(probes(noise=0.0, launches=1))[1, "matmul", None].rates["gflops"].ci95 is None


def departing(table: pd.DataFrame, **factors: float) -> pd.DataFrame:
    """The planted probes with matmuls of models, attention, … slower by a factor."""
    of_models = table["op"] != "matmul"
    for kind, factor in factors.items():
        table.loc[of_models & (table["kind"] == kind), "us"] *= factor
    return table


def test_residuals_of_matmuls_of_models_are_kept_and_predicted_from_other_models():
    table = departing(probes(noise=0.0), matmul=1.3)
    law = laws(table)[1, "matmul", None]
    assert np.median([residuals.ratio for residuals in law.residuals]) == pytest.approx(1.3, rel=0.06)
    assert law.fit.held_out.median == pytest.approx(1 - 1 / 1.3, rel=0.15)  # one model only: nobody else says so
    twin = table[table["op"] != "matmul"].assign(probe=lambda its: "sharded " + its["probe"], sharded=True)
    law = laws(pd.concat([table, twin]))[1, "matmul", None]
    assert law.fit.held_out.median == pytest.approx(1 - 1 / 1.3, rel=0.15)  # its shards are no other model
    other = twin.assign(model="other", sharded=False)
    law = laws(pd.concat([table, other]))[1, "matmul", None]
    assert law.fit.held_out.median < 0.05 and law.fit.whole_steps.median < 0.05


def test_matmuls_of_models_that_stay_in_a_cache_say_nothing_of_streamed_ones():
    table = departing(probes(noise=0.0), matmul=0.5)
    table.loc[table["op"] != "matmul", "working_set_bytes"] = 2**25
    law = laws(table)[1, "matmul", None]
    assert law.residuals is None and law.fit.held_out.n == 0


@pytest.mark.parametrize(
    ("size", "less", "middle", "more"),
    [("matrices", 2.0, 4.0, 8.0), ("tokens", 1.0, 28.0, 768.0)],
    ids=["experts that rows are spread over", "tokens of the step"],
)
def test_glue_of_equal_bytes_has_residuals_by_matrices(size, less, middle, more):
    """They take half as long again to more experts, or after a longer step, as their line cannot say."""
    table = probes(noise=0.0)
    to = (table["kind"] == "glue") & (table["op"] == "ffn.down")
    changed = {size: more, "probe": lambda its: "other " + its["probe"], "us": lambda its: 1.5 * its["us"]}
    other = table[to].assign(**changed)
    table.loc[to, size] = less
    found = [ComputeLaw.model_validate(document) for document in fit_compute(pd.concat([table, other]))]
    way = next(law for law in found if (law.predecessors, law.op) == ("ffn.up", "ffn.down"))
    told = []
    for value in (less, middle, more):
        sizes = {"activation_bytes": 8e3 * 6, size: value}
        told.append(float(computelaws.line_us(way, sizes)) * float(size_residuals(way).ratio(**sizes)))
    us = 40 + 3e-4 * 8e3 * 6
    assert told[0] == pytest.approx(us, rel=0.05) and told[2] == pytest.approx(1.5 * us, rel=0.05)
    assert told[0] < told[1] < told[2]
    assert way.fit.held_out.median < 0.1 < way.fit.medape
    pooled = next(law for law in found if (law.kind, law.predecessors, law.op) == ("glue", None, "ffn.down"))
    assert pooled.residuals is None


def test_sharded_models_have_lines_of_their_own():
    cold = departing(probes(noise=0.0), attention=1.5, glue=2.0)
    cold = cold[cold["op"] != "matmul"].assign(sharded=True, probe=lambda its: "sharded " + its["probe"])
    found = [ComputeLaw.model_validate(document) for document in fit_compute(pd.concat([probes(noise=0.0), cold]))]
    by_kind = {(law.sharded, law.kind, law.op): law for law in found if law.predecessors is None}
    assert {op for sharded, op, _ in by_kind if sharded} == {"attention", "stream", "glue"}
    sizes = {"activation_bytes": 3e5, "kv_bytes": 5e6, "flop": 4e7}
    warm, chilled = (float(computelaws.line_us(by_kind[s, "attention", None], sizes)) for s in (False, True))
    assert chilled == pytest.approx(1.5 * warm, rel=0.02)
    assert by_kind[True, "glue", "ffn.down"].params["o"].value == pytest.approx(80.0, rel=0.01)


def test_sharded_models_alone_bear_no_target():
    assert fit_compute(probes(noise=0.0).assign(sharded=True)) == []
