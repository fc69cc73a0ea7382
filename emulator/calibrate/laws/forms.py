"""Which laws there are: the law of a formula, the names that a person types, and what a set of cells may be fitted with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, collective_record
from inferometer.emulator.calibrate.laws.curved import CurvedLaw
from inferometer.emulator.calibrate.laws.equation import LATENCIES, equation, label
from inferometer.emulator.calibrate.laws.linear import AFFINE, Law, linear_law, with_parts
from inferometer.emulator.calibrate.schema.network_records import Formula
from inferometer.emulator.errors import InputError

PAPER_PROTOCOLS_FORMULA = with_parts(
    AFFINE, shape="protocols", protocols=3, overlap=True, slopes_per_protocol=True, ring_bytes=True
)
"""The fastest of three protocols with slopes of their own, as the code behind Erdil 2025 prices a collective: bytes inside a
node and between nodes overlap, and those of every collective move as a ring's would."""

#: Simplest first; how a formula's shape differs from a plain sum.
SMOOTH = {"shape": "smooth", "protocols": 1}
THRESHOLD = {"shape": "threshold", "protocols": 1}
PROTOCOLS = ({"shape": "protocols", "protocols": 2}, {"shape": "protocols", "protocols": 3})

BANDWIDTH_PER_RANKS = "affine_bandwidth_per_ranks"
#: What a person may ask for by name.
BY_NAME: dict[str, Formula] = {
    label(formula): formula
    for formula in (
        with_parts(AFFINE, constants="paper"),
        with_parts(AFFINE, constants="scaled"),
        *(with_parts(AFFINE, rank_latency=rank, node_latency=node) for rank, node in LATENCIES),
        with_parts(AFFINE, overlap=True),
        *(with_parts(AFFINE, **parts) for parts in (SMOOTH, THRESHOLD, *PROTOCOLS)),
        PAPER_PROTOCOLS_FORMULA,
    )
}


@lru_cache(maxsize=1024)
def law_of(formula: Formula, collective: str) -> Law:
    """The law of a collective with these parts, built once."""
    base = linear_law(formula, collective)
    if not formula.bends:
        return base
    return CurvedLaw(formula, base, label(formula), equation(formula, [term.name for term in base.terms]))


def formula_named(name: str, rank_counts: Sequence[int] = ()) -> Formula:
    """The formula that a person asks for. rank_counts: those of "affine_bandwidth_per_ranks".

    Raises InputError, with the names there are, for another.
    """
    if name == BANDWIDTH_PER_RANKS:
        return with_parts(AFFINE, bandwidth_rank_counts=tuple(rank_counts))
    if name not in BY_NAME:
        raise InputError(f"law '{name}' is not known: known are {', '.join([*BY_NAME, BANDWIDTH_PER_RANKS])}")
    return BY_NAME[name]


def bent(formula: Formula, collective: str) -> list[Formula]:
    """The formula with every shape that bends and that a collective may have, simplest first.

    What is made of point-to-point transfers may have a threshold, where they switch protocol.
    """
    record = collective_record(collective)
    if not record.sized:
        return []
    shapes = (SMOOTH, THRESHOLD, *PROTOCOLS) if record.point_to_point else (SMOOTH, *PROTOCOLS)
    return [with_parts(formula, **shape) for shape in shapes]


def latency_variants(formula: Formula, collective: str, N: Array) -> list[Formula]:
    """The formula with every latency that cells on N nodes may show. Two ranks of a send_recv show but one."""
    several = len(np.unique(N)) > 1
    kept = [pair for pair in LATENCIES if several or pair[1] in ("log2", None)]
    if collective_record(collective).pair:
        kept = [(AFFINE.rank_latency, AFFINE.node_latency)]
    return [with_parts(formula, rank_latency=rank, node_latency=node) for rank, node in kept]


def rank_counts(collective: str, n: Array, r: Array, N: Array) -> list[int]:
    """The rank counts that may have a bandwidth of their own: at least two with three sizes each, else none.

    With fewer the parameters would interpolate the cells instead of describing them.
    """
    inside = bus_factors(collective, r, N)[0] * n > 0
    counts = [int(count) for count in np.unique(r[inside])]
    return counts if sum(len(np.unique(n[inside & (r == count)])) >= 3 for count in counts) >= 2 else []


def linear_ladder(collective: str, N: Array) -> list[Law]:
    """The straight candidates for cells on N nodes, simplest first: the paper's, then every latency."""
    constants = [with_parts(AFFINE, constants="paper"), with_parts(AFFINE, constants="scaled")]
    return [law_of(formula, collective) for formula in [*constants, *latency_variants(AFFINE, collective, N)]]
