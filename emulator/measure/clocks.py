"""Clocks of several machines: how far each is from rank 0's, by messages to and fro, and how fast it drifts from it.

A message goes from rank 0 to the first rank of a machine, which answers with its time: half of the fastest round trip bounds
the error (Cristian 1989). The offset at another moment follows from all looks so far. (Hunold and Carpen-Amarie 2018.)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter_ns
from typing import TYPE_CHECKING

import numpy as np

from inferometer.emulator.measure.timing import Readings
from inferometer.parallel.communicator import Communicator

if TYPE_CHECKING:
    import torch

ROUNDS = 30
TOLERATED = 0.05
"""Of a cell's time: with a larger error its ranks' clocks are not compared."""


@dataclass(frozen=True)
class Look:
    """At at_ns of rank 0's clock a machine's clock was offset_ns ahead of it, give or take error_ns."""

    at_ns: int
    offset_ns: float
    error_ns: float


def look_of(rounds: Sequence[tuple[int, int, int]]) -> Look:
    """From (sent, answered, received): the first and last by rank 0's clock, answered by the other's."""
    sent, answered, received = min(rounds, key=lambda one: one[2] - one[0])
    return Look((sent + received) // 2, answered - (sent + received) / 2, (received - sent) / 2)


@dataclass
class Clocks:
    """machine_of: of each rank; clock: in ns. What is known is known to rank 0 alone."""

    machine_of: Sequence[int]
    clock: Callable[[], int] = perf_counter_ns
    looks: dict[int, list[Look]] = field(default_factory=lambda: defaultdict(list))

    @property
    def several(self) -> bool:
        return len(set(self.machine_of)) > 1

    def look(self, world: Communicator) -> None:
        """Ask every other machine's first rank for its time. Collective over the world."""
        import torch

        message = torch.zeros(1, dtype=torch.int64, device=world.device)
        for machine in sorted(set(self.machine_of) - {self.machine_of[0]}):
            leader = list(self.machine_of).index(machine)
            if world.rank == 0:
                self.looks[machine].append(look_of([self._ask(world, leader, message) for _ in range(ROUNDS)]))
            elif world.rank == leader:
                for _ in range(ROUNDS):
                    world.recv(message, 0)
                    message[0] = self.clock()
                    world.send(message, 0)

    def _ask(self, world: Communicator, leader: int, message: torch.Tensor) -> tuple[int, int, int]:
        sent = self.clock()
        world.send(message, leader)
        world.recv(message, leader)
        received = self.clock()
        return sent, int(message.item()), received

    def ahead(self, rank: int, at_ns: int) -> tuple[float, float]:
        """How far a rank's clock is ahead of rank 0's at a moment of rank 0's, and the error of that, in ns.

        Between the first look and the last the drift is that between the two; beyond the last it goes on. The error
        grows in proportion where the moment lies further from the looks than they from each other.
        """
        looks = self.looks.get(self.machine_of[rank])
        if not looks:
            return 0.0, 0.0 if self.machine_of[rank] == self.machine_of[0] else float("inf")
        first, last = looks[0], looks[-1]
        error = max(first.error_ns, last.error_ns)
        if last.at_ns == first.at_ns:
            return last.offset_ns, error
        part = (at_ns - first.at_ns) / (last.at_ns - first.at_ns)
        offset = first.offset_ns + part * (last.offset_ns - first.offset_ns)
        return offset, error * max(1.0, abs(2 * part - 1))

    def error_ns(self, ranks: Sequence[int]) -> float:
        """Of a difference between clocks of these ranks, now."""
        return max(self.ahead(rank, self.clock())[1] for rank in ranks)

    def by_rank_0(self, readings: Sequence[Readings], ranks: Sequence[int]) -> list[Readings]:
        """The ranks' readings as rank 0's clock would have had them."""
        found = []
        for rank, (starts, stops) in zip(ranks, readings):
            ahead = round(self.ahead(rank, self.clock())[0])
            found.append(([at - ahead for at in starts], [at - ahead for at in stops]))
        return found


def drift_ppm(looks: Sequence[Look]) -> float | None:
    """Of a machine's clock against rank 0's, in millionths; None where one look alone was taken."""
    if len(looks) < 2 or looks[-1].at_ns == looks[0].at_ns:
        return None
    at, offset = (np.array([getattr(look, name) for look in looks], dtype=float) for name in ("at_ns", "offset_ns"))
    return float(np.polyfit(at - at[0], offset - offset[0], 1)[0] * 1e6)
