"""Whether two samples files belong to one measurement."""

from __future__ import annotations

from typing import Any

from inferometer.parallel import differences


def first_difference(held: Any, now: Any, path: str = "") -> str | None:
    """The first field in which two nested dicts differ, in words; None where they are equal."""
    found = differences.first_difference(held, now, path)
    return found and f"{found[0]} is {found[1]!r} in the file and {found[2]!r} here"
