"""`inferometer paper` as a user calls it, and `--convention epoch-2025` of `predict` and `frontier`, which stands for it."""

from __future__ import annotations

import json

import pytest

from inferometer import paper_frontier, paper_predict
from inferometer.launch.cli import main, spelt_out

LLAMA = ["llama-3-70b", "--accelerator", "h100-sxm"]
TABLE_4 = [*LLAMA, "--weight-bits", "8", "--gpus", "24.31", "--batch", "1.03"]


def answer(capsys, *arguments):
    assert main([*arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_devices_and_batches_are_real_numbers(capsys):
    p = answer(capsys, "paper", "predict", *TABLE_4)
    assert f"{p['tokens_per_s']:.0f}" == "152"  # Erdil 2025, Table 4
    drafted = answer(capsys, "paper", "predict", *TABLE_4, "--speculator", "llama-3-8b", "--acceptance", "0.8")
    assert drafted["gamma"] > 1
    assert drafted["token_latency_s"] < p["token_latency_s"]


def test_the_convention_flag_of_predict_is_the_paper_command(capsys):
    assert answer(capsys, "predict", *TABLE_4, "--convention", "epoch-2025") == answer(capsys, "paper", "predict", *TABLE_4)
    plain = answer(capsys, "predict", *LLAMA, "--tp", "8")
    assert plain["convention"] == "deployable"
    assert answer(capsys, "predict", *LLAMA, "--tp", "8", "--convention=deployable") == plain


def test_other_arguments_keep_their_order():
    arguments = ["a", "b:8", "--json", "-", "--key", "x=y", "--", "c"]
    assert spelt_out(["frontier", *arguments]) == ["frontier", *arguments]
    assert spelt_out(["frontier", "a", "--convention", "epoch-2025", "-J", "-"]) == ["paper", "frontier", "a", "-J", "-"]
    assert spelt_out(["measure", "--convention", "epoch-2025"]) == ["measure", "--convention", "epoch-2025"]


def test_the_python_calls_give_what_the_commands_give(capsys):
    row = paper_predict("llama-3-70b", "h100-sxm", gpus=24.31, batch=1.03, weight_bits=8).iloc[0]
    assert row["token_latency_s"] == answer(capsys, "paper", "predict", *TABLE_4)["token_latency_s"]
    table = paper_frontier("llama-3-8b:8", "h100-sxm", alpha=2)
    rows = answer(capsys, "paper", "frontier", "llama-3-8b:8", "--accelerator", "h100-sxm", "--alpha", "2")["rows"]
    assert list(table["token_latency_s"]) == [row["token_latency_s"] for row in rows]
    assert "preferred" in set(", ".join(table["point"]).split(", "))


EPOCH = ["--convention", "epoch-2025"]
REFUSED = {
    "no answer": (["paper"], "ANSWER"),
    "no GPUs": (["paper", "predict", *LLAMA], "--gpus"),
    "a layout": (["predict", *LLAMA, *EPOCH, "--gpus", "8", "--tp", "8"], "unrecognized arguments: --tp 8"),
    "routing": (["predict", *LLAMA, *EPOCH, "--gpus", "8", "--routing", "random"], "--routing"),
    "too few GPUs": (["predict", *LLAMA, *EPOCH, "--gpus", "1"], "GB more than"),
    "another convention": (["predict", *LLAMA, "--convention", "epoch-2026"], "epoch-2026"),
    "a size of the grid": (["frontier", *LLAMA, *EPOCH, "--gpus-max", "4"], "--gpus-max"),
    "a service target": (["frontier", *LLAMA, *EPOCH, "--tpot-max", "1"], "--tpot-max"),
    "an unknown model": (["paper", "predict", "llama-3-71b", *LLAMA[1:], "--gpus", "8"], "did you mean llama-3-70b?"),
}  # fmt: skip


@pytest.mark.parametrize("arguments, words", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error
