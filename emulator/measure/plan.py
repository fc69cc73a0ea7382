"""Which cells a launch visits: the sweep's tiers spread over the machine's groups, in the order of importance.

Small ones are measured in turns: a batch of each, and again, until each has enough. Such a cell has its iterations within
some hundredths of a second, and the machine has spells of tenths of a second and more in which every operation takes longer.
One cell after the other would show such a spell as a property of the sizes that it happened to hit. In turns the cells share
it, and each has its iterations from a second or two.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from inferometer.emulator.measure.method import Method, Tier
from inferometer.parallel.collective_record import Call, Collective
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.device.device import LaunchMode
from inferometer.parallel.dtypes import DTYPES
from inferometer.parallel.mesh import RankMesh

TOGETHER = 8
"""Cells at most; their buffers exist at the same time …"""
SMALL_BYTES = 1 << 20
"""… and are no larger than this."""
LEAST_TURNS = 6
"""Of a cell that is measured in turns, before it may end by its interval."""
ITERATIONS = 10
"""Of one turn, about."""


@dataclass(frozen=True)
class Cell:
    """One point of the sweep. ``mesh`` indexes the launch's list of group meshes."""

    collective: str
    dtype: str
    requested_bytes: int
    timing: str
    groups: str
    mesh: int
    ranks: int
    nodes: int
    tier: int
    compute_gap_us: float = 0.0
    """Of ``in_step``: about how long the ranks compute between two calls."""
    launch_mode: LaunchMode = "host"
    """How the operation reaches the device: see timing.py."""

    @property
    def graph(self) -> bool:
        return self.launch_mode == "graph"

    @property
    def record(self) -> Collective:
        return COLLECTIVES[self.collective]

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return DTYPES[self.dtype].itemsize

    @property
    def elements(self) -> int:
        """Nominal elements of a call; 0 where not even one per shard fits."""
        return self.record.elements(self.requested_bytes, self.itemsize, self.ranks)

    @property
    def id(self) -> str:
        """The same cell in every launch on the same ranks."""
        where = f"{self.ranks}x{self.nodes}/{self.groups}"
        gap = f"/{self.compute_gap_us:g}" if self.compute_gap_us else ""
        mode = "" if self.launch_mode == "host" else f"/{self.launch_mode}"
        return f"{self.collective}/{self.dtype}/{self.requested_bytes}/{where}/{self.timing}{gap}{mode}"


@dataclass(frozen=True)
class GroupMesh:
    """A mesh with the node count of its groups."""

    mesh: RankMesh
    nodes: int


def candidate_cells(method: Method, meshes: Sequence[GroupMesh]) -> list[Cell]:
    """Every cell that the sweep asks for and the groups allow, most important first, none twice."""
    cells: dict[str, Cell] = {}
    for index, tier in enumerate(method.sweep.tier):
        sizes = {dtype: _sizes_of(tier, method, dtype) for dtype in method.dtypes}
        for size in coarse_to_fine(sorted(set().union(*sizes.values()))):
            for dtype in (d for d in method.dtypes if size in sizes[d]):
                for cell in _cells_of(method, index, size, dtype, meshes):
                    cells.setdefault(cell.id, cell)
    return list(cells.values())


def _sizes_of(tier: Tier, method: Method, dtype: str) -> list[int]:
    if tier.sizes == "sweep":
        return method.sizes_bytes
    return decode_sizes(method, dtype) if tier.sizes == "decode" else _within(method, tier.sizes)


def _within(method: Method, sizes: Iterable[int]) -> list[int]:
    """Those of the sizes that lie in the range asked for, in order."""
    return sorted(size for size in sizes if min(method.sizes_bytes) <= size <= max(method.sizes_bytes))


def _cells_of(method: Method, index: int, size: int, dtype: str, meshes: Sequence[GroupMesh]) -> list[Cell]:
    tier = method.sweep.tier[index]
    timings = [(timing, compute_gap_us) for timing in tier.timings for compute_gap_us in _compute_gaps_us(method, timing)]
    cells = []
    for number, group_mesh in enumerate(meshes):
        ranks = group_mesh.mesh.degree("member")
        for name in tier.collectives:
            record = COLLECTIVES[name]
            if (record.pair and ranks != 2) or record.elements(size, DTYPES[dtype].itemsize, ranks) == 0:
                continue
            for groups in tier.groups:
                if groups == "all" and group_mesh.mesh.degree("block") == 1:
                    continue  # one group is the whole mesh: the same cell as alone
                for timing, compute_gap_us in timings:
                    bytes_ = size if record.sized else 0
                    place = (groups, number, ranks, group_mesh.nodes, index)
                    for mode in _modes(method, timing, record):
                        cells.append(Cell(name, dtype, bytes_, timing, *place, compute_gap_us, mode))
    return cells


