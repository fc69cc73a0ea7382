"""The records that all parts of a calibration file share, schema inferometer/calibration/2. Unknown is null, never 0.

Times are in µs, sizes in bytes (nccl-tests' convention), bandwidths in GB/s = 1e9 bytes/s of bus bandwidth, errors
are fractions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat, JsonValue

SCHEMA: Literal["inferometer/calibration/2"] = "inferometer/calibration/2"

Status = Literal["fitted", "fixed_prior", "tied", "not_identified", "at_bound"]
Verdict = Literal["ok", "usable_with_care", "unsuitable_for_calibration"]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FromList = BeforeValidator(_as_tuple)
"""Of a field that is a tuple: a document has a list there, which strict validation refuses."""
Pair = Annotated[tuple[FiniteFloat, FiniteFloat], FromList]
#: What measuring recorded is kept as it is.
Free = dict[str, JsonValue]


class Record(BaseModel):
    """A part of the file: no unknown fields, no changes after it was made."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Target(Record):
    """The key a law or a cell belongs to.

    oversubscribed: whether a node had more ranks × threads than usable cores; null where that is not known (imported).
    """

    collective: str
    implementation: str | None
    backend: str | None
    launch_mode: str | None
    timing: str | None
    dtype: str | None
    concurrent_groups: int | str | None
    scheduler: str | None
    oversubscribed: bool | None = None


class RawFile(Record):
    """One file of samples the calibration was made from."""

    path: str
    sha256: str | None = None
    rows: int | None = None


class Provenance(BaseModel):
    """Where the numbers come from. Further fields of the measuring side are kept."""

    model_config = ConfigDict(defer_build=True, extra="allow", frozen=True, allow_inf_nan=False)
    kind: Literal["measured", "imported", "published", "synthetic"]
    raw: list[RawFile] = []
    hardware: Free | None = None
    topology: Free | None = None
    software: Free | None = None
    env: Free | None = None
    conditions: Free | None = None


class Generator(Record):
    """The program that wrote the file; version is null when it ran without being installed."""

    name: str
    version: str | None


class Times(Record):
    """Distribution of a cell's iteration times, µs; median is the median of the launch medians, ci its 95 % interval
    over launches (null with fewer than 3), the rest over all iterations (null when imported without them)."""

    median: FiniteFloat | None
    ci: Pair | None = None
    min: FiniteFloat | None = None
    p5: FiniteFloat | None = None
    p25: FiniteFloat | None = None
    p75: FiniteFloat | None = None
    p95: FiniteFloat | None = None
    p99: FiniteFloat | None = None
    mean: FiniteFloat | None = None
    mad: FiniteFloat | None = None


class Cell(Record):
    """One measured cell over all launches. n_eff: iterations corrected for lag-1 autocorrelation."""

    target: Target
    bytes: int
    ranks: int
    nodes: int
    launch_medians: list[FiniteFloat | None]
    us: Times
    n: int
    n_eff: FiniteFloat | None
    between_launch_rsd: FiniteFloat | None
    wrong: int | None
    flags: list[str]


class Parameter(Record):
    """One parameter. value is null with a reason unless it was determined; unit is us, GB/s, bytes, ns/byte or 1.

    ci95_over: what the interval was made over: launches, or (imported times of too few launches) the cells of the fit,
    which says how well the law's parameters follow from these cells and nothing of what another launch would give.
    """

    value: FiniteFloat | None
    unit: str
    ci95: Pair | None
    ci95_reason: str | None = None
    ci95_over: Literal["launches", "cells"] | None = None
    within_launch_ci95: Pair | None = None
    status: Status
    reason: str | None = None
    source: str


class HeldOutError(Record):
    """Relative errors |predicted/measured − 1| at n held-out points; null with a reason where there are none."""

    median: FiniteFloat | None
    p90: FiniteFloat | None
    n: int
    reason: str | None = None


class NotFitted(Record):
    """A key whose rows could not be fitted, and why."""

    target: Target
    reason: str
    n_excluded: dict[str, int]


class LaunchFloor(Record):
    """The time of the null operation: what dispatching anything costs, µs. launch_medians are those of one cell."""

    target: Target
    ranks: int
    nodes: int
    us: FiniteFloat
    launch_medians: list[FiniteFloat]


class BrokenGuideline(Record):
    """A rule that one cell's median breaks, ratio times what it allows."""

    rule: Literal[
        "monotone_in_size", "split", "all_reduce_by_parts", "part_of_all_reduce", "part_of_all_to_all", "line_rate"
    ]
    target: Target
    ranks: int
    nodes: int
    bytes: int
    ratio: FiniteFloat
    text: str


class Guidelines(Record):
    """Which self-consistency rules the measured times break by more than the tolerance, and which were not checked."""

    tolerance: FiniteFloat
    broken: list[BrokenGuideline]
    not_checked: dict[str, str]


class Quality(Record):
    """Whether to rely on the calibration, in plain words."""

    verdict: Verdict
    reasons: list[str]


def schema_document(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a file whose top record is model."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://inferometer.invalid/{SCHEMA}",
        **model.model_json_schema(by_alias=True),
    }
