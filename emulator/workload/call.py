"""One computation where it stands in a step: what its time depends on."""

from __future__ import annotations

from typing import NamedTuple

from inferometer.emulator.workload.operations import Compute, Size


class Call(NamedTuple):
    """One operation where it stands in a step, per rank.

    predecessors: the computation before it and the collectives since; none for the first of a step. concurrent_ranks: ranks
    of a node that compute at the same time. sharded: of steps with collectives, after which core and caches are cold.
    tokens: new ones in the step; the more there are, the colder the caches for operations that run once a step.
    sequences: that get a token.
    """

    op: Compute
    predecessors: tuple[str, ...] = ()
    concurrent_ranks: int = 1
    sharded: bool = False
    tokens: Size = 1
    sequences: Size = 1
