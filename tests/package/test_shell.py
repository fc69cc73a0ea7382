"""Commands as a shell runs them: streams that fail, folders of others, a process that dies with its lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferometer.launch.runs.alone import alone_with
from tests.places import ROOT

PREDICT = ("predict", "llama-3-8b", "--accelerator", "h100-sxm")


def shell(line: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """The command line with ``inferometer`` for this program."""
    text = line.replace("inferometer ", f"{sys.executable} -m inferometer.launch ")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(["bash", "-c", text], capture_output=True, check=False, env=environment, timeout=120)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inferometer predict llama-3-8b --accelerator h100-sxm >/dev/full", b"stdout: cannot be written: No space left"),
        (
            "inferometer predict llama-3-8b --accelerator h100-sxm --json - >/dev/full",
            b"stdout: cannot be written: No space",
        ),
        ("inferometer predict llama-3-8b --accelerator h100-sxm >&-", b"stdout is closed"),
    ],
)
def test_a_stdout_that_takes_nothing_is_one_line(line, words):
    done = shell(line)
    assert done.returncode == 2
    assert words in done.stderr and len(done.stderr.splitlines()) == 1


def test_an_ascii_terminal_gets_question_marks_and_whole_json():
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    assert b"on 8 ? h100-sxm" in shell(f"inferometer {' '.join(PREDICT)}", **ascii_only).stdout
    wide = shell(f"inferometer {' '.join(PREDICT)} --json -")
    narrow = shell(f"inferometer {' '.join(PREDICT)} --json -", **ascii_only)
    assert json.loads(narrow.stdout) == json.loads(wide.stdout)


def reachable_by_others(path: Path) -> bool:
    """Whether every folder on the way lets others through: a private clone or environment does not."""
    return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(
    not all(map(reachable_by_others, (Path(sys.executable), Path(sys.prefix) / "bin", ROOT))),
    reason="nobody else may enter the folder of this clone or its Python",
)
@pytest.mark.parametrize(
    "arguments",
    [
        "predict {}/config.json --accelerator h100-sxm",
        "predict llama-3-8b --accelerator {}/x.toml",
        "predict llama-3-8b --calibration {}/x",
        "fit {}/x -o {}/y",
        "measure --sweep {}/x.toml -o {}/x",
        "import nccl-tests {}/x -o {}/y",
        "calibrate -o {}/y.json",
        "frontier llama-3-8b --accelerator h100-sxm --csv {}/x",
    ],
)
def test_a_folder_one_may_not_enter_is_one_line(tmp_path, arguments):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    for parent in tmp_path.parents:
        if parent != Path("/") and str(parent).startswith("/tmp/pytest"):
            parent.chmod(0o755)
    nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups"
    done = shell(f"cd / && {nobody} inferometer {arguments.replace('{}', str(locked))}")
    assert done.returncode == 2
    assert b"ermission denied" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_lock_ends_with_its_process(tmp_path):
    path = tmp_path / "x"
    code = f"import os; from pathlib import Path; from inferometer.launch.runs.alone import alone_with\n" \
        f"with alone_with(Path({str(path)!r})): os._exit(9)"  # fmt: skip
    assert shell(f'{sys.executable} -c "$CODE"', CODE=code).returncode == 9
    assert (tmp_path / ".x.lock").exists()
    with alone_with(path):
        pass


def test_a_torch_in_the_working_directory_is_not_imported(tmp_path):
    (tmp_path / "torch.py").write_text("raise SystemExit('the wrong torch')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    done = shell(f"cd {tmp_path} && inferometer {' '.join(PREDICT)}")
    assert done.returncode == 0, done.stderr