def _modes(method: Method, timing: str, record: Collective) -> list[LaunchMode]:
    """The launch modes in which a timing means something of its own.

    Back to back is what a graph's operations are anyway, and what an idle device has none of; in a step the device is never
    idle. The null operation leaves a graph empty.
    """
    without: dict[str, set[LaunchMode]] = {"pipelined": {"graph", "eager"}, "in_step": {"eager"}}
    barred = without.get(timing, set()) | ({"graph"} if record.solo else set())
    return [mode for mode in method.launch_modes if mode not in barred]


def _compute_gaps_us(method: Method, timing: str) -> list[float]:
    return method.sweep.in_step.compute_gap_us if timing == "in_step" else [0.0]


def decode_sizes(method: Method, dtype: str) -> list[int]:
    """Bytes of the activations of one decode step, batch × d_model elements, within the sweep's range of sizes."""
    shapes = [(batch, d_model) for batch in method.sweep.decode.batches for d_model in method.sweep.decode.d_models]
    return _within(method, {batch * d_model * DTYPES[dtype].itemsize for batch, d_model in shapes})


def coarse_to_fine(sizes: Sequence[int]) -> list[int]:
    """The ends first, then the middle of the widest gap: any beginning of the list spans the range."""
    chosen = list(dict.fromkeys([0, len(sizes) - 1])) if sizes else []
    while len(chosen) < len(sizes):
        at = sorted(chosen)
        low, high = max(zip(at, at[1:]), key=lambda gap: gap[1] - gap[0])
        chosen.append((low + high) // 2)
    return [sizes[i] for i in chosen]


def takes_turns(cell: Cell) -> bool:
    """Whether a cell is measured in turns with its neighbours: small, isolated, timed by the host."""
    return cell.timing == "isolated" and cell.launch_mode == "host" and cell.requested_bytes <= SMALL_BYTES


def in_turns(cells: Sequence[Cell]) -> Iterator[tuple[int, Sequence[Cell]]]:
    """The cells in their order, cut into runs that are measured together, each with the index of its first."""
    first = 0
    while first < len(cells):
        last = first + 1
        while last < len(cells) and last - first < TOGETHER and takes_turns(cells[first]) and takes_turns(cells[last]):
            last += 1
        yield first, cells[first:last]
        first = last


def shuffled(cells: Sequence[Cell], seed: int, launch: int, by_tier: bool) -> list[Cell]:
    """The cells in the random order of this launch; those that take turns stand together, TOGETHER at a time.

    ``by_tier`` keeps the tiers in their order, in each the cells of the most ranks first, and shuffles otherwise: the first
    launch runs so until its share of the budget is spent, which decides what the later launches (shuffled as a whole) visit.
    """
    order = random.Random(f"{seed}/{launch}")
    mixed = list(cells)
    order.shuffle(mixed)
    if by_tier:
        widest = max((cell.ranks for cell in cells), default=0)  # as many ranks as were asked for
        return sorted(mixed, key=lambda cell: (cell.tier, cell.ranks != widest))
    small = [cell for cell in mixed if takes_turns(cell)]
    runs = [small[at : at + TOGETHER] for at in range(0, len(small), TOGETHER)]
    runs += [[cell] for cell in mixed if not takes_turns(cell)]
    order.shuffle(runs)
    return [cell for run in runs for cell in run]


def buffer_bytes(record: Collective, size_bytes: int, dtype: str, ranks: int) -> int:
    """Memory that the buffers of a cell take on the rank that holds most: see `work.Work` for what they are."""
    width = DTYPES[dtype].itemsize
    call = Call(record.elements(size_bytes, width, ranks), ranks, 0)
    sent = call.elements if record.sized else 1
    held = max(record.accounted_elements(call), record.output_elements(call), 1)
    patterns = 2 * (sent + held)  # int16, while the tensors are made from them
    return width * (2 * sent + 2 * held) + patterns
