"""Which parameters of a law an allocation of ranks determines, before anything is measured; which one does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.design import identify
from inferometer.emulator.calibrate.laws.equation import LATENCIES, NODE_TERMS, RANK_TERMS
from inferometer.emulator.calibrate.laws.forms import law_of
from inferometer.emulator.calibrate.laws.linear import AFFINE, with_parts
from inferometer.parallel.placement import Placement

SIZES = np.array([64.0, 4096.0, 1048576.0])
RANK = 1e-9
MOST_DOUBLINGS = 3
"""Of nodes and of ranks per node, beyond those given, among which an allocation is looked for."""


@dataclass(frozen=True)
class Allocation:
    """Ranks on each node; cores: that the ranks of one node may use, None for as many as there are ranks."""

    ranks_per_node: tuple[int, ...]
    cores: int | None = None
    one_machine: bool = False
    """Whether all nodes share these cores (hosts of a laboratory)."""

    @classmethod
    def even(cls, nodes: int, per_node: int, cores: int | None = None) -> Allocation:
        return cls((per_node,) * nodes, cores)

    @property
    def text(self) -> str:
        nodes, ranks = len(self.ranks_per_node), sum(self.ranks_per_node)
        return f"{ranks} ranks on {nodes} node{'s' * (nodes > 1)}"

    def groups(self) -> list[tuple[int, int, bool]]:
        """(ranks, nodes, whether the ranks have a core each) of every kind of group that a launch makes."""
        node_of = tuple(node for node, ranks in enumerate(self.ranks_per_node) for _ in range(ranks))
        placement = Placement(node_of, one_clock=True, machine_of=(0,) * len(node_of) if self.one_machine else ())
        found = {}
        for mesh in placement.group_meshes():
            ranks = mesh.groups("member")[0]
            fits = self.cores is None or placement.most_on_a_machine(ranks) <= self.cores
            found[(len(ranks), placement.nodes_of(ranks))] = fits
        return [(r, N, fits) for (r, N), fits in sorted(found.items())]


@dataclass(frozen=True)
class Determined:
    """What the cells of an allocation determine of one collective's law.

    known: parameters that they determine by themselves; together: sums that they determine, of others; unknown: the rest.
    alike: forms of the latency that they cannot distinguish from one another, as formulas.
    """

    known: tuple[str, ...]
    together: tuple[str, ...]
    unknown: tuple[str, ...]
    alike: tuple[tuple[str, ...], ...]


def determined_by(allocation: Allocation, collective: str) -> Determined:
    """Of the plain law, by cells of the groups whose ranks have a core each."""
    n, r, N = _points(allocation)
    law = law_of(AFFINE, collective).base
    names = [term.name for term in law.terms]
    if not len(n):
        return Determined((), (), tuple(names), ())
    design = identify(law.columns(n, r, N), names)
    known = tuple(design.identified)
    rows = [design.coefficients(row) for row in range(design.rank) if row not in design.identified.values()]
    together = tuple(" + ".join(name if v == 1 else f"{v:.3g}·{name}" for name, v in row.items()) for row in rows)
    unknown = tuple(name for name in names if name not in known)
    return Determined(known, together, unknown, tuple(_alike(collective, n, r, N)))


def would_determine(allocation: Allocation, collective: str) -> Allocation | None:
    """The allocation of fewest ranks that determines every parameter and the latency's form; None where this one does."""
    if not _open(determined_by(allocation, collective)):
        return None
    nodes = max(1, len(allocation.ranks_per_node))
    local = max(allocation.ranks_per_node)
    tried = [(k, rho) for k in _doubled(nodes) for rho in _doubled(local)]
    for k, rho in sorted(tried, key=lambda pair: (pair[0] * pair[1], pair[0])):
        one = Allocation.even(k, rho, None)
        if k * rho > 1 and not _open(determined_by(one, collective)):
            return one
    return None


def _doubled(count: int) -> list[int]:
    return [2**k for k in range((count - 1).bit_length() + MOST_DOUBLINGS + 1)]


def _open(found: Determined) -> bool:
    return bool(found.unknown or found.alike)


def _points(allocation: Allocation) -> tuple[Array, Array, Array]:
    groups = [(r, N) for r, N, fits in allocation.groups() if fits]
    rows = [(n, r, N) for r, N in groups for n in SIZES]
    n, r, N = np.array(rows, dtype=float).reshape(-1, 3).T
    return n, r, N


def _alike(collective: str, n: Array, r: Array, N: Array) -> Iterator[tuple[str, ...]]:
    """Forms of the latency whose columns span the same on these cells. Only what adds a parameter counts as a form."""
    several = len(np.unique(N)) > 1
    spans = {}
    for rank, node in LATENCIES:
        if not several and node not in ("log2", None):
            continue
        law = law_of(with_parts(AFFINE, rank_latency=rank, node_latency=node), collective).base
        shown = [RANK_TERMS[rank]] + ([NODE_TERMS[node]] if several else [])
        spans[" + ".join(["a", *(part for part in shown if part)])] = law.columns(n, r, N)
    groups: list[list[str]] = []
    for name, X in spans.items():
        for group in groups:
            if same_span(X, spans[group[0]]):
                group.append(name)
                break
        else:
            groups.append([name])
    yield from (tuple(group) for group in groups if len(group) > 1)


def same_span(one: Array, two: Array) -> bool:
    return _rank(one) == _rank(two) == _rank(np.column_stack([one, two]))


def _rank(X: Array) -> int:
    scale = np.abs(X).max(axis=0)
    return int(np.linalg.matrix_rank(X / np.where(scale > 0, scale, 1.0), tol=RANK * np.sqrt(len(X))))
