"""The first record of a samples file, and whether two of them belong to one measurement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inferometer.emulator.measure.method import Method, Strict
from inferometer.emulator.samples.compare import software_used
from inferometer.emulator.samples.environment import environment


def header_for(method: Strict, variables: Mapping[str, str], cores: int | None = None) -> dict[str, Any]:
    """``variables``: the environment that the ranks get; ``cores``: as of `environment`."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(variables, cores),
        "method": method.model_dump(mode="json"),
    }


def comparable(header: dict[str, Any]) -> dict[str, Any]:
    """What must be equal for two runs to be one measurement: the machine, the software, the method."""
    known = header.get("environment", {})
    try:
        method = Method.model_validate(header["method"]).comparable()
    except (KeyError, ValueError):
        method = header.get("method", {})
    return {
        "hardware": known.get("hardware"),
        "software": software_used(known.get("software"), method.get("backend")),
        "variables": known.get("variables"),
        "method": method,
    }
