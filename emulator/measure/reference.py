"""A look at the network now and then: a link between nodes may change in the middle of a launch, and so what follows."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferometer.parallel.communicator import Communicator

EVERY = 12
"""Cells from one look to the next."""
CALLS = 9
BYTES = 65536
"""So that a slower rate shows as well as a longer delay."""
CHANGED = 2.5
"""A look that takes so many times what the launch's first took, or so much less, says that something has changed."""


class Reference:
    """All_reduces over all ranks of a launch, always the same."""

    def __init__(self, world: Communicator) -> None:
        import torch

        self._world = world
        self._tensor = torch.zeros(BYTES // 4, device=world.device)

    def look_us(self) -> float:
        """Of one, on this rank: median over CALLS after one that does not count. Collective over the world."""
        found = []
        for _ in range(1 + CALLS):
            began = time.perf_counter()
            self._world.all_reduce(self._tensor)
            self._world.synchronize()
            found.append(time.perf_counter() - began)
        return median(found[1:]) * 1e6


def changed(first_us: float, us: float) -> bool:
    return not 1 / CHANGED < us / first_us < CHANGED
