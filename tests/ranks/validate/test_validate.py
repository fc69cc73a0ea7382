"""`inferometer validate` as a user meets it: a tiny matrix on real ranks, held against a calibration that is there."""

from __future__ import annotations

import json
import os
import signal

import jsonschema
import pytest

from inferometer import validation_table
from inferometer.emulator.calibrate.evaluate.file import load_calibration, write_calibration
from inferometer.emulator.measure.scheduler import choose
from inferometer.emulator.samples.environment import usable_cores
from inferometer.emulator.samples.samples import read_records
from inferometer.emulator.validate.forecast import TERMS, VARIANTS
from inferometer.emulator.validate.settings import SCHEMA
from inferometer.launch.runs.schemas import schema

pytestmark = pytest.mark.skipif(usable_cores() < 2, reason="cells of two ranks need two cores")
STOP = "[stop]\nmin_iterations = 6\nmax_iterations = 6\ncell_seconds = 0.1\n"
CELL = '[[cell]]\nscale = "1/32"\nlayers = 2\ncontext = 8\n'
MATRIX = f"""
name = "tiny"
{STOP}
{CELL}batch = 4
model = "llama-3-8b"
tp = 2
{CELL}batch = 4
model = "mixtral-8x7b"
ep = 2
{CELL}batch = 512
model = "gpt-3"
dp = 512
"""
FLAGS = "validate --calibration cal.json --matrix tiny.toml --launches 3".split()


def prepare(folder):
    """The paper's constants, as a calibration that gloo ranks would have given."""
    paper = load_calibration("paper-2025")
    of = {"backend": "gloo", "scheduler": choose("gloo")[0]}
    models = [model.model_copy(update={"target": model.target.model_copy(update=of)}) for model in paper.network_laws]
    method = {"settings": [of | {"threads": 1}], "launches": 3}
    write_calibration(paper.model_copy(update={"network_laws": models, "method": method}), folder / "cal.json")
    (folder / "tiny.toml").write_text(MATRIX)


def test_every_cell_is_measured_in_every_launch_and_held_against_the_calibration(command, tmp_path):
    prepare(tmp_path)
    run = command(*FLAGS, "-o", "v.json", "--json", "-")
    out, err = run.communicate(timeout=100)
    document = json.loads(out)
    jsonschema.validate(document, schema("validation"))
    assert document == json.loads((tmp_path / "v.json").read_text())
    assert run.returncode == (0 if all(bound["held"] for bound in document["overall"]["bounds"]) else 1), err
    assert err.count("cell 2 of 2") == 3 and "note: left out: gpt-3" in err
    assert [its["cell"] for its in document["left_out"]] == [2]
    rows = document["cells"]
    assert [(row["cell"], row["phase"]) for row in rows] == [(0, "prefill"), (0, "decode"), (1, "prefill"), (1, "decode")]
    for row in rows:
        assert len(row["launch_medians_us"]) == len(row["repeat_errors"]) == 3 and row["measured_us"] > 0
        assert set(row["predicted_us"]) == set(VARIANTS) and set(row["terms"]) == set(TERMS)
        assert row["terms"]["network"]["predicted_us"] > 0
    assert document["overall"]["cells"] == 2 and document["overall"]["repeat_launch_error"] >= 0
    assert {its["operation"] for its in document["missed"]} >= {"ffn.reduce", "moe.dispatch", "glue between operations"}
    assert [its["model"] for its in document["extrapolation"]] == ["llama-3-8b", "mixtral-8x7b"]
    assert len(document["launches"]) == 3
    steps = [r for r in read_records(tmp_path / "v.ranks-2.emulation.jsonl", schema=SCHEMA) if r["record"] == "step"]
    assert {(step["launch"], step["cell"], step["rank"]) for step in steps} == {
        (launch, cell, rank) for launch in range(3) for cell in range(2) for rank in range(2)
    }
    assert validation_table(tmp_path / "v.json")["ep"].to_list() == [1, 1, 2, 2]


def test_ctrl_c_keeps_the_samples(command, tmp_path):
    prepare(tmp_path)
    run = command(*FLAGS)
    for line in run.stderr:
        if "cell 2 of 2" in line:
            break
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 130 and out == ""
    samples = "validation.ranks-2.emulation.jsonl"
    steps = sum(r["record"] == "step" for r in read_records(tmp_path / samples, allow_cut=True, schema=SCHEMA))
    assert steps > 0 and f"interrupted; {steps} steps of ranks kept in {samples}" in err
    assert not (tmp_path / "validation.json").exists()
