"""What is known of one collective, in one record that communicators, measuring, fitting, tables and importers read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.parallel.routing import split_matrix
from inferometer.parallel.traffic import Traffic

if TYPE_CHECKING:
    import torch

    from inferometer.parallel.communicator import Communicator

Run = Callable[["Communicator", "torch.Tensor", "torch.Tensor", Any], None]


@dataclass(frozen=True)
class Call:
    """One rank's part in one call: ``elements`` nominal elements in a group of ``size``, as group rank ``rank`` has it."""

    elements: int
    size: int
    rank: int

    @property
    def shard(self) -> int:
        """Elements of one rank's share."""
        return self.elements // self.size

    def splits(self, kind: str) -> np.ndarray:
        return split_matrix(kind, self.elements, self.size)


@dataclass(frozen=True, kw_only=True)
class ToolNames:
    """What other tools call a collective; None where a tool has no such thing."""

    tests: str | None
    """The program of nccl-tests and rccl-tests, without ``_perf``; importers call the collective by it."""
    spellings: tuple[str, ...] = ()
    """Further names in logs and tables (OSU, IMB, CSV), lower case, letters and digits alone."""
    aiconfigurator: str | None
    """op_name in nccl_perf and custom_allreduce_perf."""
    vidur: str | None
    """The file of data/profiling/network, and the column in it."""
    nccl_tuner: str | None
    """In the configuration of NCCL's example tuner plugin."""
    tests_print_redop: bool = False
    """nccl-tests prints a reduction for it."""
    tests_check_in_place: bool = True
    """nccl-tests checks its results in place; else #wrong is N/A there."""
    mpi_counts_shards: bool = False
    """The size that OSU and IMB print is one rank's shard: the total is that times the ranks."""


@dataclass(frozen=True, kw_only=True)
class Collective:
    """One collective. Without a default: whatever it cannot be measured, fitted, printed or imported without.

    Sizes follow nccl-tests: ``bytes_are`` says what of the group's buffers is counted. Raises TypeError for a field that is
    missing, ValueError for one that contradicts another: both when the record is made, before anything is measured.
    """

    name: str
    bytes_are: str
    """What ``bytes`` counts, in words."""
    input_elements: Callable[[Call], int]
    """Elements of this rank's input buffer."""
    output_elements: Callable[[Call], int]
    """Elements of this rank's output buffer; 0 where the operation works in place."""
    data: Callable[[Call], np.ndarray]
    """This rank's input, int16."""
    expected: Callable[[Call], np.ndarray]
    """What this rank must hold afterwards, int16; shorter than its buffer where the rest is undefined."""
    run: Run
    """(communicator, input, output, prepared)."""
    traffic: Traffic
    tools: ToolNames
    prepare: Callable[[Call], Any] = lambda call: None
    """Whatever ``run`` needs that must not be made inside the timed region, such as split lists."""
    accounted_elements: Callable[[Call], int] = lambda call: call.elements
    """Elements that ``bytes`` counts."""
    in_shards: bool = False
    """``elements`` is rounded down to a multiple of the ranks."""
    in_place: bool = False
    """The result replaces the input: there is no output buffer."""
    sums: bool = False
    """The operation adds numbers, which not every backend can do in every dtype."""
    rooted: bool = False
    """One rank, 0 here, sends or receives all."""
    point_to_point: bool = False
    """Made of sends and receives, whose protocol the transport may switch at a size."""
    sized: bool = True
    """False: it carries no data (barrier, null)."""
    pair: bool = False
    """It is defined for two ranks only."""
    solo: bool = False
    """It runs on a group of one rank: the dispatch without the communication."""
    operations: int = 1
    """Operations in one run, in sequence: 2 for a ping-pong, whose time is half the round trip."""

    def __post_init__(self) -> None:
        empty = [field.name for field in fields(self) if getattr(self, field.name) in (None, "")]
        if empty:
            raise ValueError(f"the collective {self.name!r} lacks {', '.join(empty)}")
        if self.sized == (self.traffic.pattern == "nothing"):
            raise ValueError(f"{self.name}: sized = {self.sized}, but its traffic is {self.traffic.pattern!r}")

    def elements(self, size_bytes: int, itemsize: int, ranks: int) -> int:
        """Nominal elements of a call of about ``size_bytes``: 0 where not even one per shard fits."""
        if not self.sized:
            return 1
        granularity = ranks if self.in_shards else 1
        return size_bytes // itemsize // granularity * granularity

    def bus_factor(self, ranks: int) -> float:
        """busbw / algbw for so many ranks on one node, as nccl-tests' PERFORMANCE.md derives it; 0 without data."""
        return self.traffic.bus_factor(ranks)

    @property
    def nccl_redop(self) -> str:
        """In the column ``redop`` of nccl-tests' table."""
        return "sum" if self.sums else "none"

    @property
    def nccl_root(self) -> int:
        """In the column ``root`` of nccl-tests' table."""
        return 0 if self.rooted else -1


def by_name(records: Iterable[Collective]) -> Mapping[str, Collective]:
    """The records by name. Raises ValueError where two have a name, or another tool's name, in common."""
    found: dict[str, Collective] = {}
    spelt: dict[str, str] = {}
    for record in records:
        if record.name in found:
            raise ValueError(f"two collectives are called {record.name}")
        for word in (record.tools.tests, *record.tools.spellings):
            if word is None:
                continue
            if word in spelt:
                raise ValueError(f"{record.name} and {spelt[word]} are both called {word} by other tools")
            spelt[word] = record.name
        found[record.name] = record
    return MappingProxyType(found)
