"""What a shell is offered: commands, flags, names of what is built in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from inferometer.emulator.report.catalogues import CATALOGUES, names_of, rows_of
from tests.places import ROOT

pytest.importorskip("argcomplete")


def offered(line: str) -> set[str]:
    """The completions of a line that ends at the cursor, as bash gets them."""
    variables = {
        "_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9", "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout", "PYTHONPATH": python_path(),
    }  # fmt: skip
    command = [sys.executable, "-m", "inferometer.launch"]
    done = subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, timeout=60)
    return {word.strip() for word in done.stdout.split("\n") if word.strip()}


def python_path() -> str:
    return os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH")) if path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("inferometer pre", {"predict"}),
        ("inferometer c", {"calibrate", "compare"}),
        ("inferometer predict --tp llama --accel", {"--accelerator"}),
        ("inferometer predict --accelerator h100-p", {"h100-pcie"}),
        ("inferometer measure --collectives all_reduce,barr", {"all_reduce,barrier"}),
        ("inferometer paper f", {"frontier"}),
        ("inferometer list acc", {"accelerators"}),
        ("inferometer export b200-nccl --to ai", {"aiconfigurator"}),
    ],
)
def test_the_shell_completes(line, words):
    assert offered(line) == words


def test_a_model_is_offered_by_name():
    assert "llama-3-8b" in offered("inferometer predict llama-3-")


@pytest.mark.parametrize("what", CATALOGUES)
def test_names_are_those_of_the_rows(what):
    assert names_of(what) == [row["name"] for row in rows_of(what)]
