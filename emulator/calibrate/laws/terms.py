"""The terms that cost laws are made of: what each parameter multiplies at n bytes, r ranks, N nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, collective_record

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


@dataclass(frozen=True)
class Latency:
    """How latency grows: a + b·σ(r, N) + c·g(N). name is how the forms of the laws are called after it.

    sigma: chain in the node r/N − 1, flat ring over all ranks r − 1, one_shot 0 (all read all at once).
    nodes: log2 N (a tree), N − 1 (a ring over nodes), 1[N > 1] (flat), or nothing.
    """

    name: str
    sigma: Literal["chain", "ring", "one_shot"]
    nodes: Literal["log2", "linear", "flat"] | None

    def terms(self, collective: str) -> tuple[Term, ...]:
        found: list[Term] = [Term("a", "us", lambda n, r, N: np.ones_like(n))]
        if self.sigma == "ring":
            found.append(Term("b", "us", lambda n, r, N: r - 1))
        elif self.sigma == "chain" and not collective_record(collective).pair:  # always two ranks: nothing varies with ρ
            found.append(Term("b", "us", lambda n, r, N: r / N - 1))
        if self.nodes == "log2":
            found.append(Term("c", "us", lambda n, r, N: np.asarray(np.log2(N))))
        elif self.nodes == "linear":
            found.append(Term("c", "us", lambda n, r, N: N - 1))
        elif self.nodes == "flat":
            found.append(Term("c", "us", lambda n, r, N: np.where(N > 1, 1.0, 0.0)))
        return tuple(found)

    def words(self, names: Sequence[str]) -> list[str]:
        """The terms of those names as they stand in an equation."""
        ranks = "(r-1)" if self.sigma == "ring" else "(r/N-1)"
        across = {"log2": "log2(N)", "linear": "(N-1)", "flat": "[N>1]", None: ""}[self.nodes]
        text = {"a": "a", "b": f"b*{ranks}", "c": f"c*{across}"}
        return [text[name] for name in names if name in text]


#: The paper's (a chain in the node, a tree over nodes) first; its name is empty because it is what laws are without one.
PAPER_LATENCY = Latency("", "chain", "log2")
FLAT_RING = Latency("flat_ring", "ring", None)
LATENCIES = (
    PAPER_LATENCY,
    FLAT_RING,
    Latency("one_shot", "one_shot", "log2"),
    Latency("linear_nodes", "chain", "linear"),
    Latency("flat_nodes", "chain", "flat"),
    Latency("ring_linear_nodes", "ring", "linear"),
    Latency("one_shot_linear_nodes", "one_shot", "linear"),
    Latency("one_shot_flat_nodes", "one_shot", "flat"),
)


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
