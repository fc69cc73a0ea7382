"""How the bytes of a collective cross links: its bus factors inside a node and between nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

Pattern = Literal["ring", "direct", "chain", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """One pattern over r ranks on N nodes, with ρ = r/N ranks per node and m ``passes`` over the data.

        pattern    bytes over the busiest link, per byte of the collective's size
                   inside a node       between nodes
        ring       m(ρ−1)/ρ            m(N−1)/(Nρ)          shards go round a ring
        direct     (ρ−1)/r             (r−ρ)/r              each shard goes straight to its rank
        chain      (1, 0) on one node, else (0, 1)          every byte crosses a link once, however many ranks there are
        nothing    0                   0                    no data

    The ring's factors are those of the inference economics paper's code. On one node they are nccl-tests' bus factors
    (doc/PERFORMANCE.md). Raises ValueError for another pattern, and for passes below 1.
    """

    pattern: Pattern
    passes: int

    def __post_init__(self) -> None:
        if self.pattern not in get_args(Pattern):
            raise ValueError(f"traffic pattern {self.pattern!r} is none of {', '.join(get_args(Pattern))}")
        if self.passes < 1:
            raise ValueError(f"passes = {self.passes}: the data are passed over at least once")

    @property
    def sharded(self) -> bool:
        """busbw/algbw on one node is passes·(n−1)/n, which grows with the ranks; else it is 1 or 0."""
        return self.pattern in ("ring", "direct")

    def bus_factors(self, ranks: ArrayLike, nodes: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(inside a node, between nodes), without unit; ranks and nodes broadcast, and the results have their shape."""
        r, N = np.broadcast_arrays(np.asarray(ranks, dtype=float), np.asarray(nodes, dtype=float))
        local = r / N
        if self.pattern == "ring":
            return self.passes * (local - 1) / local, self.passes * (N - 1) / r
        if self.pattern == "direct":
            return (local - 1) / r, (r - local) / r
        if self.pattern == "chain":
            return np.where(N > 1, 0.0, 1.0), np.where(N > 1, 1.0, 0.0)
        return np.zeros(r.shape), np.zeros(r.shape)

    def bus_factor(self, ranks: int) -> float:
        """busbw/algbw of a group of so many ranks, as nccl-tests prints it."""
        return float(self.bus_factors(ranks, 1)[0])
