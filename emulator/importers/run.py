"""What every importer makes of a file: runs, each a table of sizes with their times, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.parallel.collectives import COLLECTIVES


@dataclass(slots=True)
class Row:
    """One line of a table. us: time of one operation, µs; None where there is none. excluded: why no fit may see it."""

    bytes: int | None
    us: float | None
    dtype: str | None = None
    wrong: int | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    excluded: str | None = None
    iterations_us: list[float] | None = None
    """The single iterations where the source gives them, of the slowest rank, in their order."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Rows go from process to process by the hundred thousand: as their fields, in half of the usual time."""
        return Row, (self.bytes, self.us, self.dtype, self.wrong, self.extra, self.excluded, self.iterations_us)


@dataclass
class Run:
    """One run of one benchmark. What the source does not say is None.

    tool_collective is the source's own name of the collective, collective the one samples use (None: no law knows it).
    flags: name → what was found, in words. facts: further entries of the report.
    """

    rows: list[Row]
    tool_collective: str | None = None
    collective: str | None = None
    ranks: int | None = None
    nodes: int | None = None
    implementation: str | None = None
    backend: str | None = None
    launch_mode: str | None = None
    timing: str | None = None
    concurrent_groups: int | str = 1
    variant: str = ""
    """What makes it another operation than the plain one (max, agg4, nonblocking): part of the law's implementation."""
    statistic: str = "mean"
    iterations: int | None = None
    device: str | None = None
    backend_version: str | None = None
    flags: dict[str, str] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def flag(self, name: str, why: str) -> None:
        self.flags.setdefault(name, why)

    def call(self, tool_collective: str | None) -> None:
        """Set the collective by the tool's name for it; one that no law knows is named all the same."""
        self.tool_collective = tool_collective
        self.collective = TOOL_COLLECTIVES.get(tool_collective) if tool_collective else None

    def exclude_all(self, reason: str) -> None:
        for row in self.rows:
            row.excluded = row.excluded or reason

    @property
    def kept(self) -> list[Row]:
        return [row for row in self.rows if row.excluded is None]

    def excluded(self) -> dict[str, int]:
        return dict(sorted(Counter(row.excluded for row in self.rows if row.excluded).items()))

    def dtypes(self) -> list[str]:
        return sorted({row.dtype for row in self.rows if row.dtype is not None})


TOOL_COLLECTIVES: dict[str, str | None] = {
    **{record.tools.tests: name for name, record in COLLECTIVES.items() if record.tools.tests},
    "barrier": "barrier",
    "alltoallv": None,  # its splits are drawn at random
    "alltoallw": None,
    "allgatherv": None,
    "gatherv": None,
    "scatterv": None,
    "hypercube": None,
}
"""nccl-tests' names → those of samples; None where no law is known."""


PAIR = "send_recv"

KNOWN_WORDS = {
    "timing": ("isolated", "pipelined", "kernel"),
    "launch_mode": ("host", "stream", "graph", "eager"),
    "statistic": ("mean", "median", "min", "max"),
}
"""The words that have few values; the others name libraries, devices, versions."""


def known_word(key: str, value: str, where: str) -> str:
    """value, one of `KNOWN_WORDS` where key has a list. Raises ``InputError`` for another."""
    known = KNOWN_WORDS.get(key)
    if known and value not in known:
        raise InputError(f"{where}: {key} is {value[:40]!r}, known are {', '.join(known)}")
    return value


def tool_name(text: str) -> str | None:
    """Any spelling of a collective (``AllReduce``, ``all-to-all``, ``alltoall_perf``) as a key of `TOOL_COLLECTIVES`."""
    if text.strip().lower() == PAIR:  # nccl-tests' sendrecv is a ring
        return PAIR
    plain = "".join(c for c in text.lower() if c.isalnum() and c.isascii()).removesuffix("perf").removesuffix("mpi")
    for name, ours in TOOL_COLLECTIVES.items():
        spellings = COLLECTIVES[ours].tools.spellings if ours else ()
        if name != PAIR and plain in (name.replace("_", ""), *spellings):
            return name
    return None
