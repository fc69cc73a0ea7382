"""The terms that cost laws are made of: what each parameter multiplies at n bytes, r ranks, N nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, collective_record
from inferometer.emulator.calibrate.schema.network_records import NodeLatency, RankLatency

Column = Callable[[Array, Array, Array], Array]
Unit = Literal["us", "GB/s", "1", "bytes"]

#: θ of a bandwidth term is 1/B in ns/byte, so that the law stays linear: 1 GB/s is 1 byte/ns.
NS_IN_US = 1e-3


@dataclass(frozen=True)
class Term:
    """One term θ·x(n, r, N) of a linear law; column gives x. θ is in µs, or 1/B in ns/byte if unit is GB/s."""

    name: str
    unit: Unit
    column: Column

    @property
    def is_bandwidth(self) -> bool:
        return self.unit == "GB/s"


def latency_terms(rank: RankLatency | None, node: NodeLatency | None, collective: str) -> tuple[Term, ...]:
    """a + b·σ(r, N) + c·g(N) with the σ and g that a Formula names. A send_recv has no b, since its ranks are always two."""
    found: list[Term] = [Term("a", "us", lambda n, r, N: np.ones_like(n))]
    if rank == "ring":
        found.append(Term("b", "us", lambda n, r, N: r - 1))
    elif rank == "local" and not collective_record(collective).pair:
        found.append(Term("b", "us", lambda n, r, N: r / N - 1))
    if node == "log2":
        found.append(Term("c", "us", lambda n, r, N: np.asarray(np.log2(N))))
    elif node == "linear":
        found.append(Term("c", "us", lambda n, r, N: N - 1))
    elif node == "once":
        found.append(Term("c", "us", lambda n, r, N: np.where(N > 1, 1.0, 0.0)))
    return tuple(found)


def intra(collective: str, rank_count: int | None = None) -> Term:
    """Bytes inside a node over B_intra; with a rank count, over that count's own."""

    def column(n: Array, r: Array, N: Array) -> Array:
        here = 1.0 if rank_count is None else (r == rank_count)
        return np.asarray(bus_factors(collective, r, N)[0] * n * NS_IN_US * here)

    return Term("B_intra" if rank_count is None else f"B_intra@{rank_count}", "GB/s", column)


def inter(collective: str) -> Term:
    """Bytes between nodes over B_inter."""
    return Term("B_inter", "GB/s", lambda n, r, N: bus_factors(collective, r, N)[1] * n * NS_IN_US)


def bandwidth_terms(collective: str, rank_counts: Sequence[int] = ()) -> tuple[Term, ...]:
    """The bandwidth terms of a collective, with one B_intra for each of the rank counts if any are given."""
    if not collective_record(collective).sized:
        return ()
    inside = [intra(collective, count) for count in sorted(rank_counts)] or [intra(collective)]
    return (*inside, inter(collective))
