"""calibrate --plan as a user meets it: text or one JSON document, and nothing measured."""

from __future__ import annotations

import json

import pytest

from inferometer.launch.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_plan_is_text_and_leaves_no_file(folder, capsys):
    assert main(["calibrate", "-n", "4", "--plan", "--scheduler", "other"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Plan: gloo, 4 ranks on 1 node, 3 launches. Nothing is measured.")
    assert "Takes about" in out
    assert list(folder.iterdir()) == []


def test_the_plan_is_one_json_document(folder, capsys):
    assert main(["calibrate", "-n", "4", "--plan", "--scheduler", "other", "--budget", "60", "--json", "-"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["schema"] == "inferometer/plan/1"
    assert plan["whole_s"] <= plan["budget_s"] == 60 and plan["fitting"] <= plan["cells"]
    assert "B_intra" in plan["determined"]["all_reduce"]["known"]


def test_what_cannot_be_measured_is_refused_by_the_plan_too(capsys):
    assert main(["calibrate", "-n", "1", "--plan"]) == 2
    assert "a collective needs at least 2 ranks" in capsys.readouterr().err
