"""A command imports itself, not the others, and no library it has no use for: so `--help` and `predict` start at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferometer.launch import cli


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
        (["--help"], "numpy pandas scipy torch pydantic rich matplotlib importlib.metadata"),
        (["doctor", "--help"], "pandas scipy torch rich matplotlib"),
        (["predict", "--help"], "pandas scipy torch rich matplotlib"),
        (["paper", "predict", "--help"], "pandas scipy torch rich matplotlib"),
    ],
)
def test_a_command_imports_no_other_and_no_library_it_does_not_use(arguments, unused):
    loaded = modules_after(*arguments)
    assert not loaded & set(unused.split())
    commands = {name.rpartition(".")[2] for name in loaded if name.startswith("inferometer.launch.commands.")}
    asked = {name for name in cli.COMMANDS if name == arguments[0]}
    assert commands & set(cli.COMMANDS) == asked
