"""Imports of fresh processes: no torch on a laptop; a command imports itself and the libraries it uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from inferometer.emulator.workload.hugging_face.model_types import HOMES
from inferometer.launch import cli

SERVING = "inferometer.emulator.economics.serving"
ENGINES = f"{SERVING}.engines {SERVING}.batching inferometer.launch.commands.flags.serving"
READERS = " ".join(f"inferometer.emulator.workload.hugging_face.{name}" for name in HOMES if name != "families")


def modules_after(*arguments):
    """What is imported in a fresh process that was called with these arguments."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('MODULES', *sys.modules, file=sys.stderr))\n"
        "from inferometer.launch.cli import main\n"
        f"sys.exit(main({list(arguments)!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split()[1:])


@pytest.mark.parametrize(
    ("arguments", "unused"),
    [
        (["--help"], "numpy pandas scipy torch pydantic rich matplotlib importlib.metadata difflib tomllib"),
        (["doctor", "--help"], "numpy pydantic pandas scipy torch rich matplotlib"),
        (["predict", "--help"], "pydantic pandas scipy torch rich matplotlib"),
        (["fit", "--help"], "pandas scipy torch rich matplotlib"),
        (["paper", "predict", "--help"], "pandas scipy torch rich matplotlib"),
        (["predict", "llama-3-8b", "--accelerator", "h100-sxm"], f"pydantic pandas scipy torch rich {ENGINES} {READERS}"),
        (
            ["frontier", "llama-3-8b", "--accelerator", "h100-sxm", "--gpus-max", "2"],
            f"pydantic pandas scipy {ENGINES} {READERS}",
        ),
        (
            ["predict", "llama-3-8b", "--accelerator", "h100-sxm", "--calibration", "h100-nccl"],
            f"pandas scipy torch rich {ENGINES}",
        ),
    ],
)
def test_a_command_imports_no_other_and_no_library_it_does_not_use(arguments, unused):
    loaded = modules_after(*arguments)
    assert not loaded & set(unused.split())
    commands = {name.removeprefix("inferometer.launch.commands.") for name in loaded}  # flags.frontier is none
    asked = {name for name in cli.COMMANDS if name == arguments[0]}
    assert commands & set(cli.COMMANDS) == asked


WITHOUT_LIBRARIES = """
import sys
for name in ("torch", "numpy", "pydantic", "pandas", "scipy", "rich", "matplotlib", "mpi4py"):
    sys.modules[name] = None  # importing any of them is an error
from inferometer.launch.cli import main
assert main(["doctor", "-n", "2", "--json", "-"]) in (0, 1)
sys.exit(main(["predict", "llama-3-8b"]))
"""


def test_the_doctor_runs_in_a_clone_without_any_library_and_the_others_say_what_they_need():
    done = subprocess.run([sys.executable, "-c", WITHOUT_LIBRARIES], capture_output=True, text=True)
    assert "torch" in {finding["subject"] for finding in json.loads(done.stdout)["findings"]}
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("inferometer: this needs ") and "pip install" in done.stderr


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["mpi4py"] = None  # importing either is an error from here on
from inferometer import load_calibration, reproduce
import inferometer.emulator.calibrate.fit.from_samples
import inferometer.emulator.importers.imports
import inferometer.emulator.report.figure, inferometer.emulator.report.summary
from inferometer.emulator.measure import plan, scheduler
from inferometer.launch.cli import COMMANDS, build_parser, main
for name in COMMANDS:
    build_parser(name)
assert len(reproduce(["baseten", "llm-analysis"])) == 117
sys.exit(main("predict llama-3-8b --accelerator h100-sxm --tp 2 --batch 8".split()))
"""


def test_a_laptop_needs_no_torch():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_asking_a_calibration_needs_neither_torch_nor_scipy_nor_pandas():
    code = (
        "import sys; from inferometer.emulator.calibrate.evaluate.file import load_calibration\n"
        "time = load_calibration('h100-nccl').time_s('all_reduce', 4096, 4)\n"
        "assert 1e-6 < time < 1e-3, time\n"
        "print([name for name in ('torch', 'scipy', 'pandas', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
