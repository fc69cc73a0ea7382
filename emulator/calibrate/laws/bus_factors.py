"""Bus factors: how many bytes of one collective cross the busiest link, per byte of its size.

Sizes are in nccl-tests' convention: the output of an all_gather, the input of a reduce_scatter, the whole buffer of
one rank otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.errors import InputError

Array = NDArray[np.float64]

#: Passes over the ring: an all_reduce is a reduce_scatter followed by an all_gather.
RING_PASSES = {"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0}
ALL_TO_ALL = frozenset({"all_to_all", "all_to_all_v_uniform", "all_to_all_v_skewed"})
#: Every byte crosses a link once, whatever the number of ranks.
ONE_CROSSING = frozenset({"broadcast", "reduce", "send_recv", "send_recv_ring"})
NO_BYTES = frozenset({"barrier", "null"})
COLLECTIVES = frozenset(RING_PASSES) | ALL_TO_ALL | ONE_CROSSING | NO_BYTES


def bus_factors(collective: str, ranks: ArrayLike, nodes: ArrayLike) -> tuple[Array, Array]:
    """Bus factors inside a node and between nodes, κ_intra and κ_inter.

    With r ranks on N nodes and ρ = r/N ranks per node:

        all_reduce (m = 2), all_gather, reduce_scatter (m = 1)   m(ρ−1)/ρ      m(N−1)/(Nρ)
        all_to_all                                               (ρ−1)/r       (r−ρ)/r
        broadcast, reduce, send_recv, send_recv_ring             (1, 0) on one node, else (0, 1)
        barrier, null                                            (0, 0)

    ranks and nodes broadcast; the result has their common shape and no unit. The ring's factors are those of the
    paper's code, m(R−M)/R and m(M−1)/R. On one node κ_intra is nccl-tests' bus factor.

    Raises InputError for an unknown collective.
    """
    r, N = np.broadcast_arrays(np.asarray(ranks, dtype=float), np.asarray(nodes, dtype=float))
    local = r / N
    zero = np.zeros(r.shape)
    if collective in RING_PASSES:
        passes = RING_PASSES[collective]
        return passes * (local - 1) / local, passes * (N - 1) / r
    if collective in ALL_TO_ALL:
        return (local - 1) / r, (r - local) / r
    if collective in ONE_CROSSING:
        return np.where(N > 1, 0.0, 1.0), np.where(N > 1, 1.0, 0.0)
    if collective in NO_BYTES:
        return zero, zero.copy()
    raise InputError(f"unknown collective '{collective}': known are {', '.join(sorted(COLLECTIVES))}")
