"""What a run of nccl-tests prints: devices, settings and a table, as read, before anything is concluded from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inferometer.emulator.importers.source import MAX_ROWS

MAX_NAMES = 10_000
"""Hosts or kinds of GPU that are counted; a run on more nodes than that has an unknown number of them."""


@dataclass(slots=True)
class TableCell:
    """time, algbw, busbw and #wrong of one column group; wrong is None where it was not checked (N/A).

    printed: the first three as they stand there, whose digits say how exact they are.
    error: instead of wrong, the largest relative difference that versions before August 2022 printed there; beyond: whether
    the tool itself marked it.
    spread: least, greatest, 99th percentile (µs) and coefficient of variation (%) of the iterations, where -I printed them.
    """

    time: float
    algbw: float
    busbw: float
    printed: tuple[str, str, str]
    wrong: float | None
    error: float | None = None
    beyond: bool = False
    spread: tuple[float, ...] | None = None
    iterations_us: list[float] | None = None


def table_cell(time: str, algbw: str, busbw: str, wrong: float | None) -> TableCell:
    """From the printed numbers."""
    return TableCell(float(time), float(algbw), float(busbw), (time, algbw, busbw), wrong)


@dataclass(slots=True)
class TableRow:
    bytes: int
    dtype: str
    redop: str | None
    root: int | None
    out_of_place: TableCell | None
    in_place: TableCell | None
    count: int | None = None


@dataclass
class Devices:
    """The device list, counted as it is read: rank numbers, hosts and groups."""

    listed: int = 0
    highest: int = -1
    repeated: bool = False
    hosts: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    groups: dict[int, int] = field(default_factory=dict)
    """Ranks of each group."""
    hosts_of: dict[int, set[str]] = field(default_factory=dict)
    ranks: set[int] = field(default_factory=set)

    def add(self, rank: int, group: int, host: str, name: str) -> None:
        self.repeated |= rank in self.ranks
        if len(self.ranks) < MAX_ROWS:
            self.ranks.add(rank)
        self.listed += 1
        if rank > self.highest:
            self.highest = rank
        if len(self.hosts) < MAX_NAMES and len(self.groups) < MAX_NAMES:
            self.hosts.add(host)
            self.groups[group] = self.groups.get(group, 0) + 1
            (self.hosts_of.get(group) or self.hosts_of.setdefault(group, set())).add(host)
        if name and len(self.names) < MAX_NAMES:
            self.names.add(name)

    @property
    def complete(self) -> bool:
        """Every rank from 0 to the highest is there, once."""
        return self.listed > 0 and not self.repeated and self.listed == self.highest + 1


@dataclass
class NcclRun:
    """program: the collective as the run itself names it; mentioned: as a command line before it does."""

    first_line: int = 0
    last_line: int = 0
    program: str | None = None
    mentioned: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    """nthread, ngpus, min_bytes, max_bytes, step, iters, warmup_iters, graph, validation; as far as printed."""
    devices: Devices = field(default_factory=Devices)
    rows: list[TableRow] = field(default_factory=list)
    header: bool = False
    """Whether the table's head was read."""
    cpu_time: bool = False
    errors: bool = False
    """Whether the last column of a group is the largest relative difference, not a number of wrong elements."""
    milliseconds: bool = False
    """Whether the head is that of versions until March 2019, whose times are in ms."""
    torn: int = 0
    average: str | None = None
    out_of_bounds: int | None = None
    reduced_max_bytes: bool = False
    footer: bool = False
    prefixed: bool = False
    from_rank: str = ""
    """The process whose output this is, where a launcher labels lines."""
    tool_version: str | None = None
    agreed: tuple[int | None, TableRow | None] | None = None
    """What `arithmetic.parts_of` found."""
    registered: int = 0
    """-R: 1 where user buffers were registered, 2 for symmetric memory."""
    library_version: str | None = None

    @property
    def empty(self) -> bool:
        return not self.rows and not self.torn

    @property
    def per_process(self) -> int | None:
        """Ranks of one process: nThread × nGpus."""
        if "nthread" not in self.settings or "ngpus" not in self.settings:
            return None
        return int(self.settings["nthread"]) * int(self.settings["ngpus"]) or None


def library_version(code: int) -> str | None:
    """22807 → 2.28.7, 2708 → 2.7.8 (NCCL_VERSION_CODE; wider since 2.9)."""
    if code >= 10000:
        return f"{code // 10000}.{code // 100 % 100}.{code % 100}"
    return f"{code // 1000}.{code // 100 % 10}.{code % 100}" if code > 0 else None
