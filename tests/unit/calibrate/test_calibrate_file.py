"""The calibration file: a round trip, the same bytes twice, the schema, and files that are not calibrations."""

import json

import jsonschema
import numpy as np
import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.file import (
    SCHEMA_FILE,
    content_id,
    load_calibration,
    to_json,
    write_calibration,
    write_schema,
)
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.errors import InputError
from tests.studies.synthetic import synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}
CREATED = "2026-01-01T00:00:00Z"


def test_round_trip(calibration, tmp_path):
    path = tmp_path / "cal.json"
    write_calibration(calibration, path)
    assert load_calibration(path) == calibration
    assert [p.name for p in tmp_path.iterdir()] == ["cal.json"]
    document = json.loads(path.read_text())
    assert document["schema"] == "inferometer/calibration/2"
    assert document["id"] == content_id(document) and len(document["id"]) == 64


def test_the_same_cells_and_seed_give_the_same_bytes(cells, calibration, make):
    assert to_json(make(cells)) == to_json(calibration)
    resampled = cells[(cells["launch"] < 2) & cells["collective"].isin(["all_to_all", "barrier"])]
    assert to_json(make(resampled)) == to_json(make(resampled))


def test_the_file_obeys_the_schema_it_ships_with(calibration, tmp_path):
    schema = json.loads(SCHEMA_FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(to_json(calibration))
    assert list(validator.iter_errors(document)) == []
    document["network_laws"][0]["surprise"] = 1
    assert any("surprise" in error.message for error in validator.iter_errors(document))
    write_schema(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == SCHEMA_FILE.read_text(), "run write_schema() and commit the file"


def test_unknown_is_null_with_a_reason(calibration):
    model = calibration.law("all_reduce", timing="isolated")
    c = model.params["c"]
    assert (c.value, c.ci95, c.status) == (None, None, "not_identified") and "one node" in c.reason
    a = model.params["a"]
    assert a.status == "fitted" and a.ci95[0] < 120 < a.ci95[1] and a.unit == "us"
    assert model.cov.order == ["a", "b", "1/B_intra"] and model.cov.dof == 2
    assert model.fit.cv.leave_node_out.median is None
    assert model.fit.cv.leave_node_out.reason == "one node count only"
    assert model.fit.cv.sizes.median < 0.3 and model.fit.cv.leave_launch_out.n == model.fit.n_points
    assert "NaN" not in to_json(calibration) and "Infinity" not in to_json(calibration)


def test_the_projection_names_what_it_cannot_say(calibration):
    projection = calibration.law("all_reduce", timing="isolated").paper_projection
    assert projection.t_reduce_us.base == pytest.approx(120, rel=0.3)
    assert projection.t_reduce_us.per_log2_node is None
    assert "one node" in projection.reasons["per_log2_node"]
    assert projection.ci95["base"][0] < projection.t_reduce_us.base < projection.ci95["base"][1]
    assert projection.max_rel_dev_vs_full_model == 0
    assert calibration.law("barrier").paper_projection.reasons["intra_bw_GBs"] == "this collective has no such term"


def test_null_rows_are_the_floor_and_have_no_law(calibration, cells):
    assert "null" not in {m.target.collective for m in calibration.network_laws}
    floors = {f.ranks: f for f in calibration.launch_floor}
    assert sorted(floors) == [2, 4]
    of_two = cells[(cells["collective"] == "null") & (cells["ranks"] == 2)]
    assert floors[2].us == pytest.approx(of_two["us"].median(), rel=1e-8)


def test_fewer_than_three_launches_give_only_the_within_launch_interval(cells, make):
    model = make(cells[cells["launch"] < 2]).law("all_reduce", timing="isolated")
    a = model.params["a"]
    assert a.ci95 is None and a.ci95_reason == "needs 3 launches, has 2"
    assert a.within_launch_ci95[0] < a.value < a.within_launch_ci95[1]
    assert model.cov is None


def test_rows_that_cannot_be_used_are_counted(cells, make):
    spoiled = cells[(cells["collective"] == "all_to_all") | (cells["collective"] == "barrier")].copy()
    where = spoiled.index[spoiled["collective"] == "all_to_all"]
    spoiled.loc[where[0], "wrong"] = 3
    spoiled.loc[where[1], "us"] = np.nan
    spoiled.at[where[2], "flags"] = ["degenerate_size"]
    spoiled.loc[spoiled["collective"] == "barrier", "us"] = 0.0
    made = make(spoiled)
    assert made.law("all_to_all").fit.n_excluded == {"wrong data": 1, "no time": 1, "degenerate size": 1}
    assert made.law("all_to_all").fit.n_points == len(where) - 3
    assert made.not_fitted[0].target.collective == "barrier"
    assert made.not_fitted[0].n_excluded == {"no time": 6}
    assert made.quality.verdict == "unsuitable_for_calibration"
    assert "wrong results from all_to_all" in made.quality.reasons


def test_imported_cells_without_iterations(cells, make):
    imported = cells[cells["collective"] == "all_to_all"].assign(iterations_us=None, wrong=None, launch=0)
    imported = imported.drop_duplicates(["bytes", "ranks"])
    made = make(imported, kind="imported")
    a = made.law("all_to_all").params["a"]
    assert a.ci95_over == "cells" and a.ci95[0] < a.value < a.ci95[1] and a.within_launch_ci95 is None
    assert made.cells[0].us.p95 is None and made.cells[0].n_eff is None and made.cells[0].between_launch_rsd is None
    assert any("not checked" in reason for reason in made.quality.reasons)


def test_cells_say_what_was_measured(calibration, cells):
    cell = next(c for c in calibration.cells if c.target.collective == "all_to_all" and c.ranks == 4)
    rows = cells[(cells["collective"] == "all_to_all") & (cells["ranks"] == 4) & (cells["bytes"] == cell.bytes)]
    assert cell.launch_medians == pytest.approx(rows["us"].tolist(), rel=1e-8)
    assert cell.us.median == pytest.approx(rows["us"].median(), rel=1e-8)
    assert cell.us.p95 == pytest.approx(np.percentile(np.concatenate(list(rows["iterations_us"])), 95), rel=1e-8)
    assert cell.n == 120 and 0 < cell.n_eff <= 120
    assert cell.us.ci[0] < cell.us.median < cell.us.ci[1]


def test_missing_columns_are_named(cells, make):
    with pytest.raises(InputError, match="missing columns us, flags"):
        calibrate(cells.drop(columns=["us", "flags"]), seed=0, provenance={"kind": "measured"}, method={}, created=CREATED)
    with pytest.raises(InputError, match=r"provenance\.kind"):
        make(cells.head(3), kind="guessed")


def test_not_identified_everywhere_with_two_ranks_of_one_size(make):
    one = synthetic_cells("all_reduce", affine("all_reduce"), TRUTH, [(2, 1)], seed=1, sizes=[65536])
    model = make(one).law("all_reduce")
    assert {p.status for p in model.params.values()} == {"not_identified"}
    only = model.identifiable_combinations[0]
    assert only.expr == "t at 65536 bytes" and only.unit == "us"
    assert only.ci95[0] < 120 + 35 + 65536 / 2500 < only.ci95[1]


@pytest.fixture
def document(calibration):
    return json.loads(to_json(calibration))


def put(document, path, value):
    *parents, last = path
    for key in parents:
        document = document[key]
    document[last] = value


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ["schema"],
            "inferometer/calibration/1",
            "found 'inferometer/calibration/1', expected 'inferometer/calibration/2'",
        ),
        (["schema"], None, "found None"),
        (["surprise"], 1, "surprise: unknown key"),
        (
            ["network_laws", 0, "params", "a", "value"],
            "6.8",
            r"network_laws\.0\.params\.a\.value = '6.8': input should be a valid number",
        ),
        (["network_laws", 0, "params", "a", "status"], "guessed", r"network_laws\.0\.params\.a\.status"),
        (["cells", 0, "bytes"], 1.5, r"cells\.0\.bytes"),
        (["quality", "verdict"], "fine", r"quality\.verdict"),
        (["network_laws", 0, "params"], {}, r"network_laws\.0: params: '\w+' is missing, which the law '\w+' has"),
        (["network_laws", 0, "cov", "dof"], 0, r"network_laws\.0\.cov\.dof = 0: input should be greater than or equal to 1"),
        (["network_laws", 0, "cov", "scale"], [], r"network_laws\.0\.cov: order, scale and matrix must be"),
        (["network_laws", 0, "domain", "ranks"], [], r"network_laws\.0\.domain\.ranks"),
    ],
)
def test_bad_content_is_refused_by_name(document, tmp_path, path, value, message):
    put(document, path, value)
    file = tmp_path / "bad.json"
    file.write_text(json.dumps(document))
    with pytest.raises(InputError, match=rf"bad\.json: .*{message}") as caught:
        load_calibration(file)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(document, tmp_path):
    del document["network_laws"][0]["domain"]["ranks"]
    (tmp_path / "bad.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"network_laws\.0\.domain\.ranks: missing"):
        load_calibration(tmp_path / "bad.json")


@pytest.mark.parametrize("text", ["", "{", '{"schema": NaN}', "[1]", "\x00", "[" * 200_000])
def test_not_json_or_not_a_calibration(tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=r"bad\.json: (not JSON|schema)"):
        load_calibration(tmp_path / "bad.json")


def test_unreadable_and_unwritable_paths(calibration, tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        load_calibration(tmp_path / "none.json")
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match="cannot be read"):
        load_calibration(tmp_path / "latin.json")
    with pytest.raises(InputError, match="cannot be written"):
        write_calibration(calibration, tmp_path / "no" / "where.json")


def test_table_has_a_row_per_parameter(calibration):
    table = calibration.table()
    assert isinstance(table, pd.DataFrame)
    assert len(table) == sum(len(m.params) for m in calibration.network_laws)
    row = table[(table["collective"] == "all_to_all") & (table["param"] == "b")].iloc[0]
    assert row["low"] < row["value"] < row["high"] and row["unit"] == "us"
