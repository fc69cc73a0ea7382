"""`inferometer reproduce`: exit status, JSON, text."""

import json
from dataclasses import replace

import pytest

from inferometer.emulator.economics.paper.published import reproduce
from inferometer.launch.cli import main


def test_json_has_a_row_per_number_and_a_summary(capsys):
    assert main(["reproduce", "--only", "anysphere", "baseten", "--json", "-"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {row["id"]: row for row in document["rows"]}
    assert document["summary"]["numbers"] == len(rows) == len(document["rows"])
    assert document["summary"]["failed"] == 0
    keys = "id source title where what function settings printed ours unit rel_diff tolerance ok status reason"
    assert all(list(row) == keys.split() for row in rows.values())
    wrong = rows["any.mem_8gpu_as_printed"]
    assert (wrong["status"], wrong["ok"], wrong["printed"], wrong["ours"]) == ("source_error", False, 1.28, 0.64)
    assert "0.64 TB" in wrong["reason"]
    assert rows["bas.T4.prefill_ms"]["settings"] == {"prompt": 350, "params": 7e9, "flop_per_s": 65e12}


def test_text_and_a_file(capsys, tmp_path):
    assert main(["reproduce", "--only", "anysphere", "--json", str(tmp_path / "rows.json")]) == 0
    text = capsys.readouterr().out
    assert "Inference Characteristics of Llama-2 (Anysphere)" in text
    (line,) = [line for line in text.splitlines() if "memory of 8 GPUs" in line]
    assert line.split()[0] == "wrong" and "-50.00%" in line and "devices 8" in line
    assert json.loads((tmp_path / "rows.json").read_text())["summary"]["source_error"] == 3
    assert text.splitlines()[-1].endswith("29 reproduced, 3 source_error, 0 stale, 56 measured, 0 failed")


@pytest.mark.parametrize(("id", "status"), [("any.weights_bytes", 1), ("any.mem_8gpu_as_printed", 0)])
def test_only_a_difference_without_excuse_fails(id, status, capsys, monkeypatch):
    load = reproduce.load_source

    def doctored(source):
        return [replace(n, printed=2 * n.printed) if n.id == id else n for n in load(source)]

    monkeypatch.setattr(reproduce, "load_source", doctored)
    assert main(["reproduce", "--only", "anysphere"]) == status
    assert any(line.split()[:1] == ["FAIL"] for line in capsys.readouterr().out.splitlines()) == bool(status)


def test_a_source_that_is_none(capsys):
    assert main(["reproduce", "--only", "wikipedia"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("inferometer: source wikipedia: known are anysphere, ")
