"""Whether two samples files belong to one measurement."""

from __future__ import annotations

from typing import Any


def first_difference(held: Any, now: Any, path: str = "") -> str | None:
    """The first field in which two nested dicts differ, in words; None where they are equal."""
    if isinstance(held, dict) and isinstance(now, dict):
        for key in [*held, *(k for k in now if k not in held)]:
            found = first_difference(held.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    return None if held == now else f"{path} is {held!r} in the file and {now!r} here"
