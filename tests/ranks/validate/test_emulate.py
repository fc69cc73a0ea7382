"""`inferometer emulate` as a user meets it: the tables, the samples, what is said when a rank goes wrong."""

from __future__ import annotations

import json
import sys

import jsonschema
import pytest

from inferometer.emulator.samples.samples import read_records
from inferometer.emulator.validate.settings import SCHEMA
from inferometer.launch.runs.schemas import schema

SMALL = "emulate mixtral-8x7b --scale 1/32 --layers 2 --batch 4 --context 8 --steps 6 --timeout 10".split()
TORCHRUN = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    *("-m", "inferometer.launch"),
)


def steps_in(path):
    return [record for record in read_records(path, allow_cut=True, schema=SCHEMA) if record["record"] == "step"]


@pytest.mark.verify
def test_the_parts_of_a_step_sum_to_it_in_every_launch(command, tmp_path):
    prices = "--calibration paper-2025 --accelerator h100-sxm --bits 16".split()
    own = command(*SMALL, "--ep", "2", "--launches", "2", *prices, "-o", "own.jsonl", "--json", "-")
    out, err = own.communicate(timeout=100)
    assert own.returncode == 0, err
    assert "note: layers: 2 instead of 1" in err
    document = json.loads(out)
    jsonschema.validate(document, schema("emulation-summary"))
    assert [phase["phase"] for phase in document["phases"]] == ["prefill", "decode"]
    for phase in document["phases"]:
        assert phase["launches"] == 2 and phase["steps"] >= 6 and phase["overhead"] > 0
        parts = sum(row["mean_us"] for row in phase["rows"]) + phase["unattributed_us"]
        assert parts == pytest.approx(phase["step_mean_us"], rel=0.01)
        assert phase["worst_sum"] < 0.01
        assert sum(phase["split_us"].values()) == pytest.approx(phase["step_mean_us"], rel=1e-6)
        rows = {(row["name"], row["kind"]): row for row in phase["rows"]}
        sent = rows["moe.dispatch", "all_to_all"]
        assert sent["count"] == 2 and sent["executed"] > 0 and 0 <= sent["waiting_us"] <= sent["mean_us"]
        assert rows["attention.qkv", "matmul"]["waiting_us"] is None
        assert phase["predicted"]["by_op"]["moe.dispatch"] > 0
    steps = steps_in(tmp_path / "own.jsonl")
    assert {(step["launch"], step["rank"]) for step in steps} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_one_torchrun_is_one_launch_and_a_pipeline_knows_who_waits(command, tmp_path):
    pipeline = command(*SMALL, "--pp", "2", "-o", "torchrun.jsonl", "--json", "x.json", prefix=TORCHRUN, module=False)
    out, err = pipeline.communicate(timeout=100)
    assert pipeline.returncode == 0, err
    assert out.count("unattributed") == 2
    decode = json.loads((tmp_path / "x.json").read_text())["phases"][1]
    tokens = next(row for row in decode["rows"] if (row["name"], row["kind"]) == ("pipeline.tokens", "recv"))
    assert decode["launches"] == 1 and 0 <= tokens["waiting_us"] <= tokens["mean_us"]


PLANTED = """
import os
if "INFEROMETER_EVENTS" in os.environ:
    from inferometer.emulator.engine.engine import Engine
    decode, calls = Engine.decode, []
    def planted(engine, *args):
        calls.append(engine)
        if len(calls) == 12 and os.environ["RANK"] == "1":
            {body}
        return decode(engine, *args)
    Engine.decode = planted
"""
FAULTS = {
    "dies": (
        "engine.stage.layers[1].feed_forward = lambda *args: os.kill(os.getpid(), 9)\n"
        "            engine.stage.layers[1].mixture = engine.stage.layers[1].feed_forward",
        ["rank 1 died; the others were in a decode step, at moe."],
    ),
    "nan": (
        "engine.stage.embedding.table.fill_(float('nan'))",
        ["failed in a decode step", "logits are not finite", "weights that are not: rank 1: embedding.table"],
    ),
    "routing": (
        "engine.stage.layers[1].mixture.router.w.neg_()",
        ["rank 1 disagrees about the routing of layer 1 among ranks 0, 1, which have the same tokens"],
    ),
    "cache": (
        "engine.context = engine.cache_tokens",
        ["rank 1 failed in a decode step", "context 9 + 1 new tokens = 10 is beyond the cache of 9 tokens"],
    ),
}


@pytest.mark.verify
def test_what_goes_wrong_in_a_step_is_named_and_the_samples_are_kept(command, tmp_path):
    runs = {}
    for name, (body, _) in FAULTS.items():
        run = [*SMALL, "--tp", "2", "--launches", "1", "-o", f"{name}.jsonl"]
        runs[name] = command(*run, planted=PLANTED.format(body=body))
    for name, run in runs.items():
        _, err = run.communicate(timeout=60)
        last = err.strip().splitlines()[-1]
        assert run.returncode == 1, (name, err)
        for words in FAULTS[name][1]:
            assert words in last, (name, last)
        kept = len(steps_in(tmp_path / f"{name}.jsonl"))
        assert kept > 0 and f"{kept} steps of ranks kept in {name}.jsonl" in last
