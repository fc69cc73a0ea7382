"""Two calibrations of known laws side by side."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.file import write_calibration
from inferometer.emulator.compare.collectives import compared
from inferometer.emulator.compare.comparison import compare
from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.comparison import comparison_lines, markdown_lines
from inferometer.launch.cli import main
from tests.unit.exporters.known_calibrations import ONE_NODE, TRUTH, cells_of, made_from

SLOW = TRUTH | {"a": 13.6, "b": 2.4, "B_intra": 112.5}
"""Every all_reduce takes twice as long."""


@pytest.fixture(scope="module")
def fast():
    return made_from([cells_of("all_reduce", ONE_NODE), cells_of("all_to_all", ONE_NODE)])


@pytest.fixture(scope="module")
def slow():
    return made_from([cells_of("all_reduce", ONE_NODE, SLOW), cells_of("all_to_all", ONE_NODE)])


def test_a_planted_factor_is_found_at_every_size_and_overall(fast, slow):
    found = compared(fast, slow)
    reduces = [change for change in found.changes if change.collective == "all_reduce"]
    assert {(change.ranks, change.bytes is None) for change in reduces} == {(r, w) for r in (2, 4, 8) for w in (True, False)}
    assert [change.ratio for change in reduces] == pytest.approx([2.0] * len(reduces), rel=1e-6)
    assert all(change.significant and change.source == "cells" for change in reduces)
    others = [change for change in found.changes if change.collective == "all_to_all"]
    assert others and not any(change.significant for change in others)
    assert {change.collective for change in found.beyond(0.5)} == {"all_reduce"}
    assert not found.beyond(1.01) and not compared(slow, fast).beyond(0.0)


def test_laws_answer_where_the_cells_are_not_the_same(fast, slow):
    bare = slow.model_copy(update={"cells": []})
    found = [change for change in compared(fast, bare).changes if change.collective == "all_reduce"]
    assert found and {change.source for change in found} == {"laws"}
    assert [change.ratio for change in found] == pytest.approx([2.0] * len(found), rel=0.01)


def test_what_only_one_knows_is_said(fast):
    one = made_from([cells_of("all_reduce", ONE_NODE)])
    found = compared(fast, one)
    assert found.only_old == ["all_to_all, stream, isolated, float16, 1"] and not found.only_new


def test_the_command_gates_and_writes(tmp_path, capsys, fast, slow):
    paths = [tmp_path / "fast.json", tmp_path / "slow.json"]
    for calibration, path in zip((fast, slow), paths):
        write_calibration(calibration, path)
    report = tmp_path / "report.md"
    assert main(["compare", *map(str, paths), "--fail-above", "5%", "--markdown", str(report), "--json", "-"]) == 1
    out, err = capsys.readouterr()
    assert "all_reduce" in err and "2.00 times" in err and err.count("\n") == 1
    document = json.loads(out)
    assert {change["collective"] for change in document["new"][0]["changes"]} == {"all_reduce", "all_to_all"}
    assert report.read_text().startswith("### fast.json → slow.json")
    assert main(["compare", *map(str, paths[::-1]), "--fail-above", "5%"]) == 0


def test_text_fits_and_markdown_is_a_table(fast, slow):
    found = compare(fast, slow)
    lines = list(comparison_lines(found))
    assert max(map(len, lines)) <= 100 and any("slower" in line for line in lines)
    table = [line for line in markdown_lines(found, every=True) if line.startswith("|")]
    assert len({line.count("|") for line in table}) == 1 and len(table) == 2 + len(found.compared[0].changes)
    assert len(found.frame) == len(found.compared[0].changes)


def test_a_slower_network_changes_the_deployment(fast, slow):
    question = Question("llama-3-8b", "h100-sxm", Target(tpot_max_s=0.02), gpus_max=8)
    found = compare(fast, slow, question=question)
    one, other = found.deployments
    assert one.best["gpu_s_per_token"] <= other.best["gpu_s_per_token"]
    for each in found.deployments:
        assert each.likely and sum(row["p_best"] for row in each.likely) == pytest.approx(1, abs=0.05)
        (same,) = each.others
        assert same is not None and each.best["token_latency_s"] <= 0.02
    assert np.isclose(other.others[0]["batch"], one.best["batch"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["h100-nccl", "nowhere.json"], "nowhere.json"),
        (["h100-nccl", "polaris-tcp"], "no collective of the same"),
        (["h100-nccl", "b200-nccl", "--tpot-max", "1"], "--tpot-max is about a --model"),
        (["h100-nccl", "b200-nccl", "--model", "llama-3-8b"], "say on which --accelerator"),
        (["h100-nccl", "b200-nccl", "--fail-above", "x%"], "not a number"),
    ],
)
def test_bad_input_is_one_line(capsys, arguments, words):
    assert main(["compare", *arguments]) == 2
    err = capsys.readouterr().err
    assert words in err and err.count("\n") == 1


def test_one_calibration_is_not_a_comparison(fast):
    with pytest.raises(InputError, match="two calibrations"):
        compare(fast)
