"""Names as people type them."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.calibrate.evaluate.file import calibration_names, load_calibration
from inferometer.emulator.economics.pricing.accelerators import accelerator_names, load_accelerator
from inferometer.emulator.names import named, spelling
from inferometer.emulator.report.catalogues import CATALOGUES
from inferometer.emulator.workload.catalogue import load_shape, model_names
from inferometer.launch.cli import main
from inferometer.parallel.collectives import COLLECTIVES

KNOWN = [model_names(), accelerator_names(), calibration_names(), list(COLLECTIVES)]


@pytest.mark.parametrize("known", KNOWN)
def test_no_two_built_in_names_have_one_spelling(known):
    assert len({spelling(name) for name in known}) == len(known)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("meta-llama/Meta-Llama-3-8B", "llama-3-8b"),
        ("meta-llama/Llama-2-7b-chat-hf", "llama-2-7b"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen2.5-72b"),
        ("google/gemma-3-27b-it", "gemma-3-27b"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
        ("LLAMA_3_8B", "llama-3-8b"),
        ("llama3-8b", "llama-3-8b"),
    ],
)
def test_models_go_by_the_names_of_the_hub(typed, name):
    assert load_shape(typed) == load_shape(name)


@pytest.mark.parametrize("typed", ["H100-SXM", "h100_sxm", "h100 sxm", "h100sxm"])
def test_accelerators_go_by_any_spelling(typed):
    assert load_accelerator(typed) == load_accelerator("h100-sxm")


def test_calibrations_go_by_any_spelling():
    assert load_calibration("B200_NCCL").id == load_calibration("b200-nccl").id


def test_a_quantised_or_unknown_model_is_another():
    assert named("llama-3-8b-AWQ", model_names()) is None
    assert named("llama", model_names()) is None


def test_a_file_goes_before_a_spelling(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Llama-3-8B").write_text(json.dumps({"model_type": "nothing"}))
    assert main(["predict", "Llama-3-8B", "--accelerator", "h100-sxm"]) == 2


@pytest.mark.parametrize(("typed", "hint"), [("allreduse", "mean all_reduce?"), ("sendrecv", "mean send_recv?")])
def test_a_collective_that_is_none_is_hinted_at(capsys, typed, hint):
    assert main(["measure", "--collectives", typed]) == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize("what", CATALOGUES)
def test_what_is_listed_is_what_commands_take(capsys, what):
    assert main(["list", what, "--json", "-"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["name"] for row in rows] == KNOWN[list(CATALOGUES).index(what)]
    assert main(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(rows) + 1 and max(map(len, lines)) <= 120


def test_nccl_tests_operation_is_not_taken_for_a_file(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["measure", "-o", "sum"]) == 2
    assert "-o sum: -o names the file to write here" in capsys.readouterr().err
