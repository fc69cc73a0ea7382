"""The first record of a samples file, and whether two of them belong to one measurement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from inferometer.emulator.measure.environment import environment
from inferometer.emulator.measure.method import Method, Strict


def header_for(method: Strict, variables: Mapping[str, str]) -> dict[str, Any]:
    """``variables``: the environment that the ranks get."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": environment(variables),
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
        "software": known.get("software"),
        "variables": known.get("variables"),
        "method": method,
    }


def first_difference(held: Any, now: Any, path: str = "") -> str | None:
    """The first field in which two nested dicts differ, in words; None where they are equal."""
    if isinstance(held, dict) and isinstance(now, dict):
        for key in [*held, *(k for k in now if k not in held)]:
            found = first_difference(held.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    return None if held == now else f"{path} is {held!r} in the file and {now!r} here"
