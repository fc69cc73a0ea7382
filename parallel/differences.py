"""Where two nested documents differ."""

from __future__ import annotations

from typing import Any


def first_difference(one: Any, other: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Path, value in one, value in other of the first field in which two nested dicts differ; None where they are equal."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(k for k in other if k not in one)]:
            found = first_difference(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    return None if one == other else (path, one, other)
