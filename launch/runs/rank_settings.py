"""How the ranks of a run are started: what was asked for, settled for this machine before any rank starts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import scheduler
from inferometer.emulator.measure.awake import reason_against
from inferometer.emulator.measure.method import Backend, Scheduler
from inferometer.launch.ranks.identity import Identity

RANK_BYTES = 100 << 20
"""What a process with torch loaded takes for itself; libraries that all ranks share not counted."""
LAUNCHES = 3
"""By default: as many as intervals need."""


@dataclass(frozen=True, kw_only=True)
class RankSettings:
    """ranks: local ranks, None for as many as the run takes by default; under torchrun or mpiexec it must be None.

    backend: auto, gloo, nccl or mpi. scheduler: class of the ranks, auto (the least noisy that is permitted), rr-awake (rr,
    on cores that are kept awake), rr, batch or other. threads: of OpenMP and torch, per rank. launches: starts of the ranks,
    None for the run's default; one under torchrun or mpiexec. timeout_s: limit of every wait for other ranks.
    """

    ranks: int | None = None
    backend: Literal["auto", "gloo", "nccl", "mpi"] = "gloo"
    scheduler: Literal["auto", "rr-awake", "rr", "batch", "other"] = "auto"
    threads: int = 1
    launches: int | None = None
    timeout_s: float = 60.0

    def refuse_under(self, identity: Identity | None, another: str) -> None:
        """Raise ``InputError`` for what a launcher has settled. another: how launches are added, in words."""
        if identity and self.ranks is not None:
            raise InputError(
                f"-n {self.ranks}: {identity.launcher} has already started {identity.world_size} ranks; leave -n out"
            )
        if identity and self.launches is not None:
            raise InputError(f"--launches {self.launches}: one {identity.launcher} run is one launch; {another}")

    def launches_under(self, identity: Identity | None, default: int = LAUNCHES) -> int:
        """How often the ranks are started."""
        return 1 if identity else default if self.launches is None else self.launches


def scheduler_class(asked: str, backend: str) -> tuple[Scheduler, str]:
    """The class of the ranks and why. Raises ``InputError`` for one that is unknown, or that this user may not use."""
    if asked == "auto":
        return scheduler.choose(backend)
    if asked not in get_args(Scheduler):
        raise InputError(f"--scheduler {asked}: unknown; known are auto, {', '.join(get_args(Scheduler))}")
    if not scheduler.permitted(asked):
        raise InputError(f"--scheduler {asked}: this user may not use that class (root, or a limit on rtprio)")
    if asked == "rr-awake" and (against := reason_against()):
        raise InputError(f"--scheduler {asked}: {against}")
    chosen: Any = asked
    return chosen, "as asked"


def auto_backend(world: int | None, gpus: int) -> Backend:
    """nccl where every local rank gets a GPU of its own, else gloo. world: None for a rank for each GPU; gpus: that torch
    can use.
    """
    local = int(os.environ.get("LOCAL_WORLD_SIZE", gpus if world is None else world))
    return "nccl" if gpus and gpus >= local else "gloo"
