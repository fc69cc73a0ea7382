"""Text, JSON and TOML that come from outside: read whole, or refused in one line that names the file.

A path of ``-`` is the standard input; what gzip, xz or bzip2 has packed is unpacked.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from inferometer.emulator.errors import InputError, reason_of
from inferometer.emulator.regular import check_regular, shown_path

UNPACKS = {b"\xfd7zXZ\x00": "lzma", b"\x1f\x8b": "gzip", b"BZh": "bz2"}
"""How a packed file begins, and the module that opens it, which few files need."""
MOST_DIGITS = 308
"""A float holds no whole number of more."""
MOST_BYTES = 1 << 30
"""Of a document when it is unpacked: a small file can stand for any length of zeros."""

_LONG_NUMBER = re.compile(rf"(?<![\d.\w\"])-?\d{{{MOST_DIGITS + 1},}}")
MOST_TOML_BYTES = 1 << 20
"""TOML is written by people, and read slowly: what is longer is no such file."""
MOST_PARTS = 100

_RUN = re.compile(r"\d{20,}")
"""Digits that a number of ordinary length has not, in one pass over the text."""
_DOTTED = re.compile(rf"""(?<![\w\-])(?:(?:[\w\-]++|"[^"\n]*+"|'[^'\n]*+')\s*+\.\s*+){{{MOST_PARTS},}}""")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def open_bytes(path: str | Path) -> BinaryIO:
    """The contents of a file, unpacked; of the standard input for ``-``. Raises InputError for what cannot be opened."""
    if str(path) == "-":
        return _unpacked(cast(BinaryIO, sys.stdin.buffer))
    check_regular(Path(path))
    try:
        return _unpacked(Path(path).open("rb"))
    except broken() as error:
        raise InputError(f"{shown_path(path)}: cannot be read: {reason_of(error)}") from None


def _unpacked(stream: BinaryIO) -> BinaryIO:
    start = cast(Any, stream).peek(6)[:6]
    packer = next((module for magic, module in UNPACKS.items() if start.startswith(magic)), None)
    return stream if packer is None else cast(BinaryIO, import_module(packer).open(stream, "rb"))


def broken() -> tuple[type[Exception], ...]:
    """What opening and unpacking raise for a file that is locked, cut or damaged (ValueError: a zero byte in the path)."""
    from lzma import LZMAError
    from zlib import error

    return (OSError, EOFError, LZMAError, error, ValueError)


def read_text(path: str | Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises InputError."""
    where = shown_path(path)
    with open_bytes(path) as stream:
        try:
            content = stream.read(MOST_BYTES + 1)
        except broken() as error:
            raise InputError(f"{where}: cannot be read: {reason_of(error)}") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"{where}: more than {MOST_BYTES >> 30} GiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: cannot be read: not text: byte {error.start} is no UTF-8") from None


def json_of(text: str, where: str | Path, *, constants: bool = False) -> Any:
    """What the JSON text holds. constants: NaN and Infinity are let through, as Python's writer has them.

    Raises InputError for what is no JSON, for brackets too deep, a key that stands twice in one object, numbers beyond
    floating point, and half a surrogate pair, which no text can hold.
    """
    try:
        _check_numbers(text)
        if constants:
            found = json.loads(text, object_pairs_hook=_unique)
        else:
            found = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except RecursionError:
        raise InputError(f"{where}: not JSON: brackets too deep") from None
    except UnicodeEncodeError:
        raise InputError(f"{where}: not JSON: half a surrogate pair stands alone") from None
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from None


def toml_of(text: str, where: str | Path) -> dict[str, Any]:
    """What the TOML text holds. Raises InputError as `json_of` does."""
    import tomllib

    if len(text) > MOST_TOML_BYTES:
        raise InputError(f"{where}: not TOML that anybody has written: more than {MOST_TOML_BYTES >> 20} MiB")
    try:
        _check_numbers(text)
        if _DOTTED.search(text):
            raise ValueError(f"a key of more than {MOST_PARTS} parts")
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(f"{where}: not TOML: brackets too deep") from None
    except ValueError as error:
        raise InputError(f"{where}: not TOML: {error}") from None


def _check_numbers(text: str) -> None:
    if all(len(run) <= MOST_DIGITS for run in _RUN.findall(text)):
        return
    found = _LONG_NUMBER.search(text)
    if found:
        raise ValueError(f"a number of {len(found[0].lstrip('-'))} digits, {found[0][:12]}…, is too large")


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    given = list(pairs)
    found = dict(given)
    if len(found) != len(given):
        seen: set[str] = set()
        twice = next(name for name, _ in given if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice[:80]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:40]} is too large")
    return value
