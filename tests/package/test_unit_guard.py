"""Unit tests start no process and import no torch: what holds them to it is tried on tests that do."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.places import ROOT

TESTS = """
import os, subprocess, sys

def test_library():
    import torch

def test_process():
    try:
        subprocess.run([sys.executable, "-c", ""])
    except Exception:
        pass

def test_fork():
    os.fork()

def test_neither():
    import json
"""


def test_a_unit_test_that_imports_torch_or_starts_a_process_fails(tmp_path):
    shutil.copy(ROOT / "tests" / "unit" / "conftest.py", tmp_path)
    (tmp_path / "test_planted.py").write_text(TESTS)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True)
    for words in ("imports torch", "(subprocess.Popen", "(os.fork"):
        assert words in done.stdout, done.stdout
    assert "3 failed, 1 passed" in done.stdout
