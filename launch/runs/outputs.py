"""What a run or a command writes: notes, and files, each checked before anything is done, none of them one that it reads."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.report.columns import folded

SAMPLES = (b'"inferometer/samples/', b'"inferometer/emulation/')
"""What the first line of a file of samples holds."""
FIGURE_SUFFIXES = (".png", ".pdf", ".svg")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def note(text: str) -> None:
    """Something that a reader of the result must know, on the error stream."""
    print(folded(f"note: {text}", sys.stderr), file=sys.stderr, flush=True)


def output_path(text: str) -> Path:
    """A path that can be written to. Raises ``InputError`` before anything is measured.

    A name that begins with - is more likely a flag without its value, or a number, than a file, and every tool would take
    it for a flag; one with control characters is no name that anybody has typed.
    """
    path = Path(text)
    if text in ("", "-") or CONTROL.search(text):
        raise InputError(f"{text!r} is not the name of a file to write")
    if path.name.startswith("-"):
        raise InputError(f"{path}: a file to write may not have a name that begins with -, as flags do")
    if path.is_dir():
        raise InputError(f"{path}: is a directory")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a regular file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise InputError(f"{path}: cannot be written: permission denied")
    return path


def new_path(text: str) -> Path:
    """A path that can be written to where nothing is yet. Raises ``InputError``."""
    path = output_path(text)
    if path.exists():
        raise InputError(f"{path}: exists, and samples never replace a file: name another, or move that one away")
    return path


def replaced_path(text: str) -> Path:
    """A path whose file will be written anew. Raises ``InputError`` where that file holds samples."""
    path = output_path(text)
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(200)
            if any(schema in head for schema in SAMPLES):
                raise InputError(f"{path}: holds samples, which are never overwritten")
    return path


def calibration_path(output: str | Path) -> Path:
    """Where a calibration goes. Raises InputError for a path that cannot be written, or that is named as samples are."""
    path = replaced_path(str(output))
    if path.suffix == ".jsonl":
        raise InputError(f"-o {path}: samples are called .jsonl; name the calibration FILE.json")
    return path


def keep_apart(reads: Iterable[str | Path | None], writes: Iterable[str | Path | None]) -> None:
    """Raise ``InputError`` for an output that is an input, or another output, of the same command.

    reads: files, folders that hold a config.json, built-in names (no file has such a name). writes: files, -
    for stdout. None in either: not given.
    """
    taken = [(path, "is read by this command") for name in reads if name is not None for path in _read(str(name))]
    for name in writes:
        if name is None or str(name) == "-":
            continue
        path = Path(name)
        for other, why in taken:
            if _same(path, other):
                raise InputError(f"{path}: cannot be written: the file {why}")
        taken.append((path, "is written by this command already"))


def _read(name: str) -> list[Path]:
    """The files that an argument may stand for: itself, what a folder holds, MODEL of MODEL:BITS."""
    names = [name, name.rpartition(":")[0]] if ":" in name else [name]
    paths = [Path(each) for each in names if each and "\0" not in each]
    return [file for path in paths for file in (path, path / "config.json") if file.is_file()]


def _same(one: Path, other: Path) -> bool:
    """Whether both are one file, by whatever name; neither needs to exist."""
    if os.path.realpath(one) == os.path.realpath(other):
        return True
    return one.exists() and other.exists() and one.samefile(other)


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """What fails while path is written (a full disk, a folder that went) ends as ``InputError``."""
    try:
        yield
    except BrokenPipeError:  # the reader of stdout has gone: no fault of the path
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_text(target: str | Path, text: str) -> None:
    """Text to a file, or to stdout for ``-``. Raises ``InputError`` where the file cannot be written.

    What stdout cannot take is an OSError for whoever guards the streams: some of the text is still in its buffer.
    """
    if str(target) == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    with writing(target):
        Path(target).write_text(text, encoding="utf-8")


def write_json(target: str | Path, document: Any) -> None:
    """One JSON document to a file, or to stdout for ``-``. Raises ``InputError`` where the file cannot be written."""
    narrow = str(target) == "-" and (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    write_text(target, json.dumps(plain(document), indent=2, ensure_ascii=narrow, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value as JSON has it: numpy scalars as numbers, what is not a finite number as null."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


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
