"""The schemas of the JSON that commands write: each document names its own, which is shipped as a JSON Schema.

The schemas are made from the records of `documents`; this module is for those who write or read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inferometer.configs import folder
from inferometer.emulator.errors import InputError
from inferometer.emulator.names import did_you_mean

VERSIONS = {
    "calibration": 2,
    "comparison": 1,
    "doctor": 1,
    "emulation-summary": 1,
    "export-statement": 1,
    "frontier": 1,
    "import-report": 1,
    "list": 1,
    "measurement-summary": 1,
    "model": 1,
    "models": 1,
    "prediction": 1,
    "reproduction": 1,
    "serving-command": 1,
    "serving-fit": 1,
    "serving-frontier": 1,
    "serving-prediction": 1,
    "validation": 1,
}
"""Of each kind of document; one that loses or changes a field gets a new one."""


def schema_id(name: str) -> str:
    """``inferometer/prediction/1``: the value of a document's key ``schema``."""
    return f"inferometer/{name}/{VERSIONS[name]}"


def stamped(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The document with its schema in front."""
    return {"schema": schema_id(name), **fields}


def file_name(name: str) -> str:
    return f"{name}-{VERSIONS[name]}.schema.json"


def schema(name: str | None = None) -> Any:
    """The JSON Schema (2020-12) of a document, by its kind or its id; without a name the ids of all.

    Raises InputError for one that is none.
    """
    ids = [schema_id(each) for each in VERSIONS]
    if name is None:
        return ids
    kind = name.removeprefix("inferometer/").partition("/")[0]
    if kind not in VERSIONS or (kind != name and name not in (schema_id(kind), f"{kind}/{VERSIONS[kind]}")):
        raise InputError(f"{name[:100]}: no such schema{did_you_mean(name, VERSIONS)}; known are {', '.join(ids)}")
    return json.loads(folder("schemas").joinpath(file_name(kind)).read_text(encoding="utf-8"))
