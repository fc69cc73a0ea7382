"""`predict` and `frontier` as a user calls them: what they print, what they refuse."""

from __future__ import annotations

import json

import pytest

from inferometer import frontier, predict
from inferometer.launch.cli import main

LLAMA = ["llama-3-70b", "--accelerator", "h100-sxm"]

COUNTED = ("kernel_s", "network_latency_s", "network_bandwidth_s", "roof_s")
ALONE = ("memory_s", "arithmetic_s")


def answer(capsys, *arguments):
    assert main(["predict", *arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_alone_goes_to_stdout_and_adds_up(capsys):
    p = answer(capsys, *LLAMA, "--tp", "8", "--batch", "16", "--weight-bits", "8")
    terms = p["terms"]
    assert set(terms) == {*COUNTED, *ALONE}
    assert p["token_latency_s"] == pytest.approx(sum(terms[name] for name in COUNTED) + p["pipeline_s"], rel=1e-12)
    assert max(terms[name] for name in ALONE) <= terms["roof_s"] <= sum(terms[name] for name in ALONE)
    assert p["layout"] == {"tp": 8, "ep": 1, "pp": 1, "dp": 1, "attention": "tensor", "tensor": "1d"}
    assert p["usd_per_mtok"] == pytest.approx(8 * 2.10 / 3600 * p["token_latency_s"] / 16 * 1e6)
    assert p["interval_s"] is None and p["ttft_s"] is None


def test_without_a_layout_the_fastest_on_one_node_or_the_fewest_nodes(capsys):
    assert answer(capsys, *LLAMA, "--batch", "8")["layout"]["tp"] == 8
    assert answer(capsys, "llama-3.1-405b", "--accelerator", "h100-sxm")["gpus"] == 16
    eight = answer(capsys, *LLAMA, "--gpus", "8")
    slower = answer(capsys, *LLAMA, "--tp", "2", "--pp", "4")
    assert eight["token_latency_s"] <= slower["token_latency_s"]


def test_text_names_the_terms_and_what_binds(capsys):
    assert main(["predict", *LLAMA, "--tp", "8", "--prompt", "1000", "--output", "500", "--batch", "4"]) == 0
    text = capsys.readouterr().out
    for words in ("time per token", "network latency", "<- binds", "time to first token", "per million tokens", "KV cache"):
        assert words in text


REFUSED = {
    "a layout that does not divide": ([*LLAMA, "--tp", "3"], "query heads = 64 does not divide by tp = 3"),
    "a model that does not fit": ([*LLAMA, "--tp", "1"], "GB more than 80 GB less 10% reserve"),
    "a context beyond the model": ([*LLAMA, "--context", "9000"], "9000 + 1 new tokens = 9001 is beyond the model's 8192"),
    "degrees that contradict --gpus": ([*LLAMA, "--tp", "4", "--gpus", "8"], "= 4 but --gpus 8"),
    "half a GPU": ([*LLAMA, "--gpus", "2.5"], "--gpus: 2.5 must be a whole number, at least 1"),
    "a price of nothing": ([*LLAMA, "--usd-per-hour", "0"], "--usd-per-hour: 0 must be above 0"),
    "three bits": ([*LLAMA, "--weight-bits", "3"], "weight_bits = 3"),
    "an unknown model": (["llama-3-71b", "--accelerator", "h100-sxm"], "llama-3-71b"),
    "an unknown accelerator": (["llama-3-70b", "--accelerator", "h101"], "h101"),
    "a prompt without an output": ([*LLAMA, "--prompt", "10"], "prompt and output belong together"),
    "a missing calibration": ([*LLAMA, "--calibration", "none.json"], "none.json"),
    "a key without a calibration": ([*LLAMA, "--key", "backend=gloo"], "give one"),
    "a wrong key": ([*LLAMA, "--calibration", "none.json", "--key", "backend"], "--key backend: write K=V"),
    "too much of anything": ([*LLAMA, "--batch", "1e300"], "--batch: 1e300 must be a number from 0 to 1e+12"),
    "more GPUs than divide the model": ([*LLAMA, "--gpus", "1000000000"], "no layout of 1000000000 GPUs divides it"),
    "an answer beyond the model": (
        [*LLAMA, "--prompt", "8000", "--output", "300"],
        "prompt 8000 + output 300 = 8300 is beyond",
    ),
    "bits that are none": ([*LLAMA, "--kv-bits", "0"], "kv_bits = 0"),
    "an acceptance of nothing": ([*LLAMA, "--acceptance", "0.5"], "only tokens of a --speculator are accepted"),
    "a key that is no choice": (
        [*LLAMA, "--calibration", "b200-nccl", "--key", "collective=all_reduce"],
        "--key collective",
    ),
    "the paper's model": (["llama-3-70b@epoch-2025", "--accelerator", "h100-sxm"], "--convention epoch-2025 only"),
    "no batch": ([*LLAMA, "--batch", "0"], "--batch: 0 must be a whole number, at least 1"),
}


@pytest.mark.parametrize("arguments, words", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(arguments, words, capsys):
    assert main(["predict", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error


def test_frontier_writes_table_and_figure(tmp_path, capsys):
    figure, table = tmp_path / "f.png", tmp_path / "f.csv"
    models = ["llama-3-8b", "llama-3-8b:8"]
    assert (
        main(
            [
                "frontier",
                *models,
                "--accelerator",
                "h100-sxm",
                "--gpus-max",
                "8",
                "--figure",
                str(figure),
                "--csv",
                str(table),
            ]
        )
        == 0
    )
    text = capsys.readouterr().out
    assert "fastest" in text and "cheapest" in text and "preferred" in text and "8-bit" in text
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert table.read_text().count("\n") > 10


def test_frontier_within_a_target(capsys):
    arguments = ["--prompt", "1000", "--output", "200", "--tpot-max", "0.02", "--gpus-max", "8", "--json", "-"]
    assert main(["frontier", "llama-3-8b", "--accelerator", "h100-sxm", *arguments]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert rows and all(row["token_latency_s"] <= 0.02 for row in rows)
    assert [row["gpu_s_per_token"] for row in rows] == sorted(row["gpu_s_per_token"] for row in rows)
    assert len({row["layout"] for row in rows}) == len(rows)


def test_a_target_heeds_every_flag(capsys):
    """The cheapest layout differs with the context, the speculator, the demand."""
    plain = ["frontier", "llama-3-8b", "--accelerator", "h100-sxm", "--tpot-max", "0.05", "--gpus-max", "2", "--json", "-"]
    found = []
    for further in ([], ["--context", "100"], ["--speculator", "llama-2-7b"], ["--demand-cap", "2000"]):
        assert main([*plain, *further]) == 0
        found.append(json.loads(capsys.readouterr().out)["rows"][0])
    assert len({row["usd_per_mtok"] for row in found}) == 4
    assert found[3]["throughput_tokens_per_s"] <= 2000


def test_terms_of_every_frontier_row_add_up():
    """Of the pass that checks γ tokens, where tokens are drafted; of the step itself where none are."""
    for speculator in (None, "llama-3-8b"):
        rows = frontier("llama-3-70b:8", "h100-sxm", speculators=speculator)
        total = rows[[*COUNTED, "pipeline_s"]].sum(axis=1)
        assert total.to_numpy() == pytest.approx(rows["pass_s"].to_numpy())
        if speculator is None:
            assert (rows["pass_s"] == rows["token_latency_s"]).all()
        else:
            assert (rows["gamma"] > 1).any()


FRONTIER_REFUSED = {
    "no GPUs": (["--gpus-max", "0"], "--gpus-max: 0 must be a whole number, at least 1"),
    "too small": (["--gpus-max", "1"], "GB per GPU are missing"),
    "out of reach": (["--tpot-max", "1e-6"], "no layout reaches TPOT 1e-06 s: the least is"),
    "TTFT of nothing": (["--ttft-max", "1"], "a TTFT target needs a prompt and an output"),
    "two models in one target": (["llama-3-8b", "--tpot-max", "1"], "a service target is for one model, 2 given"),
    "bits that are none": (["llama-3-8b:x"], "llama-3-8b:x: what follows the colon"),
    "an exotic digit": (["llama-3-8b:²"], "what follows the colon"),
    "alpha within a target": (["--tpot-max", "1", "--alpha", "2"], "--alpha chooses a point of a frontier"),
}


@pytest.mark.parametrize("arguments, words", FRONTIER_REFUSED.values(), ids=FRONTIER_REFUSED)
def test_what_frontier_refuses(arguments, words, capsys):
    models = [a for a in arguments[:1] if a.startswith("llama")]
    flags = arguments[len(models) :]
    assert main(["frontier", "llama-3-70b", *models, "--accelerator", "h100-sxm", *flags]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error


def test_python_calls_give_data_frames():
    table = predict("llama-3-8b", "h100-sxm", batch=8, prompt=1000, output=100)
    assert list(table["gpus"]) == [8]
    assert {"token_latency_s", "ttft_s", "kernel_s", "layout_tp", "memory_kv_bytes"} <= set(table.columns)
    edge = frontier("llama-3-8b", ["h100-sxm", "a100-sxm"])
    assert set(edge["curve"]) == {"h100-sxm", "a100-sxm"}
    for _, rows in edge.groupby("curve"):
        assert rows["token_latency_s"].is_monotonic_increasing and rows["gpu_s_per_token"].is_monotonic_decreasing
