"""One launch of a measurement, on one rank: visit the cells, check the data, take the times, hand them to rank 0.

Small cells are measured in turns (plan.py). Everything that ranks must agree on goes through the control plane, outside
the timed region. A rank that has no part in a cell simply waits there for the next one, asleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from inferometer.emulator.measure.clocks import TOLERATED, Clocks
from inferometer.emulator.measure.filler import Filler
from inferometer.emulator.measure.method import Method
from inferometer.emulator.measure.plan import ITERATIONS, LEAST_TURNS, Cell, GroupMesh, in_turns
from inferometer.emulator.measure.reference import BYTES, EVERY, Reference
from inferometer.emulator.measure.rests import Rests
from inferometer.emulator.measure.stopping import reason_to_end
from inferometer.emulator.measure.timing import GraphTimer, HostTimer, QueueTimer, Timer
from inferometer.emulator.measure.visit import Visit
from inferometer.emulator.measure.work import Work
from inferometer.emulator.samples.samples import OVERSUBSCRIBED, SHARED_GPU
from inferometer.emulator.samples.statistics import summary
from inferometer.emulator.samples.times import time_definition
from inferometer.parallel.communicator import Communicator, UnsupportedDtype
from inferometer.parallel.control import Control
from inferometer.parallel.device.device import Device
from inferometer.parallel.device.here import device_of
from inferometer.parallel.placement import Placement

PIPELINE_S = 0.02
"""A pipelined iteration lasts about this long, or PIPELINE_OPERATIONS operations (nccl-tests' 20) if that is shorter."""
PIPELINE_OPERATIONS = 20
PIPELINE_MIN_ITERATIONS = 8
GRAPH_OPERATIONS = 20
"""Of one graph: a decode engine launches a step's worth of them at once."""
BATCH_S = 0.25
"""Iterations between two decisions last at most about this long …"""
BATCH_MAX = 50
"""… and are at most this many; a decision costs about as much as one small collective."""


@dataclass
class Seat:
    """This rank's communicators in one mesh: ``group``, its own group; ``everyone``, all ranks of the mesh."""

    group: Communicator | None
    everyone: Communicator | None


@dataclass
class Launch:
    """What a rank needs to take part in one launch."""

    method: Method
    control: Control
    placement: Placement
    world: Communicator
    cores: int
    number: int = 0
    """Of the launch, from 0: each draws what it probes anew."""
    meshes: list[GroupMesh] = field(default_factory=list)
    seats: list[Seat] = field(default_factory=list)
    solo: Communicator | None = None
    doing: str = "starting up"
    """What this rank is at, for whoever has to explain a failure."""
    busy_since: float | None = None
    """Since when (time.monotonic) this rank has been in its present batch of collectives; None: it waits or reckons."""

    @cached_property
    def device(self) -> Device:
        """That the collectives' buffers are on."""
        return device_of(self.world.device)

    def timer(self, cell: Cell) -> Timer:
        """A new one for a cell: a graph holds the cell's buffers."""
        if cell.launch_mode == "host":
            return HostTimer()
        return GraphTimer(self.device, GRAPH_OPERATIONS) if cell.graph else QueueTimer(self.device, cell.launch_mode)

    @cached_property
    def filler(self) -> Filler:
        """What this rank computes between the collectives of a step; made when a cell first needs it."""
        return Filler(self.device)

    @cached_property
    def clocks(self) -> Clocks:
        """Of the machines, where the ranks are on several."""
        machines = self.placement.machine_of or self.placement.node_of
        return Clocks((0,) * self.world.size if self.placement.one_clock else machines)

    def _aligned(self, ranks: Sequence[int], first_s: float) -> bool:
        """Whether the ranks' clocks are known well enough to compare their readings of operations of first_s. On rank 0."""
        return self.world.rank == 0 and self.clocks.error_ns(ranks) <= TOLERATED * first_s * 1e9

    @cached_property
    def reference(self) -> Reference:
        """What the network is looked at with."""
        return Reference(self.world)

    @cached_property
    def rests(self) -> Rests:
        """Between what this rank computes."""
        here = self.placement.ranks_per_node(range(self.world.size))
        return Rests.here(self.method.scheduler, max(here), self.method.threads, self.cores)

    def connect(self) -> None:
        """Make the groups of every mesh. Collective over the world."""
        size = self.world.size
        for mesh in self.placement.group_meshes():
            groups = mesh.groups("member")
            group = self.world if groups == [tuple(range(size))] else self.world.split(groups)
            members = sorted(rank for ranks in groups for rank in ranks)
            everyone: Communicator | None = self.world
            if members != list(range(size)):
                everyone = self.world.split([members])
            self.meshes.append(GroupMesh(mesh, self.placement.nodes_of(groups[0])))
            self.seats.append(Seat(group, everyone))
        self.solo = self.world.split([[rank] for rank in range(size)])

    def visit(
        self,
        cells: Sequence[Cell],
        deadline: float | None,
        stop_asked: Callable[[], bool],
        done: Callable[[dict], None],
        began: Callable[[str], None] = lambda doing: None,
        looked: Callable[[float], None] = lambda us: None,
    ) -> tuple[str, list[Cell]]:
        """Measure the cells in order; returns why it ended and the cells not reached.

        ``deadline``: of time.monotonic(), on rank 0. ``stop_asked``: rank 0's wish to end. On rank 0 ``began`` gets each
        cell's description, ``done`` its record, ``looked`` the times of looks at the network between nodes. Raises
        ``Disagreement`` where ranks disagree about a cell, and whatever the collectives raise.
        """
        for first, together in in_turns(cells):
            end = None
            if self.world.rank == 0:
                if stop_asked():
                    end = "interrupted"
                elif deadline is not None and first > 0 and time.monotonic() > deadline:
                    end = "budget"  # never before the first cell: an empty launch would be worth nothing
            if any((first + at) % EVERY == 0 for at in range(len(together))):
                self._look(looked)
            self.doing = f"waiting for {describe(together[0])}"
            end = self.control.agree(f"cell {first}", [self._signature(cell) for cell in together], then=end)
            if end:
                return end, list(cells[first:])
            self._measure(first, together, stop_asked, done, began)
        self._look(looked)
        return "complete", []

    def _look(self, looked: Callable[[float], None]) -> None:
        """Time the reference, where there are several nodes. Collective over the world."""
        if self.placement.nodes > 1:
            self.doing, self.busy_since = f"in a look at the network (all_reduce of {BYTES} bytes)", time.monotonic()
            us = self.reference.look_us()
            if self.clocks.several:
                self.clocks.look(self.world)
            self.busy_since = None
            if self.world.rank == 0:
                looked(us)

    def _signature(self, cell: Cell) -> list[Any]:
        """What must be the same on all ranks before the first call: gloo aborts or returns nonsense when it differs."""
        place = [cell.groups, cell.mesh, cell.launch_mode]
        return [cell.collective, cell.dtype, cell.elements, cell.timing, *place, cell.compute_gap_us]

    def _checked(self, cell: Cell, work: Work) -> int:
        """Wrong elements of one more operation on fresh data, launched as the timed ones are."""
        if not self.method.check:
            return 0
        return work.check_again(self.device.capture(work.run).replay if cell.graph else None)

    def _measure(
        self,
        first: int,
        cells: Sequence[Cell],
        stop_asked: Callable[[], bool],
        done: Callable[[dict], None],
        began: Callable[[str], None],
    ) -> None:
        """Measure the cells, in turns where they are several; ``done`` gets a record when its cell has enough."""
        going: list[Visit] = []
        for index, cell in enumerate(cells, first):
            began(f"in {describe(cell)}")
            visit = self._begin(index, cell, in_turns=len(cells) > 1)
            if isinstance(visit, Visit):
                going.append(visit)
            elif visit is not None:
                done(visit)
        while going:
            for visit in list(going):
                if reason := self._turn(visit, stop_asked):
                    going.remove(visit)
                    if (record := self._end(visit, reason)) is not None:
                        done(record)

    def _begin(self, index: int, cell: Cell, in_turns: bool) -> Visit | dict[str, Any] | None:
        """The visit to a cell, warmed up; None where this rank has no part in it, or the record of one that cannot be
        measured.
        """
        seat, mesh = self.seats[cell.mesh], self.meshes[cell.mesh].mesh
        groups = mesh.groups("member") if cell.groups == "all" else mesh.groups("member")[:1]
        ranks = [rank for group in groups for rank in group]
        if self.world.rank not in ranks or seat.group is None:
            return None
        everyone = seat.group if cell.groups == "alone" else seat.everyone
        assert everyone is not None and self.solo is not None
        self.doing = f"in {describe(cell)}"
        self.busy_since = time.monotonic()
        work = Work(cell, seat.group, self.solo)
        try:
            wrong, estimate_s = work.warm_up(self.method.warmup, self.method.check)
            matmul_us = self.filler.matmul_us() if cell.timing == "in_step" else 1.0
        except UnsupportedDtype as error:
            self.busy_since = None
            return self._unmeasured(cell, ranks, str(error))
        # Rank 0's estimate counts: ranks that made their own would pair different calls.
        self.busy_since = None
        begin = [*self._first_batch(cell, estimate_s), max(1, round(cell.compute_gap_us / matmul_us))]
        loops, count, matmuls = self.control.share(f"batch {index}", begin, among=ranks)
        before = partial(self.filler.compute, matmuls) if cell.timing == "in_step" else everyone.barrier
        one_clock = self.device.one_timeline and (self.placement.one_clock or self._aligned(ranks, first_s=estimate_s))
        definition = time_definition(cell.timing, work.record.operations > 1, one_clock)
        timer = self.timer(cell)
        count = min(count, ITERATIONS) if in_turns else count
        return Visit(index, cell, work, groups, before, loops, definition, timer, count, wrong, in_turns)

    def _turn(self, visit: Visit, stop_asked: Callable[[], bool]) -> str | None:
        """A batch of iterations; why it was the last, as rank 0 says, or None."""
        self.doing = f"in {describe(visit.cell)}"
        if visit.cell.timing == "in_step":  # computing all the time, but for the collectives
            self.rests.rest()
        began = self.busy_since = time.monotonic()
        mine = visit.take(visit.count)
        name = f"batch {visit.index}.{visit.turns}"
        readings = self.control.gather(name, mine, among=visit.ranks)
        verdict: list[Any] = []
        visit.turns += 1
        if readings is not None:
            visit.add(self.clocks.by_rank_0(readings, visit.ranks) if self.clocks.several else readings)
            visit.elapsed_s += time.monotonic() - began
            verdict = self._verdict(visit, stop_asked())
        self.busy_since = None
        reason, visit.count = self.control.share(name, verdict, among=visit.ranks)
        return None if reason is None else str(reason)

    def _end(self, visit: Visit, reason: str) -> dict[str, Any] | None:
        """The record, on rank 0."""
        self.doing = f"in {describe(visit.cell)}"
        self.busy_since = time.monotonic()
        wrong = visit.wrong + self._checked(visit.cell, visit.work)
        self.busy_since = None
        wrongs = self.control.gather(f"wrong {visit.index}", wrong, among=visit.ranks)
        return None if wrongs is None else self._record(visit, reason, sum(wrongs))

    def _verdict(self, visit: Visit, stop_asked: bool) -> list[Any]:
        """Why the cell may end now, or None, and how many iterations come next."""
        times = visit.times_us()
        # Half the time limit is where the waiting ranks would begin to worry.
        limit_s, early = self.method.timeout_s / 2, not visit.in_turns or visit.turns >= LEAST_TURNS
        reason = reason_to_end(times, visit.elapsed_s, self.method.sweep.stop, self._least(visit.cell), limit_s, early)
        reason = "interrupted" if stop_asked else reason
        left = self.method.sweep.stop.max_iterations - len(times)
        most = ITERATIONS if visit.in_turns else BATCH_MAX
        return [reason, max(1, min(most, left, round(BATCH_S / max(visit.elapsed_s / len(times), 1e-9))))]

    def _least(self, cell: Cell) -> int:
        return PIPELINE_MIN_ITERATIONS if cell.timing == "pipelined" else self.method.sweep.stop.min_iterations

    def _first_batch(self, cell: Cell, estimate_s: float) -> tuple[int, int]:
        """Operations in one iteration, and iterations before the first decision."""
        loops = GRAPH_OPERATIONS if cell.graph and cell.timing != "in_step" else 1
        if cell.timing == "pipelined" and not cell.graph:
            loops = max(2, min(PIPELINE_OPERATIONS, round(PIPELINE_S / max(estimate_s, 1e-9))))
        iteration_s = estimate_s * loops + cell.compute_gap_us / 1e6
        within_limit = round(self.method.timeout_s / 4 / max(iteration_s, 1e-9))
        return loops, max(6, min(self._least(cell), BATCH_MAX, within_limit))

    def _record(self, visit: Visit, reason: str, wrong: int) -> dict[str, Any]:
        per_node = self.placement.ranks_per_node(visit.groups[0])
        return {
            **self._identity(visit.cell, visit.ranks),
            "ranks_per_node": per_node[0] if len(set(per_node)) == 1 else per_node,
            "clock": visit.timer.clock,
            "warmup": self.method.warmup,
            "checked": self.method.check,
            "wrong": wrong if self.method.check else None,
            "stop_reason": reason,
            **visit.record(),
            **({"clock_error_ns": round(self.clocks.error_ns(visit.ranks))} if self.clocks.several else {}),
            "flags": self._flags(visit.cell, visit.work, visit.ranks, summary(visit.times_us())),
        }

    def _unmeasured(self, cell: Cell, ranks: list[int], reason: str) -> dict[str, Any] | None:
        if self.world.rank != 0:
            return None
        return self._identity(cell, ranks) | {"unmeasured": reason}

    def _identity(self, cell: Cell, ranks: list[int]) -> dict[str, Any]:
        return {
            "cell": cell.id,
            "collective": cell.collective,
            "implementation": self.world.implementation,
            "backend": self.world.backend,
            "launch_mode": cell.launch_mode,
            "timing": cell.timing,
            "dtype": cell.dtype,
            "concurrent_groups": 1 if cell.groups == "alone" else "all",
            "groups": len(ranks) // cell.ranks,
            "scheduler": self.method.scheduler,
            "requested_bytes": cell.requested_bytes,
            "ranks": cell.ranks,
            "nodes": cell.nodes,
            "participants": ranks,
        }

    def _flags(self, cell: Cell, work: Work, ranks: list[int], numbers: dict[str, Any]) -> list[str]:
        flags = []
        busiest = self.placement.most_on_a_machine(ranks)
        if cell.launch_mode == "host" and busiest * self.method.threads > self.cores:
            flags.append(OVERSUBSCRIBED)
        if self.placement.most_on_a_gpu(ranks) > 1:
            flags += [OVERSUBSCRIBED, SHARED_GPU]
        if self.world.backend == "gloo" and work.record.sized and work.call.elements < 2 * cell.ranks:
            flags.append("degenerate_size")
        if not self.method.check:
            flags.append("unchecked")
        if numbers["drift"] is not None and abs(numbers["drift"]) > 0.25:
            flags.append("drift")
        return flags


def describe(cell: Cell) -> str:
    """A cell as a person says it, for messages."""
    size = f" of {cell.requested_bytes} bytes" if cell.requested_bytes else ""
    nodes = f" on {cell.nodes} nodes" if cell.nodes > 1 else ""
    gap = f" after {cell.compute_gap_us:g} us" if cell.compute_gap_us else ""
    return f"{cell.collective}{size} ({cell.dtype}, {cell.ranks} ranks{nodes}, {cell.timing}{gap}, {cell.groups})"
