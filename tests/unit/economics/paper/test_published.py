"""The printed numbers: our files have them all, as printed, and our functions give them."""

import json
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from pytest import approx

from inferometer.emulator.checked import checked
from inferometer.emulator.economics.paper.published import books
from inferometer.emulator.economics.paper.published.calls import CALLS
from inferometer.emulator.economics.paper.published.record import Call
from inferometer.emulator.economics.paper.published.reproduce import Comparison, compare, reproduce, summary
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.published import published_lines
from tests.places import DATA

PRINTED = DATA / "economics"


@pytest.fixture(scope="module")
def numbers():
    return [number for source in books.SOURCES for number in books.load_source(source)]


@pytest.fixture(scope="module")
def comparisons(numbers):
    return {c.published.id: c for c in compare(numbers)}


def test_ids_are_unique(numbers):
    ids = [number.id for number in numbers]
    assert len(ids) == len(set(ids))


def test_every_number_comes_out_but_where_the_source_is_at_fault(comparisons):
    assert [(c.published.id, c.ours) for c in comparisons.values() if c.status == "failed"] == []
    assert all(np.isfinite(c.ours) for c in comparisons.values())


def test_no_excuse_is_idle(comparisons):
    """What is called wrong or stale differs: each single number, or some number of each row of a stale table."""
    excused = [c for c in comparisons.values() if c.published.excuse in ("source_error", "stale")]
    assert all(c.published.reason for c in excused)
    rows = {}
    for c in excused:
        rows.setdefault(c.published.call.key, []).append(c.ok)
    assert len(rows) == 8 and not any(all(agree) for agree in rows.values())


def test_every_call_is_made_and_another_is_refused_by_file_and_key(numbers):
    assert {number.call.function for number in numbers} == set(CALLS)
    title = {"title": "x", "section": [{"where": "y", "number": [{"call": "closed_form.roofline.read_z"}]}]}
    with pytest.raises(InputError, match=r"x\.toml: section.0.number.0.*"):
        checked(books.Book, title, "x.toml")
    with pytest.raises(ValueError, match=r"did you mean closed_form\.roofline\.read_s"):
        books.known_call("closed_form.roofline.read_z")


def test_all_numbers_of_the_texts_are_here_as_they_are_printed(comparisons):
    records = json.loads((PRINTED / "printed_numbers.json").read_text())
    assert len(records) == 101
    agreeing = 0
    for record in records:
        c = comparisons[record["id"]]
        assert c.published.printed == record["expected_printed"]
        assert c.published.tolerance in (None, record["tolerance_rel"]), "no tolerance wider than the one agreed on"
        if record["reproduces"]:
            assert c.status == "reproduced"
            assert abs(c.rel_diff) <= record["tolerance_rel"]
            agreeing += 1
        else:
            assert (record["id"], c.status, c.ok) == ("any.mem_8gpu_as_printed", "source_error", False)
    assert agreeing == 100


def test_the_table_of_llm_analysis_to_every_digit(comparisons):
    rows = json.loads((PRINTED / "llm_analysis_table.json").read_text())
    assert len(rows) == 18
    for row in rows:
        name = f"llm_analysis.b{row['batch']}.p{row['prompt_tokens']}.n{row['completion_tokens']}"
        for column, text in row["printed"].items():
            c = comparisons[f"{name}.{column}"]
            decimals = len(text.partition(".")[2])
            assert f"{c.ours:.{decimals}f}" == text == f"{c.published.printed:.{decimals}f}"
            assert c.ours == approx(row["exact"][column], rel=1e-9)


def rounded(value, digits):
    """Half away from zero, as people do; the paper's tables are rounded from output of two decimals."""
    return Decimal(str(value)).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


@pytest.mark.parametrize("table", [2, 3, 4, 5, 6])
def test_the_tables_of_the_paper(comparisons, table):
    printed = json.loads((PRINTED / "paper_tables.json").read_text())[f"table{table}"]
    for name, *values in printed["rows"]:
        for column, value in zip(printed["columns"][1:], values):
            c = comparisons[f"epoch.table{table}.{name}.{column}"]
            assert c.published.printed == value
            digits = 2 if column == "usd_per_M" else 0
            assert c.status == ("stale" if table == 5 else "reproduced")
            assert table == 5 or rounded(rounded(c.ours, 2), digits) == rounded(value, digits)


def test_a_number_that_differs_is_a_failure_and_an_excused_one_is_not(comparisons):
    right = comparisons["bas.ops_byte"]
    wrong = Comparison(replace(right.published, printed=200.0), right.ours)
    assert (right.status, wrong.status) == ("reproduced", "failed")
    assert wrong.rel_diff == approx(right.ours / 200 - 1)
    excused = Comparison(replace(wrong.published, excuse="stale"), wrong.ours)
    assert (excused.status, excused.ok) == ("stale", False)
    assert summary([right, wrong, excused]) == {
        "numbers": 3,
        "reproduced": 1,
        "source_error": 0,
        "stale": 1,
        "measured": 0,
        "failed": 1,
    }


@pytest.mark.parametrize(("ours", "agrees"), [(4.5, True), (4.4999, False), (5.5, True), (5.5001, False)])
def test_printed_digits_leave_half_a_digit(comparisons, ours, agrees):
    number = replace(comparisons["bas.batch"].published, printed=5.0, tolerance=None, decimals=0)
    assert Comparison(number, ours).ok == agrees


def test_each_call_is_made_once(numbers, monkeypatch):
    made = []
    monkeypatch.setattr(Call, "__call__", lambda call: made.append(call.key))
    monkeypatch.setattr(
        "inferometer.emulator.economics.paper.published.record.Published.in_printed_unit", lambda n, _: n.printed
    )
    assert len(compare(numbers)) > len(made) == len(set(made)) > 100


def test_the_text_names_every_number_and_every_reason(comparisons):
    text = " ".join("\n".join(published_lines(list(comparisons.values()))).split())
    for c in comparisons.values():
        assert " ".join(c.published.what.split()) in text
        assert " ".join(c.published.reason.split()) in text.replace(" ! ", " ")


def test_a_frame_for_notebooks():
    frame = reproduce(["baseten"])
    assert set(frame["source"]) == {"baseten"} and frame["ok"].all()
    assert frame.set_index("id").loc["bas.kv_bytes", "ours"] == 524288
    with pytest.raises(InputError, match="source basten: known are anysphere"):
        reproduce(["basten"])


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (("tolerance = 0.001\n", "tolerence = 0.001\n"), "unknown key"),
        (("tolerance = 0.001\n", ""), "bas.ops_byte: needs a tolerance or decimals, not both"),
        (("printed = 208.3\n", 'printed = "many"\n'), "printed"),
    ],
)
def test_a_file_that_is_wrong_names_the_key(tmp_path, monkeypatch, edit, complaint):
    text = books.folder(books.KIND).joinpath("baseten.toml").read_text()
    (tmp_path / "baseten.toml").write_text(text.replace(*edit, 1))
    monkeypatch.setattr(books, "folder", lambda kind: tmp_path)
    with pytest.raises(InputError, match=r"baseten\.toml: section\.0\.number\.0.*" + complaint):
        books.load_source("baseten")


def test_rows_of_a_table_are_as_long_as_its_columns():
    column = {"name": "gpus", "what": "GPUs", "unit": "", "decimals": 0, "field": "gpus"}
    with pytest.raises(ValueError, match=r"t\.a: 2 numbers for 1 columns"):
        call = "closed_form.roofline.read_s"
        books.Table(id="t", where="", call=call, columns=[column], row=[{"name": "a", "printed": [1, 2]}])
