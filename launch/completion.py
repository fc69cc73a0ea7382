"""Completion of commands, flags and names by the shell, through argcomplete where that is installed.

eval "$(register-python-argcomplete inferometer)"
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

HELD_BY = {
    "model": "models",
    "speculator": "models",
    "accelerator": "accelerators",
    "calibration": "calibrations",
    "collectives": "collectives",
}
"""Flags whose values have names, and the catalogue that holds these."""


def complete(build: Callable[[str | None], argparse.ArgumentParser], commands: Collection[str]) -> None:
    """Answer the shell and end the process. build: makes the parser with the flags of one command."""
    import argcomplete

    words = os.environ.get("COMP_LINE", "").split()[1:]
    command = next((word for word in words if not word.startswith("-")), None)
    parser = build(command if command in commands else None)
    _name_values(parser)
    argcomplete.autocomplete(parser)


def _name_values(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in set(action.choices.values()):
                _name_values(sub)
        elif action.dest in HELD_BY:
            action.completer = _completer(HELD_BY[action.dest])  # type: ignore[attr-defined]


def _completer(catalogue: str) -> Callable[..., list[str]]:
    def names_and_files(prefix: str, **context: Mapping[str, Any]) -> list[str]:
        from argcomplete.completers import FilesCompleter

        from inferometer.emulator.report.catalogues import names_of

        head, comma, last = prefix.rpartition(",")
        found = [f"{head}{comma}{name}" for name in names_of(catalogue) if name.startswith(last)]
        return [*found, *FilesCompleter()(prefix)]

    return names_and_files
