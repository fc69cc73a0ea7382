"""What the README tells people to run, run as it stands there, in a folder with the files that it names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer.launch.cli import COMMANDS
from tests.places import ROOT

README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python(?: not-run)?\n(.*?)```", README, re.DOTALL)
#: Besides those of the blocks that tests/unit/test_guides.py runs with their output.
NEEDY = "".join(re.findall(r"```console not-run\n(.*?)```", README, re.DOTALL))
SHELL = [
    line.strip()
    for text, mark in ((README, "    "), (NEEDY, r"\$ "))
    for line in re.findall(rf"^{mark}((?:inferometer|torchrun|mpiexec) [a-z-].*)$", text, re.MULTILINE)
]
RANKS = [
    line for line in SHELL if not line.startswith("inferometer") or line.split()[1] in ("measure", "calibrate", "emulate")
]
SHORT = "--collectives all_reduce --timings isolated -e 4K --budget 20"
"""Appended to what measures: the line as it stands takes minutes."""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the files that the README names."""
    (tmp_path / "mymodel").mkdir()
    shutil.copy(ROOT / "configs/models/llama-3-8b.json", tmp_path / "mymodel/config.json")
    shutil.copy(ROOT / "tests/data/nccl_logs/superbench/a100_1n8_all_reduce.log", tmp_path / "all_reduce_perf.log")
    return tmp_path


def run(line: str, folder: Path, command, limit_s: float = 100) -> None:
    bin_folder = Path(sys.executable).parent
    line = re.sub(r"\binferometer (?=[a-z])", f"{sys.executable} -m inferometer.launch ", line)
    line = line.replace("torchrun ", f"{sys.executable} -m torch.distributed.run ").replace(
        " python -m", f" {sys.executable} -m"
    )
    line = line.replace("mpiexec ", f"{bin_folder}/mpiexec ")
    process = command(*["bash", "-c", line], module=False)
    out, err = process.communicate(timeout=limit_s)
    assert process.returncode == 0, f"{line}\n{out}\n{err}"


def test_the_readme_has_blocks_and_names_commands_that_exist():
    assert len(PYTHON) >= 1 and len(SHELL) >= 3
    named = set(re.findall(r"\binferometer (?:\.launch )?([a-z]+)\b(?! that| for| comes| predicts)", "\n".join(SHELL)))
    assert named and named <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", RANKS)
def test_lines_that_start_ranks_run(line, folder, command):
    if line.startswith("mpiexec"):
        pytest.importorskip("mpi4py")
    plain, _, _ = line.partition("#")
    run(f"{plain.strip().replace('per-node 8', 'per-node 2').replace('-n 4', '-n 2')} {SHORT}", folder, command)


@pytest.mark.verify
@pytest.mark.timeout(1200)
def test_the_python_blocks_and_what_asks_the_own_calibration_run(folder, command):
    """With the whole calibration of `make run`: a short one measures too little for the blocks to ask of it."""
    run("inferometer calibrate", folder, command, 600)
    for line in SHELL:
        if "calibration.json" in line and line not in RANKS:
            run(line, folder, command)
    for number, block in enumerate(PYTHON):
        (folder / f"block{number}.py").write_text(block)
        run(f"{sys.executable} block{number}.py", folder, command, 200)
    assert json.loads((folder / "calibration.json").read_text())["schema"].startswith("inferometer/calibration/")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_names_what_the_readme_says():
    targets = set(re.findall(r"^    make (\w+)", README, re.MULTILINE)) | set(re.findall(r"`make\s+(\w+)`", README))
    done = subprocess.run(["make", "-n", *targets, "PYTHON=python3"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert targets and done.returncode == 0, done.stderr
