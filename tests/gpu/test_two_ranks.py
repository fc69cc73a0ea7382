"""Two ranks on one GPU: the whole loop over NCCL, under an MPS daemon of the test's own. Its times are worthless.

Needs NCCL 2.30 or newer (preload libnccl.so.2 of the wheel nvidia-nccl-cu13) and nvidia-cuda-mps-control. Has not yet run on
a GPU.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from inferometer.emulator.samples.samples import cell_table, read_records
from tests.places import ROOT

torch = pytest.importorskip("torch")

from inferometer.parallel.nccl_library import SHARING_VARIABLE, loaded_version, may_share  # noqa: E402

LIMIT_S = 100
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, torch sees none here"),
    pytest.mark.skipif(
        torch.cuda.is_available() and not may_share(loaded_version(), {SHARING_VARIABLE: "1"}),
        reason=f"NCCL {loaded_version()} takes one rank a GPU: preload 2.30 or newer (wheel nvidia-nccl-cu13)",
    ),
    pytest.mark.skipif(shutil.which("nvidia-cuda-mps-control") is None, reason="no nvidia-cuda-mps-control here"),
]


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    """The environment of a private MPS daemon, which ends with the tests: after a hang it would serve nobody else."""
    folder = tmp_path_factory.mktemp("mps")
    found = os.environ | {
        "CUDA_MPS_PIPE_DIRECTORY": str(folder), "CUDA_MPS_LOG_DIRECTORY": str(folder), "CUDA_VISIBLE_DEVICES": "0",
        SHARING_VARIABLE: "1", "NCCL_NVLS_ENABLE": "0", "NCCL_MAX_CTAS": "2", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    started = subprocess.run(["nvidia-cuda-mps-control", "-d"], env=found, capture_output=True, text=True, timeout=30)
    if started.returncode != 0:
        pytest.skip(f"the MPS daemon does not start: {started.stderr.strip()}")
    yield found
    subprocess.run(["nvidia-cuda-mps-control"], input="quit -t 5\n", env=found, capture_output=True, text=True, timeout=30)


@pytest.fixture
def run(variables, tmp_path):
    """``run("measure", …)``: the command in an empty folder, done."""

    def command(*arguments, **more):
        python = [sys.executable, "-m", "inferometer.launch", *arguments]
        return subprocess.run(python, cwd=tmp_path, env=variables | more, capture_output=True, text=True, timeout=LIMIT_S)

    return command


def test_measure_in_every_launch_mode(run, tmp_path):
    asked = "-n 2 --backend nccl --collectives all_reduce,all_to_all -b 1024 -e 1M -f 32 --launches 1 --budget 60".split()
    done = run("measure", *asked, "-o", "n.samples.jsonl")
    assert done.returncode == 0, done.stderr
    assert "share" in done.stderr  # said before the run
    cells = cell_table(tmp_path / "n.samples.jsonl")
    assert set(cells["launch_mode"]) == {"graph", "stream", "eager"}
    assert set(cells["wrong"]) == {0} and cells["oversubscribed"].all()
    assert {r["clock"] for r in read_records(tmp_path / "n.samples.jsonl") if r["record"] == "cell"} == {"cuda_event"}
    fitted = run("fit", "n.samples.jsonl", "-o", "n.json")
    assert "unsuitable for calibration" in fitted.stdout + fitted.stderr


@pytest.mark.parametrize(
    "layout", ["llama-3-8b --layers 2 --tp 2", "mixtral-8x7b --layers 2 --ep 2", "llama-3-8b --layers 2 --pp 2"]
)
def test_a_sharded_model_runs(run, tmp_path, layout):
    asked = f"{layout} --scale 1/8 --bits 16 --batch 4 --context 64 --steps 6 --launches 1 --backend nccl".split()
    done = run("emulate", *asked, "-o", "m.emulation.jsonl")
    assert done.returncode == 0, done.stderr
    steps = [
        r for r in read_records(tmp_path / "m.emulation.jsonl", schema="inferometer/emulation/1") if r["record"] == "step"
    ]
    assert {r["phase"] for r in steps} == {"prefill", "decode"} and all(r["end_ns"] > r["begin_ns"] for r in steps)


def test_a_model_beyond_the_gpus_memory_is_refused_beforehand(run):
    done = run("emulate", "llama-3-70b", "--bits", "32", "--backend", "nccl", "--tp", "2", "--batch", "1", "--context", "16")
    assert done.returncode == 2 and "GiB are free" in done.stderr and done.stderr.count("Traceback") == 0


def test_without_the_variable_two_ranks_are_refused_in_one_line(run):
    done = run("measure", "-n", "2", "--backend", "nccl", "--launches", "1", "--timeout", "20", **{SHARING_VARIABLE: "0"})
    assert done.returncode == 1 and SHARING_VARIABLE in done.stderr and "Traceback" not in done.stderr
