"""`make gpu` where it cannot run: one line and exit status 2, before anything is written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.places import ROOT

torch = pytest.importorskip("torch")


def loop(tmp_path, **variables):
    """The script, with a nvidia-smi that lists a GPU."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'GPU 0: one'\n")
    tool.chmod(0o755)
    found = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHON": sys.executable} | variables
    return subprocess.run(
        ["bash", str(ROOT / "tests/gpu/loop.sh")], cwd=tmp_path, env=found, capture_output=True, text=True, timeout=60
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "torch sees no GPU"),
        ({"PYTHON": "/no/python"}, "/no/python: not found; PYTHON=… takes another one"),
        ({"PATH": "/usr/bin:/bin"}, "no NVIDIA GPU here"),
    ],
)
def test_it_is_one_line(tmp_path, variables, words):
    done = loop(tmp_path, **variables)
    assert done.returncode == 2 and words in done.stdout and done.stdout.count("\n") == 1, done.stdout + done.stderr
    assert not (tmp_path / "gpu-results").exists() and not done.stderr
