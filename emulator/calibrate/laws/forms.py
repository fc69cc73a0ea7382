"""The ladder: which laws there are, which of them a set of cells can bear, and how a file names them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import bus_factors, collective_record, passes_of
from inferometer.emulator.calibrate.laws.curved import CurvedLaw, Shape
from inferometer.emulator.calibrate.laws.linear import PER_RANKS, Law, LinearLaw, linear, paper, scaled
from inferometer.emulator.calibrate.laws.terms import FLAT_RING, LATENCIES, PAPER_LATENCY, Latency
from inferometer.emulator.errors import InputError

#: Shape, latency, whether transfers overlap, whether each rank count has its own B_intra.
Parts = tuple[Shape, Latency, bool, bool]

AFFINE = Shape("affine")
OVERLAP = "_overlap"
#: Simplest first. What carries no protocol switch of its own may take a step: point-to-point, which all-to-alls are.
SHAPES = (
    AFFINE,
    Shape("smooth", smooth=True),
    Shape("step", step=True),
    Shape("two_protocols", protocols=2),
    Shape("three_protocols", protocols=3),
)


def law(
    collective: str,
    shape: Shape = AFFINE,
    latency: Latency = PAPER_LATENCY,
    overlap: bool = False,
    counts: Sequence[int] = (),
) -> Law:
    """The law with these parts; overlap: transfers in and between nodes at once; counts: a B_intra for each of them."""
    base = linear(collective, latency, counts)
    if shape == AFFINE and not overlap:
        return base
    whole = Shape(shape.name, shape.protocols, shape.smooth, shape.step, overlap)
    return CurvedLaw(base, whole, form_name(shape, latency, overlap, bool(counts)), _equation(base, whole))


def form_name(shape: Shape, latency: Latency, overlap: bool, per_ranks: bool) -> str:
    """What a file calls a law: its shape, then whatever differs from the paper's latency and sum."""
    plain_ring = shape == AFFINE and latency == FLAT_RING
    name = latency.name if plain_ring else f"{shape.name}_{latency.name}".rstrip("_")
    return name + OVERLAP * overlap + PER_RANKS * per_ranks


def _equation(base: LinearLaw, shape: Shape) -> str:
    words = base.equation.removeprefix("t = ").split(" + ")
    transfers = [word for word in words if word.startswith("k_")]
    latency = " + ".join(word for word in words if not word.startswith("k_"))
    transfer = f"max({', '.join(transfers)})" if shape.overlap else " + ".join(transfers)
    if shape.smooth:
        return f"t = (L^q + W^q)^(1/q), L = {latency}, W = {transfer}"
    if shape.protocols > 1:
        each = latency.replace("a", "a_p", 1)
        transfer = transfer.replace("B_intra", "B_intra_p").replace("B_inter", "B_inter_p")
        return f"t = min over p = 1..{shape.protocols} of {each} + {transfer}"
    return f"t = {latency} + {transfer}" + (" + step*[n > threshold]" if shape.step else "")


def paper_protocols(collective: str) -> Law:
    """The fastest of three protocols with slopes of their own, as the code behind Erdil 2025 prices a collective.

    Bytes inside a node and between nodes overlap, and those of every collective move as a ring's would: an all_reduce's,
    or with half the passes an all_gather's.
    """
    base = linear(collective, bytes_as="all_reduce" if passes_of(collective) == 2 else "all_gather")
    shape = Shape("three_protocols", protocols=3, overlap=True, common=frozenset())
    words = _equation(base, shape).replace("b*", "b_p*").replace("c*", "c_p*")
    return CurvedLaw(base, shape, "paper_protocols", words)


def shapes_for(collective: str) -> list[Shape]:
    """The shapes a collective may have, simplest first."""
    if not collective_record(collective).sized:
        return [AFFINE]
    return [shape for shape in SHAPES if not shape.step or collective_record(collective).point_to_point]


def latencies_for(collective: str, N: Array) -> list[Latency]:
    """The latencies that cells on N nodes may show. Two ranks of a send_recv show but one."""
    if collective_record(collective).pair:
        return [PAPER_LATENCY]
    several = len(np.unique(N)) > 1
    return [latency for latency in LATENCIES if several or latency.nodes in ("log2", None)]


def rank_counts(collective: str, n: Array, r: Array, N: Array) -> list[int]:
    """The rank counts that may have a bandwidth of their own: at least two with three sizes each, else none.

    With fewer the parameters would interpolate the cells instead of describing them.
    """
    inside = bus_factors(collective, r, N)[0] * n > 0
    counts = [int(count) for count in np.unique(r[inside])]
    return counts if sum(len(np.unique(n[inside & (r == count)])) >= 3 for count in counts) >= 2 else []


def bears(candidate: Law, n: Array, r: Array, N: Array) -> bool:
    """Whether cells at (n, r, N) can bear a law."""
    return not isinstance(candidate, CurvedLaw) or candidate.fits(n, r, N)


def linear_ladder(collective: str, N: Array) -> list[Law]:
    """The straight candidates for cells on N nodes, simplest first: the paper's, then every latency."""
    return [paper(collective), scaled(collective), *(law(collective, latency=form) for form in latencies_for(collective, N))]


#: Forms that are no combination of parts.
NAMED = {"paper": paper, "scaled": scaled, "paper_protocols": paper_protocols}


@lru_cache
def _parts() -> dict[str, Parts]:
    every = product(SHAPES, LATENCIES, (False, True), (False, True))
    return {form_name(*parts): parts for parts in every}


def parts_of(form: str) -> Parts:
    """Shape, latency, overlap and bandwidth-per-ranks of a form. Raises InputError for one this version does not know."""
    try:
        return _parts()[form]
    except KeyError:
        shapes = "|".join(shape.name for shape in SHAPES)
        further = "|".join(f"_{latency.name}" for latency in LATENCIES if latency.name)
        text = f"{', '.join(NAMED)}, flat_ring, or {shapes}, then any of {further}, {OVERLAP}, {PER_RANKS}"
        raise InputError(f"law '{form}' is not known: known are {text}") from None


def law_of(form: str, collective: str, parameter_names: Sequence[str] = ()) -> Law:
    """The law a calibration file names by its form. Raises InputError for a form this version does not know."""
    if form in NAMED:
        return NAMED[form](collective)
    shape, latency, overlap, per_ranks = parts_of(form)
    counts = {int(name.partition("@")[2].partition(".")[0]) for name in parameter_names if name.startswith("B_intra@")}
    return law(collective, shape, latency, overlap, sorted(counts) if per_ranks else ())


def per_ranks_of(form: str, collective: str, counts: Sequence[int]) -> Law:
    """The same form with one B_intra for each of the rank counts."""
    shape, latency, overlap, _ = parts_of(form)
    return law(collective, shape, latency, overlap, counts)
