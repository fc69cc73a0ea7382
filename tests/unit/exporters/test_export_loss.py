"""The statement of what is lost is the target's own formula against the law."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.exporters.loss import lines_of
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.targets import TARGETS, export_query
from tests.unit.exporters.known_calibrations import SIZES, TRUTH, cells_of, made_from


def statement(target, query):
    return export_query(target, query, ".txt").statement


def entry(found, ranks, nodes=1, collective="all_reduce"):
    (one,) = [e for e in found["agreement"] if (e["collective"], e["ranks"], e["nodes"]) == (collective, ranks, nodes)]
    return one


@pytest.mark.parametrize("target", [name for name in TARGETS if name != "nccl-tuner"])
def test_every_layout_of_the_domain_is_accounted_for(target, cluster):
    found = statement(target, Query(cluster))
    layouts = {(2, 1), (4, 1), (8, 1), (2, 2), (4, 2), (8, 2), (16, 2), (4, 4), (8, 4), (16, 4), (32, 4)}
    assert {(e["ranks"], e["nodes"]) for e in found["agreement"]} == layouts
    assert all((e["worst"] is None) == (e["share_within"] == 0 and e["silent"] is not None) for e in found["agreement"])


def test_the_paper_agrees_everywhere_with_a_law_that_is_the_papers(cluster):
    found = statement("paper", Query(cluster))
    assert all(e["within_5_percent"] == [[512, 2**25]] for e in found["agreement"])
    assert max(abs(e["worst"]["error"]) for e in found["agreement"]) < 1e-6


def test_the_papers_form_is_found_wanting_for_another_law_and_the_error_is_right():
    """A law whose bandwidth falls with the ranks: the projection has one bandwidth, so it must be off somewhere."""
    frames = []
    for ranks, bandwidth in ((2, 19.0), (4, 6.0), (8, 1.5)):
        frames.append(cells_of("all_reduce", [(ranks, 1)], TRUTH | {"B_intra": bandwidth}))
    calibration = made_from(frames, law="affine_bandwidth_per_ranks")
    found = statement("paper", Query(calibration))
    projection = calibration.network_laws[0].paper_projection
    worst = entry(found, 8)["worst"]
    n = worst["bytes"]
    mine = projection.t_reduce_us.base + 7 * projection.t_reduce_us.per_local_rank + 1.75e-3 * n / projection.intra_bw_GBs
    full = calibration.time_s("all_reduce", n, 8) * 1e6
    assert worst["error"] == pytest.approx(mine / full - 1, rel=1e-6)
    assert abs(worst["error"]) > 0.05
    assert any("B_intra@8" in text for text in found["dropped"])


def test_llm_analysis_is_worst_where_latency_and_transfer_are_alike(node):
    """max(L, W) against L + W: at L = W it is off by a half, and one latency for all ranks misses two ranks by 15.2/8."""
    found = statement("llm-analysis", Query(node))
    assert entry(found, 8)["worst"]["error"] == pytest.approx(-0.5, abs=0.05)
    assert entry(found, 2)["worst"]["error"] == pytest.approx(15.2 / 8.0 - 1, abs=0.01)
    within = entry(found, 8)["within_5_percent"]
    assert within[0][0] == 512 and within[-1][1] == 2**25, "it agrees at both ends"


def test_astra_sim_agrees_at_its_layout_and_is_silent_elsewhere(cluster):
    found = statement("astra-sim", Query(cluster, ranks=[(32, 4)]))
    assert abs(entry(found, 32, 4)["worst"]["error"]) < 0.005
    assert entry(found, 8)["worst"] is None and "--ranks" in entry(found, 8)["silent"]


def test_a_coarse_table_is_reported_as_coarse(node):
    fine = entry(statement("vidur", Query(node)), 8)["worst"]["error"]
    coarse = entry(statement("vidur", Query(node, factor=4)), 8)
    assert abs(fine) < 0.05
    assert abs(coarse["worst"]["error"]) > 0.3 and coarse["share_within"] < 0.9


def test_a_table_of_few_sizes_says_what_the_tool_makes_of_the_others(node):
    """AIConfigurator lets the time fall with the bytes below its table: at 512 bytes of a table from 8 KiB, by 16."""
    found = entry(statement("aiconfigurator", Query(node, first=8192)), 8)
    table_us = 15.2 + 1.75 * 8192 / 225e3
    full_us = 15.2 + 1.75 * 512 / 225e3
    assert found["worst"] == {"error": pytest.approx(table_us / 16 / full_us - 1, rel=1e-6), "bytes": 512}


def test_the_tuners_choice_costs_nothing_but_near_where_the_laws_meet(swept):
    found = statement("nccl-tuner", Query(swept))
    assert all(0 <= e["worst"]["error"] < 0.05 and e["share_within"] == 1 for e in found["agreement"])


def test_undetermined_times_are_no_times(merged):
    found = statement("paper", Query(merged))
    assert all(e["worst"] is None for e in found["agreement"])
    assert all("not determined" in e["silent"] for e in found["agreement"])


def test_a_slope_that_is_null_counts_only_where_it_is_multiplied_by_nothing(cluster):
    (model,) = cluster.network_laws
    projection = model.paper_projection
    latency = projection.t_reduce_us.model_copy(update={"per_log2_node": None})
    without = model.model_copy(update={"paper_projection": projection.model_copy(update={"t_reduce_us": latency})})
    found = statement("paper", Query(cluster.model_copy(update={"network_laws": [without]})))
    assert {e["nodes"] for e in found["agreement"] if e["worst"] is not None} == {1}


def test_ranks_the_law_says_nothing_of_are_left_out_and_named():
    frames = [cells_of("all_reduce", [(r, 1)], TRUTH | {"B_intra": b}) for r, b in ((2, 19.0), (4, 6.0), (8, 1.5))]
    calibration = made_from(frames, law="affine_bandwidth_per_ranks")
    exported = export_query("vidur", Query(calibration, ranks=[(4, None), (6, None)]))
    assert {row.split(",")[7] for row in exported.content.decode().splitlines()[1:]} == {"4"}
    assert any("6 ranks/1 node" in text and "not determined" in text for text in exported.statement["dropped"])


def test_no_row_without_a_time(node, monkeypatch):
    from inferometer.emulator.exporters import table

    def above_a_megabyte(model, n, r, N):
        return np.where(np.asarray(n) > 2**20, 10.0, np.nan)

    monkeypatch.setattr(table, "law_us", above_a_megabyte)
    exported = export_query("vidur", Query(node))
    rows = [row.split(",") for row in exported.content.decode().splitlines()[1:]]
    assert {row[4] for row in rows} == {"0.01"} and min(int(row[8]) for row in rows) > 2**20
    assert any("times are not determined" in text for text in exported.statement["dropped"])


def test_the_statement_as_text_names_law_losses_and_layouts(cluster):
    lines = lines_of(statement("astra-sim", Query(cluster)))
    body = "\n".join(lines)
    assert "t = a + b*(r/N-1) + c*log2(N)" in body and "dropped: other layouts than 8 ranks/1 node" in body
    assert "all_reduce 8 ranks/1 node: within 5 % at 512 to 32M" in body
    assert "no time: npus_count is fixed" in body


def test_full_law_is_what_the_calibration_says(node):
    """The measure the targets are held against is Calibration.time_s itself."""
    from inferometer.emulator.exporters.query import law_us

    n = np.array(SIZES, dtype=float)
    model = node.law("all_to_all")
    assert law_us(model, n, 4, 1) == pytest.approx(node.time_s("all_to_all", n, 4) * 1e6)
    law = affine("all_to_all")
    assert law_us(model, n, 4, 1) == pytest.approx(law.time_us(law.theta(TRUTH), n, 4, 1), rel=1e-6)
