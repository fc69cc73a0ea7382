"""Which launches of several samples files are one: a reading that stands in two files is one reading all the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Launches, by file and number.
Launches = frozenset[tuple[str, int]]
LEAST_IMPORTED = 4
"""Imported cells, printed with few digits, that must all be equal before two launches of them count as one."""


@dataclass
class LaunchIdentity:
    """What tells a launch from all others, collected from its records as they are read."""

    starts: set[str] = field(default_factory=set)
    """Of each start of its ranks: when, in which processes."""
    cells: int = 0
    imported: list[str] = field(default_factory=list)

    def add(self, record: Mapping[str, Any]) -> None:
        if record["record"] == "launch":
            self.starts.add(_digest({name: value for name, value in record.items() if name != "launch"}))
            return
        self.cells += record["record"] in ("cell", "compute")
        if record["record"] == "cell" and record.get("us") is not None:
            self.imported.append(_digest([record["cell"], record["us"], record.get("statistic"), record.get("n")]))

    def names(self) -> Iterable[str]:
        """Two launches that have one of these in common are one."""
        yield from self.starts
        if not self.starts and len(self.imported) >= LEAST_IMPORTED:
            yield _digest(sorted(self.imported))


class LaunchBook:
    """All launches of some files."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], LaunchIdentity] = {}

    def add(self, path: str | Path, record: Mapping[str, Any]) -> None:
        """A checked record of the file at path."""
        if "launch" in record:
            self._known.setdefault((str(path), record["launch"]), LaunchIdentity()).add(record)

    def repeated(self) -> dict[tuple[str, int], tuple[str, int]]:
        """Each launch that stands elsewhere as well, and where it counts: where more cells of it are, else the first."""
        counted: dict[str, tuple[str, int]] = {}
        found: dict[tuple[str, int], tuple[str, int]] = {}
        for launch in sorted(self._known, key=lambda at: -self._known[at].cells):  # stable: of equals the first
            names = list(self._known[launch].names())
            other = next((counted[name] for name in names if name in counted), None)
            if other is not None:
                found[launch] = other
            counted |= dict.fromkeys(names, other or launch)
        return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
