"""What a command writes beside a run's files: its answer as text and JSON, figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.launch.runs.outputs import replaced_path, write_json

FIGURE_SUFFIXES = (".png", ".pdf", ".svg")


def json_target(text: str) -> str:
    """The argument of --json: - for stdout, or a path that can be written to, looked at before anything is measured."""
    if text != "-":
        replaced_path(text)
    return text


def figure_path(text: str) -> Path:
    """The argument of --figure: a path that can be written to, in a format that is drawn."""
    path = replaced_path(text)
    if path.suffix not in FIGURE_SUFFIXES:
        raise InputError(f"{path}: a figure is one of {', '.join(FIGURE_SUFFIXES)}")
    return path


def show(target: str | None, document: Any, lines: Sequence[str]) -> None:
    """The lines on stdout and the document as JSON where --json says; with - nothing else goes to stdout."""
    if target != "-":
        print("\n".join(lines))
    if target:
        write_json(target, document)
