"""The page of each kind of file alone: its section stands there with the file's numbers, and what is missing is named."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.report.page.page import ABSENT, report
from inferometer.launch.cli import main
from tests.places import ROOT
from tests.studies.served import POINTS

H100 = ["--accelerator", "h100-sxm", "--calibration", "h100-nccl"]
SERVED = ["qwen3-32b", "--accelerator", "h100-sxm", "--engine", "vllm", "--prompt", "1024", "--output", "512"]


def written(tmp_path, *command):
    """The JSON of a command: its path, and what it holds."""
    path = tmp_path / f"{command[0]}.json"
    assert main([*command, "--json", str(path)]) == 0
    return path, json.loads(path.read_text())


def section(page, name):
    return page.split(f'<section id="{name}">')[1].split("</section>")[0]


def missing(page):
    """The sections that the page says are not in it."""
    return {name for name, words in ABSENT.items() if words.replace("&", "&amp;").replace("'", "&#x27;") in page}


def test_samples_are_fitted(tmp_path, capsys):
    log = next((ROOT / "tests/data/nccl_logs/superbench").glob("a100_1n8_all_reduce.log"))
    path = tmp_path / "x.samples.jsonl"
    assert main(["import", "nccl-tests", str(log), "-o", str(path)]) == 0
    page = report(path)
    assert "all_reduce" in section(page, "costs") and missing(page) == {"predictions", "frontiers", "serving", "holds"}


def test_a_prediction(tmp_path):
    path, found = written(tmp_path, "predict", "llama-3-8b", *H100, "--tp", "2", "--batch", "8")
    page = report(path)
    shown = section(page, "predictions")
    assert "llama-3-8b" in shown and "tp 2" in shown and f"{1e3 * found['token_latency_s']:.4g}" in shown
    low, high = found["interval_s"]
    assert f"{1e3 * low:.4g} to {1e3 * high:.4g}" in shown and f"{1e3 * found['terms']['memory_s']:.4g}" in shown
    assert all(note.replace("'", "&#x27;") in shown for note in found["notes"])
    assert missing(page) == {"trust", "frontiers", "serving", "holds"} and 'id="trust"' not in page


def test_a_frontier(tmp_path):
    path, found = written(tmp_path, "frontier", "llama-3-8b", *H100, "--gpus-max", "4")
    shown = section(report(path), "frontiers")
    fastest = next(row for row in found["rows"] if row["point"] == "fastest")
    assert f"{fastest['tokens_per_s']:.4g}" in shown and f"{fastest['usd_per_mtok']:.4g}" in shown
    assert shown.count("data-tip") >= len(found["rows"]) and "<svg" in shown


def test_deployments_within_a_target_are_points_of_no_curve(tmp_path):
    path, found = written(tmp_path, "frontier", "llama-3-8b", *H100, "--gpus-max", "4", "--tpot-max", "0.02")
    shown = section(report(path), "frontiers")
    assert shown.count("within the target") == len(found["rows"]) and "measured machine" not in shown
    assert 'class="line' not in shown and f"{found['rows'][0]['usd_per_mtok']:.4g}" in shown


def test_what_a_server_gives(tmp_path):
    path, found = written(tmp_path, "predict", *SERVED, "--tp", "4", "--concurrency", "64")
    shown = section(report(path), "serving")
    assert "64 users in a closed loop" in shown and f"{1e3 * found['tpot_s']:.4g}" in shown
    low, high = found["tpot_interval_s"]
    assert f"{1e3 * low:.4g} to {1e3 * high:.4g}" in shown


def test_deployments_of_a_server(tmp_path):
    path, found = written(tmp_path, "frontier", *SERVED, "--rate", "20", "--tpot-max", "0.05", "--ttft-max", "2")
    shown = section(report(path), "serving")
    assert shown.count("<tr>") == 1 + len(found["deployments"]) and "P(meets) %" in shown


def test_a_serving_fit_as_json_and_as_a_profile(tmp_path):
    (tmp_path / "points.csv").write_text(POINTS)
    profile = tmp_path / "mine.toml"
    path, found = written(tmp_path, "fit", "--serving", str(tmp_path / "points.csv"), "-o", str(profile))
    for page in (report(path), report(profile)):
        shown = section(page, "serving")
        assert all(name in shown for name in found["parameters"]) and "profile of vllm" in shown
        assert f"{found['parameters']['weight_rate']['value']:.3g}" in shown
    assert "6 points" in section(report(path), "serving")


def test_a_validation(tmp_path):
    cell = {
        "words": "tp2", "phase": "decode", "measured_us": 110.0, "predicted_us": {"calibration": 100.0}, "rel_error": -0.091,
        "repeat_errors": [0.02], "terms": {"network": {"measured_us": 60.0, "predicted_us": 50.0}},
    }  # fmt: skip
    overall = {"rows": 1, "median_abs_rel_error": 0.091, "p90_abs_rel_error": 0.091, "repeat_launch_error": 0.02}
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"schema": "inferometer/validation/1", "cells": [cell], "overall": overall, "missed": []}))
    page = report(path)
    assert "-9.1" in section(page, "holds") and missing(page) == {"trust", "predictions", "frontiers", "serving"}


def test_several_files_make_one_page(tmp_path):
    prediction, _ = written(tmp_path, "predict", "llama-3-8b", *H100, "--tp", "2")
    frontier, _ = written(tmp_path, "frontier", "llama-3-8b", *H100, "--gpus-max", "2")
    page = report("h100-nccl", frontier, prediction)
    order = [page.index(f'<section id="{name}">') for name in ("trust", "costs", "meaning", "predictions", "frontiers")]
    assert order == sorted(order) and all(f'href="#{name}"' in page for name in ("trust", "predictions", "frontiers"))


def test_files_of_no_kind_and_lacking_keys_are_refused(tmp_path):
    path = tmp_path / "x.json"
    for document, words in (
        ({"schema": "inferometer/doctor/1"}, "expected samples, calibration"),
        ([], "found None"),
        ({"schema": "inferometer/prediction/1", "model": "x"}, "token_latency_s: missing"),
    ):
        path.write_text(json.dumps(document))
        with pytest.raises(InputError, match=words):
            report(path)
    with pytest.raises(InputError, match="nothing to report"):
        report()
