"""Cost laws t(n, r, N) in µs: what every law offers, and those that are linear in their parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.bus_factors import passes_of
from inferometer.emulator.calibrate.laws.design import Design, identify
from inferometer.emulator.calibrate.laws.equation import equation, label
from inferometer.emulator.calibrate.laws.paper import SOURCES, paper_parameters
from inferometer.emulator.calibrate.laws.problem import FixedProblem, LinearProblem, Problem
from inferometer.emulator.calibrate.laws.terms import Column, Term, bandwidth_terms, intra, latency_terms
from inferometer.emulator.calibrate.schema.network_records import Formula

At = Callable[[ArrayLike, ArrayLike, ArrayLike], Callable[[Array], Array]]


class Law(Protocol):
    """What the fit, the held-out tests and the file need of a law, linear or not."""

    @property
    def formula(self) -> Formula:
        """The parts that the law was built from."""
        ...

    @property
    def name(self) -> str:
        """The formula in a word, for people."""
        ...

    @property
    def equation(self) -> str: ...
    @property
    def base(self) -> LinearLaw:
        """The law without what bends it."""
        ...

    @property
    def terms(self) -> tuple[Term, ...]:
        """The parameters by name and unit, in the order of the design's names."""
        ...

    @property
    def extrapolates_ranks(self) -> bool:
        """False if the law says nothing about rank counts it was not fitted to."""
        ...

    def time_us(self, theta: ArrayLike, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs for known parameters theta [terms]."""
        ...

    def theta(self, values: dict[str, float]) -> Array:
        """theta [terms] from named values, bandwidths given in GB/s."""
        ...

    def bears(self, n: Array, r: Array, N: Array) -> bool:
        """Whether cells at (n, r, N) are enough to fit this law."""
        ...

    def design(self, n: Array, r: Array, N: Array) -> Design:
        """Which combinations of the parameters cells at (n, r, N) determine."""
        ...

    def problem(self, design: Design, n: Array, r: Array, N: Array) -> Problem:
        """The least-squares problem in the law's free parameters over those cells, with its own start values."""
        ...

    def combinations(self, design: Design, free: Array) -> Array:
        """The identifiable combinations [design.rank] that the free parameters stand for."""
        ...

    def predict_us(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs, NaN where the design never measured the direction asked for."""
        ...

    def ready(self, design: Design) -> At:
        """From cells (n, r, N) to `predict_us` of them as a function of the combinations alone: times [m] of combinations
        [rank], or [s, m] of s sets of them [rank, s]. What does not depend on the cells is worked out here, once."""
        ...

    def fastest(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> NDArray[np.int64]:
        """Which protocol, from 0, is the fastest in each cell."""
        ...


@dataclass(frozen=True)
class LinearLaw:
    """t = Σ_j θ_j x_j(n, r, N), θ ≥ 0.

    formula.constants says what is fitted: every θ, one factor on the prior θ, or nothing.
    silent: where it is not 0 the law says nothing.
    """

    formula: Formula
    name: str
    equation: str
    terms: tuple[Term, ...]
    prior: tuple[float, ...] | None = None
    silent: Column | None = None

    @property
    def base(self) -> LinearLaw:
        return self

    @property
    def extrapolates_ranks(self) -> bool:
        return self.silent is None

    def columns(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """The matrix x_j(n, r, N) [cells, terms]: µs per µs for latencies, µs per (ns/byte) for bandwidths.

        A row is NaN where the law says nothing: bytes inside a node at a rank count it has no bandwidth for.
        """
        n_, r_, N_ = (np.ravel(v) for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N))))
        X = np.empty((len(n_), len(self.terms)))
        for at, term in enumerate(self.terms):
            X[:, at] = term.column(n_, r_, N_)
        if self.silent is not None:
            X = np.where(self.silent(n_, r_, N_)[:, None] != 0, np.nan, X)
        return X

    def time_us(self, theta: ArrayLike, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs for known parameters theta [terms] (µs, and 1/B in ns/byte)."""
        return np.asarray(self.columns(n, r, N) @ np.asarray(theta, dtype=float))

    def theta(self, values: dict[str, float]) -> Array:
        """theta [terms] from named values, bandwidths given in GB/s."""
        return theta_of(self.terms, values)

    def design(self, n: Array, r: Array, N: Array) -> Design:
        return identify(self.columns(n, r, N), [term.name for term in self.terms])

    def problem(self, design: Design, n: Array, r: Array, N: Array) -> Problem:
        X = self.columns(n, r, N)
        if self.prior is None:
            return LinearProblem(X[:, list(design.pivots)], design.lower_bounds())
        base = X @ np.asarray(self.prior)
        return LinearProblem(base[:, None], np.zeros(1)) if self.formula.constants == "scaled" else FixedProblem(base)

    def combinations(self, design: Design, free: Array) -> Array:
        if self.prior is None:
            return free
        factor = free[0] if self.formula.constants == "scaled" else 1.0
        return np.asarray(factor * (design.combinations @ np.asarray(self.prior)))

    def predict_us(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        return self.ready(design)(n, r, N)(combinations)

    def ready(self, design: Design) -> At:
        def at(n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Callable[[Array], Array]:
            X = self.columns(n, r, N)
            spanned, Z = design.spans(X), design.coordinates(X)
            return lambda combinations: np.where(spanned, (Z @ combinations).T, np.nan)

        return at

    def bears(self, n: Array, r: Array, N: Array) -> bool:
        return True

    def fastest(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> NDArray[np.int64]:
        return np.zeros(np.broadcast_shapes(np.shape(n), np.shape(r), np.shape(N)), dtype=np.int64)


def theta_of(terms: Sequence[Term], values: dict[str, float]) -> Array:
    """theta [terms] from named values, bandwidths given in GB/s."""
    return np.array([1.0 / values[t.name] if t.is_bandwidth else values[t.name] for t in terms])


AFFINE = Formula(shape="sum", rank_latency="local", node_latency="log2")
"""The paper's form, with everything fitted."""


def with_parts(formula: Formula, **parts: Any) -> Formula:
    """The same formula with some of its parts changed."""
    return Formula.model_validate(formula.model_dump() | parts)


def linear_law(formula: Formula, collective: str) -> LinearLaw:
    """t = a + b·σ(r, N) + c·g(N) + κ_intra n/B_intra + κ_inter n/B_inter: what a formula is but for what bends it.

    With bandwidth_rank_counts there is one B_intra for each of them, since a shared host's falls as ranks are added, and
    the law says nothing about others.
    """
    counts = formula.bandwidth_rank_counts
    bytes_as = RING_BYTES[passes_of(collective)] if formula.ring_bytes else collective
    terms = latency_terms(formula.rank_latency, formula.node_latency, collective) + bandwidth_terms(bytes_as, counts)
    law = LinearLaw(formula, label(formula), equation(formula, [term.name for term in terms]), terms)
    if formula.constants != "fitted":
        return replace(law, prior=tuple(law.theta(paper_parameters(collective)).tolist()))
    if not counts:
        return law

    def bytes_at_other_counts(n: Array, r: Array, N: Array) -> Array:
        return np.where(np.isin(r, counts), 0.0, intra(collective).column(n, r, N))

    return replace(law, silent=bytes_at_other_counts)


#: Whose bytes a ring moves that passes once, or twice, over the data.
RING_BYTES = {1: "all_gather", 2: "all_reduce"}


def affine(collective: str) -> LinearLaw:
    """t = a + b(r/N − 1) + c log2 N + κ_intra n/B_intra + κ_inter n/B_inter: the paper's form, everything fitted."""
    return linear_law(AFFINE, collective)


def flat_ring(collective: str) -> LinearLaw:
    """t = a + b(r − 1) + κ_intra n/B_intra + κ_inter n/B_inter: one ring through all ranks, blind to nodes."""
    return linear_law(with_parts(AFFINE, rank_latency="ring", node_latency=None), collective)


def affine_bandwidth_per_ranks(collective: str, rank_counts: Sequence[int]) -> LinearLaw:
    """The affine law with one B_intra for each measured rank count."""
    return linear_law(with_parts(AFFINE, bandwidth_rank_counts=tuple(sorted(rank_counts))), collective)


def paper(collective: str) -> LinearLaw:
    """The paper's t_reduce with the paper's constants (module `paper` has their sources); nothing is fitted."""
    return linear_law(with_parts(AFFINE, constants="paper"), collective)


def scaled(collective: str) -> LinearLaw:
    """t = s · t_paper: one fitted factor on the paper's constants."""
    return linear_law(with_parts(AFFINE, constants="scaled"), collective)


def parameter_source(law: Law, name: str) -> str:
    """Where a parameter's value comes from, for the calibration file."""
    if law.formula.constants == "paper":
        return SOURCES[name]
    return f"fit, in the paper's proportions ({SOURCES[name]})" if law.formula.constants == "scaled" else "fit"
