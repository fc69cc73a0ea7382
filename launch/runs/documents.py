"""The records of the JSON that commands write, as types, from which their JSON Schemas are made.

Most hold records that are defined where they are made; the tables, whose columns depend on what was asked, are open.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, create_model

from inferometer.configs import folder
from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.schema.records import schema_document
from inferometer.emulator.compare.collectives import Change
from inferometer.emulator.compare.deployments import Deployment
from inferometer.emulator.economics.serving.prediction import Prediction
from inferometer.emulator.measure.doctor import Finding
from inferometer.emulator.measure.method import Stop
from inferometer.emulator.report.serving.records import SERVING_FIELDS
from inferometer.emulator.validate.accounting import Account
from inferometer.emulator.validate.comparison import Compared
from inferometer.emulator.validate.predicted import Priced
from inferometer.launch.runs.schemas import VERSIONS, file_name, schema_id

OPEN = ConfigDict(extra="allow")
Settings = dict[str, Any]
"""What was asked for, as the samples file of the same run has it."""


@dataclass(frozen=True)
class ModelPrecision:
    weights: str
    formats: dict[str, int] | None
    kv_bits: int
    state_bits: int


@dataclass(frozen=True)
class ModelRecord:
    """What was read of a model: storage.summary.model_record."""

    name: str
    type: str | None
    parameters: int
    active_parameters: int
    parts: dict[str, int]
    kv_bytes_per_token: float
    state_bytes_per_sequence: float
    context: int
    max_context: int | None
    cache_bytes: float
    cache_bytes_bfloat16: float
    weight_bytes: float
    precision: ModelPrecision
    layers: dict[str, int]
    notes: list[str]
    source: str


@dataclass(frozen=True)
class FrontierRow:
    """One deployment, with the columns that every frontier has; those of its convention and search follow."""

    __pydantic_config__ = OPEN

    gpus: float
    batch: float
    token_latency_s: float
    tokens_per_s: float
    throughput_tokens_per_s: float
    tokens_per_s_per_gpu: float
    gpu_s_per_token: float
    usd_per_mtok: float | None
    ttft_s: float | None
    layout: str
    network: str


@dataclass(frozen=True)
class MeasuredCell:
    """One cell of one launch: times in us, bandwidths in GB/s. samples.cell_table has the other columns."""

    __pydantic_config__ = OPEN

    collective: str
    implementation: str
    backend: str
    timing: str
    dtype: str
    bytes: int
    ranks: int
    nodes: int
    launch: int
    us: float
    n: int
    wrong: int | None
    flags: list[str]
    alg_bw: float | None
    bus_bw: float | None


@dataclass(frozen=True)
class ReproducedRow:
    """economics.paper.published.reproduce.Comparison."""

    id: str
    source: str
    title: str
    where: str
    what: str
    function: str
    settings: dict[str, Any]
    printed: float
    ours: float
    unit: str
    rel_diff: float
    tolerance: float
    ok: bool
    status: Literal["reproduced", "source_error", "stale", "measured", "failed"]
    reason: str


@dataclass(frozen=True)
class LawTarget:
    """The key of the exported law."""

    __pydantic_config__ = OPEN

    collective: str


@dataclass(frozen=True)
class ExportedLaw:
    target: LawTarget
    form: str
    equation: str


@dataclass(frozen=True)
class WorstError:
    error: float
    bytes: int


@dataclass(frozen=True)
class Agreement:
    """Of one collective on one topology: where the target is within 5 % of the full law, and its worst error."""

    collective: str
    ranks: int
    nodes: int
    within_5_percent: list[tuple[int, int]]
    share_within: float
    worst: WorstError | None
    silent: str | None


@dataclass(frozen=True)
class ImportedRun:
    """One run of one file, or one table; further facts of its format follow."""

    __pydantic_config__ = OPEN

    file: str
    sha256: str
    rows: int
    cells: int


@dataclass(frozen=True)
class ComparedSubject:
    name: str
    id: str
    verdict: str


@dataclass(frozen=True)
class ComparedChanges(ComparedSubject):
    settings_changed: dict[str, tuple[Any, Any]]
    changes: list[Change]
    only_old: list[str]
    only_new: list[str]


@dataclass(frozen=True)
class ListedRow:
    """What is built in under a name; the columns depend on what was listed."""

    __pydantic_config__ = OPEN

    name: str


@dataclass(frozen=True)
class EmulatedPhase(Account):
    split_us: dict[str, float | None]
    predicted: Priced | None


@dataclass(frozen=True)
class ValidatedWith:
    id: str
    path: str
    quality: str


@dataclass(frozen=True)
class ValidatedMatrix:
    name: str
    path: str


@dataclass(frozen=True)
class ValidationMethod:
    backend: str
    scheduler: str
    threads: int
    launches: int
    stop: Stop


@dataclass(frozen=True)
class ValidationLaunch:
    ranks: int
    launch: int
    load_1m: float | None
    steal_fraction: float | None


@dataclass(frozen=True)
class LeftOut:
    cell: int
    reason: str


FIELDS: dict[str, dict[str, Any]] = {
    "comparison": {
        "old": ComparedSubject,
        "new": list[ComparedChanges],
        "question": Settings | None,
        "deployments": list[Deployment],
    },
    "doctor": {"findings": list[Finding]},
    "emulation-summary": {
        "samples": str,
        "method": Settings,
        "not_kept": list[str],
        "phases": list[EmulatedPhase],
    },
    "export-statement": {
        "files": list[str],
        "target": str,
        "carries": str,
        "calibration": str,
        "laws": list[ExportedLaw],
        "dropped": list[str],
        "use": list[str],
        "tolerance": float,
        "agreement": list[Agreement],
    },
    "frontier": {"rows": list[FrontierRow]},
    "import-report": {"files": list[ImportedRun]},
    "list": {"what": str, "rows": list[ListedRow]},
    "measurement-summary": {
        "samples": str,
        "method": Settings,
        "out_of_bounds": int,
        "average_bus_bandwidth": float | None,
        "cells": list[MeasuredCell],
    },
    "model": {"model": ModelRecord},
    "models": {"models": list[str], "types": list[str]},
    "prediction": {**get_type_hints(Prediction), "model": str | ModelRecord},
    "reproduction": {"rows": list[ReproducedRow], "summary": dict[str, int]},
    **SERVING_FIELDS,
    "validation": {
        "created": str,
        "environment": dict[str, Any],
        "calibration": ValidatedWith,
        "matrix": ValidatedMatrix,
        "method": ValidationMethod,
        "samples": list[str],
        "launches": list[ValidationLaunch],
        "left_out": list[LeftOut],
        "overall": dict[str, Any],
        "missed": list[dict[str, Any]],
        "notes": list[str],
        "extrapolation": list[dict[str, Any]],
        "cells": list[Compared],
    },
}
"""By kind, what follows `schema`."""


def derived(name: str) -> dict[str, Any]:
    """The JSON Schema of a document, made from its record."""
    if name == "calibration":
        return schema_document(Calibration)
    fields: dict[str, Any] = {field: (kind, ...) for field, kind in FIELDS[name].items()}
    made = TypeAdapter(create_model(name, **fields)).json_schema(mode="serialization")
    made["properties"] = {"schema": {"const": schema_id(name)}} | made["properties"]
    for part in (made, *made.get("$defs", {}).values()):
        _close(part)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://inferometer.invalid/{schema_id(name)}",
    }
    return head | made


def _close(part: dict[str, Any]) -> None:
    """A record is written whole: all of its fields are there, and no other unless it is open."""
    if "properties" in part and part.get("additionalProperties") is not True:
        part |= {"required": list(part["properties"]), "additionalProperties": False}


def write_schemas(place: Path | None = None) -> None:
    """Write all of them anew, among the built-in data or into another folder."""
    for name in VERSIONS:
        ((place or folder("schemas")) / file_name(name)).write_text(json.dumps(derived(name), indent=2) + "\n")
