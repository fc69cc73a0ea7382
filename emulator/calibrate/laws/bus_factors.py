"""Bus factors by a collective's name: how many bytes cross the busiest link, per byte of its size."""

from __future__ import annotations

from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.errors import InputError
from inferometer.parallel.collective_record import Collective
from inferometer.parallel.collectives import COLLECTIVES


def collective_record(name: str) -> Collective:
    """Raises InputError for an unknown collective."""
    try:
        return COLLECTIVES[name]
    except KeyError:
        raise InputError(f"unknown collective '{name}': known are {', '.join(sorted(COLLECTIVES))}") from None


def bus_factors(collective: str, ranks: ArrayLike, nodes: ArrayLike) -> tuple[Array, Array]:
    """Bus factors inside a node and between nodes, κ_intra and κ_inter: see `parallel.traffic.Traffic`.

    ranks and nodes broadcast; the result has their common shape and no unit. Raises InputError for an unknown collective.
    """
    return collective_record(collective).traffic.bus_factors(ranks, nodes)


def passes_of(collective: str) -> int:
    """Times the data go through a ring or a tree: an all_reduce's twice. Raises InputError for an unknown collective."""
    return collective_record(collective).traffic.passes
