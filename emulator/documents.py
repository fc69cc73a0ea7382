"""TOML and JSON text of a file that comes from anywhere: the document, or one line that says what is wrong with it."""

from __future__ import annotations

import json
import tomllib
from typing import Any

from inferometer.emulator.errors import InputError


def toml_of(text: str, where: str) -> dict[str, Any]:
    """where: the file's name. Raises InputError for what is no TOML, a number too long, brackets too deep."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not TOML: {_why(error)}") from None


def json_of(text: str | bytes, where: str) -> Any:
    """where: the file's name. Raises InputError for what is no JSON, a number too long, brackets too deep."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {_why(error)}") from None


def _why(error: Exception) -> str:
    return "brackets too deep" if isinstance(error, RecursionError) else str(error)
