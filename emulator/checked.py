"""Check what a file says against a pydantic record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from inferometer.emulator.errors import InputError

Record = TypeVar("Record", bound=BaseModel)


def checked(record: type[Record], fields: Mapping[str, Any], where: str) -> Record:
    """The record made of a file's fields, none of them converted: "0.4" and true are no numbers. where: the file.

    Raises InputError with the first complaint in one line: ``file: key.path = value: what is wrong``.
    """
    try:
        text = json.dumps(fields, default=str)
    except RecursionError:
        raise InputError(f"{where}: tables too deep") from None
    try:
        return record.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InputError(f"{where}: {first_error(error)}") from None


def first_error(error: ValidationError) -> str:
    """pydantic's first complaint in one line: ``key.path = value: what is wrong``."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"{key}: missing"
    if first["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    value = repr(first["input"])
    shown = f"{key} = {value}" if key and len(value) <= 40 and not isinstance(first["input"], (dict, list)) else key
    return " ".join(f"{shown}: {message[:1].lower()}{message[1:]}".split()) if shown else message
