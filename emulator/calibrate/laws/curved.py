"""Laws that bend: the fastest of several protocols, a smooth transition, a threshold, transfers that overlap.

Each is a linear law (its latency and bandwidth terms) and a formula that says how the terms combine:

    t = min over protocols p of C(L_p, W_p)  (+ jump·1[n > threshold])
    L_p = a_p + b·σ(r, N) + c·g(N)          W_p = κ_intra n/B_intra,p ⊕ κ_inter n/B_inter,p
    C(L, W) = L + W, or (L^q + W^q)^(1/q)   ⊕ is + (one after the other) or max (at once)

Protocols are ordered: latency rises and bandwidth rises with p, so that none is ever useless. All share b and c.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.curved_problem import LOG_OF_ZERO, Branches, CurvedProblem
from inferometer.emulator.calibrate.laws.design import Design
from inferometer.emulator.calibrate.laws.linear import At, LinearLaw, theta_of
from inferometer.emulator.calibrate.laws.terms import Term
from inferometer.emulator.calibrate.schema.network_records import Formula

#: Parameters that protocols share, unless the formula has slopes_per_protocol: hardly any design determines them singly.
SHARED = frozenset({"b", "c"})


def _nothing(n: Array, r: Array, N: Array) -> Array:
    return np.zeros_like(n)


#: Parameters that belong to a shape and not to a term.
EXTRAS: dict[str, tuple[Term, ...]] = {
    "smooth": (Term("q", "1", _nothing),),
    "threshold": (Term("jump", "us", _nothing), Term("threshold", "bytes", _nothing)),
}


@dataclass(frozen=True)
class CurvedLaw:
    """What a formula adds to the linear law of its terms, fitted in full. Its design has a row per estimate:

    each combination of the linear law, once per protocol unless it is shared by all, then the shape's own parameters.
    """

    formula: Formula
    base: LinearLaw
    name: str
    equation: str

    @property
    def shared(self) -> frozenset[str]:
        """Parameters that all protocols share."""
        return frozenset() if self.formula.slopes_per_protocol else SHARED

    @property
    def extras(self) -> tuple[Term, ...]:
        return EXTRAS.get(self.formula.shape, ())

    @property
    def min_sizes(self) -> int:
        """Distinct message sizes below which the shape would interpolate the cells: three for each piece."""
        return 3 * max(self.formula.protocols, 2 if self.extras else 1)

    def numbered(self, name: str, protocol: int) -> str:
        """A parameter of one protocol: the first goes by the plain name, further ones as "a.2", "B_intra.3"."""
        return name if protocol == 0 or name in self.shared else f"{name}.{protocol + 1}"

    @property
    def extrapolates_ranks(self) -> bool:
        return self.base.extrapolates_ranks

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        found = []
        for term in self.base.terms:
            copies = 1 if term.name in self.shared else self.formula.protocols
            found += [Term(self.numbered(term.name, p), term.unit, term.column) for p in range(copies)]
        return (*found, *self.extras)

    def theta(self, values: dict[str, float]) -> Array:
        return theta_of(self.terms, values)

    def time_us(self, theta: ArrayLike, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        X = self.base.columns(n, r, N)
        names = [term.name for term in self.base.terms]
        whole = Design(tuple(names), tuple(range(len(names))), np.eye(len(names)), None, frozenset())
        return self._branches(whole, X, n, r, N).time_us(np.asarray(theta, dtype=float))

    def design(self, n: Array, r: Array, N: Array) -> Design:
        base = self.base.design(n, r, N)
        names = tuple(term.name for term in self.terms)
        rows: list[Array] = []
        for row in range(base.rank):
            coefficients = base.coefficients(row)
            for p in range(self._copies(base, row)):
                rows.append(_row(names, {self.numbered(name, p): v for name, v in coefficients.items()}))
        rows += [_row(names, {term.name: 1.0}) for term in self.extras]
        matrix = np.array(rows).reshape(len(rows), len(names))
        zero = {self.numbered(name, p) for name in base.zero for p in range(self.formula.protocols)}
        pivots = tuple(int(np.flatnonzero(row)[0]) for row in matrix)
        return Design(names, pivots, matrix, base.condition, frozenset(zero))

    def bears(self, n: Array, r: Array, N: Array) -> bool:
        """Whether cells at (n, r, N) are enough to fit this law.

        They need enough sizes, and must determine latencies and bandwidths separately; where transfers overlap, both
        bandwidths.
        """
        base = self.base.design(n, r, N)
        units = {term.name: term.unit for term in self.base.terms}
        names = [set(base.coefficients(row)) for row in range(base.rank)]
        kinds = [{name.partition("@")[0] if self.formula.overlap else units[name] for name in row} for row in names]
        mixed = any(len({units[name] for name in row}) > 1 for row in names)
        if self.formula.overlap:
            kinds = [row for row in kinds if any(name.startswith("B_") for name in row)]
            mixed |= any(len(row) > 1 for row in kinds) or {"B_intra", "B_inter"} - set().union(*kinds) != set()
        shared = self.shared
        tied = any(row & shared and row - shared and not row >= {"a"} for row in names)
        enough = len(np.unique(n[n > 0])) >= self.min_sizes
        return bool(enough and not mixed and not tied and (base.combinations >= 0).all() and base.rank > 1)

    def problem(self, design: Design, n: Array, r: Array, N: Array) -> CurvedProblem:
        base = self._base_design(design)
        branches = self._branches(base, self.base.columns(n, r, N), n, r, N)
        return CurvedProblem(branches, self._increments(base), len(self.extras), self.formula.shape == "smooth")

    def combinations(self, design: Design, free: Array) -> Array:
        extras = len(self.extras)
        value = np.where(free <= LOG_OF_ZERO, 0.0, np.exp(free))
        linear = self._increments(self._base_design(design)) @ value[: len(free) - extras]
        return np.concatenate([linear, value[len(free) - extras :]])

    def predict_us(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        return self.ready(design)(n, r, N)(combinations)

    def ready(self, design: Design) -> At:
        base = self._base_design(design)
        branches_of = self._branches_of(base)

        def at(n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Callable[[Array], Array]:
            X = self.base.columns(n, r, N)
            spanned, branches = base.spans(X), branches_of(X, n, r, N)
            return lambda combinations: np.where(spanned, branches.time_us(combinations), np.nan)

        return at

    def fastest(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> NDArray[np.int64]:
        """Which protocol, from 0, is the fastest in each cell."""
        base = self._base_design(design)
        return self._branches(base, self.base.columns(n, r, N), n, r, N).winners(combinations)

    def _copies(self, base: Design, row: int) -> int:
        return 1 if base.names[base.pivots[row]] in self.shared else self.formula.protocols

    def _base_design(self, design: Design) -> Design:
        """The linear law's design within the law's own: the rows of the first protocol."""
        names = [term.name for term in self.base.terms]
        at = [design.names.index(name) for name in names]
        rows = [i for i, pivot in enumerate(design.pivots) if design.names[pivot] in names]
        pivots = tuple(names.index(design.names[design.pivots[i]]) for i in rows)
        return Design(tuple(names), pivots, design.combinations[np.ix_(rows, at)], design.condition, frozenset())

    def _branches(self, base: Design, X: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Branches:
        return self._branches_of(base)(X, n, r, N)

    def _branches_of(self, base: Design) -> Callable[[Array, ArrayLike, ArrayLike, ArrayLike], Branches]:
        """The branches of cells with columns X, of which what depends on the design alone is known."""
        names = [base.names[pivot] for pivot in base.pivots]
        inside, across = (np.array([name.startswith(kind) for name in names], dtype=bool) for kind in ("B_intra", "B_inter"))
        groups = (inside, across) if self.formula.overlap else (inside | across,)
        latencies = ~(inside | across)
        rows, at = 0, []
        for row in range(base.rank):
            copies = self._copies(base, row)
            at.append([rows + min(p, copies - 1) for p in range(self.formula.protocols)])
            rows += copies
        index = np.array(at, dtype=int).reshape(base.rank, self.formula.protocols).T
        smooth, jump = self.formula.shape == "smooth", self.formula.shape == "threshold"

        def branches(X: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Branches:
            sizes = np.ravel(np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N)))[0])
            Z = base.coordinates(X)
            return Branches(sizes, Z * latencies, tuple(Z * group for group in groups), index, rows, smooth, jump)

        return branches

    def _increments(self, base: Design) -> Array:
        """The matrix [estimates, increments] that orders the protocols: latencies add up from the first protocol on,
        times per byte from the last one back, so that with increments ≥ 0 both latency and bandwidth rise."""
        blocks = []
        for row in range(base.rank):
            copies = self._copies(base, row)
            ones = np.tril(np.ones((copies, copies)))
            blocks.append(ones.T if base.names[base.pivots[row]].startswith("B_") else ones)
        size = sum(len(block) for block in blocks)
        matrix, at = np.zeros((size, size)), 0
        for block in blocks:
            matrix[at : at + len(block), at : at + len(block)] = block
            at += len(block)
        return matrix


def _row(names: Sequence[str], coefficients: dict[str, float]) -> Array:
    return np.array([coefficients.get(name, 0.0) for name in names])
