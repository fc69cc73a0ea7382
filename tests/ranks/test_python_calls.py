"""The Python calls that start ranks, from a plain script and under torchrun."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.places import ROOT

SCRIPT = """
import json, sys
from inferometer import EmulateSettings, MeasureSettings, emulate, measure

# under torchrun or mpiexec the launcher says how many
ranks = dict(ranks=2, launches=2) if sys.argv[1] == "local" else {}
small = dict(collectives=["all_reduce"], timings=["isolated"], max_bytes=1024, iterations=10, backend="gloo")
if sys.argv[2] == "measure":
    done = measure(MeasureSettings(**ranks, **small), "mine.samples.jsonl")
    if done:
        print(json.dumps({"right": done.right, "cells": len(done.table()), **done.summary()["method"]}))
else:
    done = emulate(EmulateSettings(model="llama-3-8b", scale=1 / 32, layers=1, tp=2, context=8, steps=6, **ranks))
    if done:
        print(json.dumps(done.document()))
"""


def script(tmp_path, how, call):
    """What the script prints, in as many processes as its starter makes."""
    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2") if how == "torchrun" else ()
    done = subprocess.run(
        [sys.executable, *torchrun, "script.py", how, call],
        cwd=tmp_path, capture_output=True, text=True, timeout=110, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()  # rank 0 alone has an answer
    return json.loads(line)


@pytest.mark.parametrize(("how", "launches"), [("local", 2), ("torchrun", 1)])
def test_measure(tmp_path, how, launches):
    found = script(tmp_path, how, "measure")
    assert (found["right"], found["world_size"], found["launches"]) == (True, 2, launches)
    cells = 3 * launches  # 64, 256, 1024 bytes
    assert cells <= found["cells"] <= 2 * cells and found["cells"] % 3 == 0  # a launch that others disturbed is made again
    assert (tmp_path / "mine.samples.jsonl").exists()


@pytest.mark.parametrize(("how", "launches"), [("local", 2), ("torchrun", 1)])
def test_emulate(tmp_path, how, launches):
    found = script(tmp_path, how, "emulate")
    assert [phase["phase"] for phase in found["phases"]] == ["prefill", "decode"]
    assert all(phase["launches"] == launches for phase in found["phases"])
