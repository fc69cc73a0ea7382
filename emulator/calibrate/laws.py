"""The ladder of cost laws, t(n, r, N) in µs: each law a small record of named terms.

A further law (a p-norm, the minimum of two protocols, a step) is one more record. One that is not linear brings its
own class with the face of `Law`; nothing outside this module relies on linearity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inferometer.emulator.calibrate.busfactors import NO_BYTES, bus_factors
from inferometer.emulator.calibrate.design import Design, identify
from inferometer.emulator.calibrate.prior import SOURCES, paper_parameters
from inferometer.emulator.calibrate.problem import FixedProblem, LinearProblem, Problem
from inferometer.emulator.errors import InputError

Array = NDArray[np.float64]
Column = Callable[[Array, Array, Array], Array]

#: θ of a bandwidth term is 1/B in ns/byte, so that the law stays linear: 1 GB/s is 1 byte/ns.
NS_IN_US = 1e-3


@dataclass(frozen=True)
class Term:
    """One term θ·x(n, r, N) of a linear law; column gives x. θ is in µs, or 1/B in ns/byte if unit is GB/s."""

    name: str
    unit: Literal["us", "GB/s"]
    column: Column

    @property
    def is_bandwidth(self) -> bool:
        return self.unit == "GB/s"


class Law(Protocol):
    """What the fit, the held-out tests and the file need of a law, linear or not."""

    @property
    def name(self) -> str: ...
    @property
    def equation(self) -> str: ...
    @property
    def terms(self) -> tuple[Term, ...]: ...
    @property
    def extrapolates_ranks(self) -> bool:
        """False if the law says nothing about rank counts it was not fitted to."""
        ...

    def design(self, n: Array, r: Array, N: Array) -> Design:
        """What cells at (n, r, N) can tell about the parameters."""
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


@dataclass(frozen=True)
class LinearLaw:
    """t = Σ_j θ_j x_j(n, r, N), θ ≥ 0.

    freedom says what is fitted: every θ, one factor on the prior θ ("scale"), or nothing ("none").
    """

    name: str
    equation: str
    terms: tuple[Term, ...]
    freedom: Literal["all", "scale", "none"] = "all"
    prior: tuple[float, ...] | None = None
    silent: Column | None = None  # where it is not 0 the law says nothing

    @property
    def extrapolates_ranks(self) -> bool:
        return self.silent is None

    def columns(self, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """The matrix x_j(n, r, N) [cells, terms]: µs per µs for latencies, µs per (ns/byte) for bandwidths.

        A row is NaN where the law says nothing: bytes inside a node at a rank count it has no bandwidth for.
        """
        n_, r_, N_ = (np.ravel(v) for v in np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (n, r, N))))
        X = np.column_stack([np.broadcast_to(term.column(n_, r_, N_), n_.shape) for term in self.terms])
        if self.silent is not None:
            X = np.where(self.silent(n_, r_, N_)[:, None] != 0, np.nan, X)
        return X

    def time_us(self, theta: ArrayLike, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        """Time in µs for known parameters theta [terms] (µs, and 1/B in ns/byte)."""
        return np.asarray(self.columns(n, r, N) @ np.asarray(theta, dtype=float))

    def theta(self, values: dict[str, float]) -> Array:
        """theta [terms] from named values, bandwidths given in GB/s."""
        return np.array([1.0 / values[t.name] if t.is_bandwidth else values[t.name] for t in self.terms])

    def design(self, n: Array, r: Array, N: Array) -> Design:
        return identify(self.columns(n, r, N), [term.name for term in self.terms])

    def problem(self, design: Design, n: Array, r: Array, N: Array) -> Problem:
        X = self.columns(n, r, N)
        if self.freedom == "all":
            return LinearProblem(X[:, list(design.pivots)], design.lower_bounds())
        base = X @ np.asarray(self.prior)
        if self.freedom == "scale":
            return LinearProblem(base[:, None], np.zeros(1))
        return FixedProblem(base)

    def combinations(self, design: Design, free: Array) -> Array:
        if self.freedom == "all":
            return free
        factor = free[0] if self.freedom == "scale" else 1.0
        return np.asarray(factor * (design.combinations @ np.asarray(self.prior)))

    def predict_us(self, design: Design, combinations: Array, n: ArrayLike, r: ArrayLike, N: ArrayLike) -> Array:
        X = self.columns(n, r, N)
        return np.where(design.spans(X), design.coordinates(X) @ combinations, np.nan)


def _latency_terms(collective: str, flat: bool) -> list[Term]:
    terms = [Term("a", "us", lambda n, r, N: np.ones_like(n))]
    if flat:
        terms.append(Term("b", "us", lambda n, r, N: r - 1))
        return terms
    if collective != "send_recv":  # always two ranks: nothing varies with ρ
        terms.append(Term("b", "us", lambda n, r, N: r / N - 1))
    terms.append(Term("c", "us", lambda n, r, N: np.log2(N)))
    return terms


def _intra(collective: str, rank_count: int | None = None) -> Term:
    def column(n: Array, r: Array, N: Array) -> Array:
        here = 1.0 if rank_count is None else (r == rank_count)
        return np.asarray(bus_factors(collective, r, N)[0] * n * NS_IN_US * here)

    return Term("B_intra" if rank_count is None else f"B_intra@{rank_count}", "GB/s", column)


def _inter(collective: str) -> Term:
    return Term("B_inter", "GB/s", lambda n, r, N: bus_factors(collective, r, N)[1] * n * NS_IN_US)


def _terms(collective: str, flat: bool = False) -> tuple[Term, ...]:
    latency = _latency_terms(collective, flat)
    if collective in NO_BYTES:
        return tuple(latency)
    return (*latency, _intra(collective), _inter(collective))


def _equation(terms: Sequence[Term], flat: bool = False) -> str:
    text = {"a": "a", "b": "b*(r-1)" if flat else "b*(r/N-1)", "c": "c*log2(N)"}
    text |= {"B_intra": "k_intra*n/B_intra", "B_inter": "k_inter*n/B_inter"}
    return "t = " + " + ".join(text[term.name] for term in terms)


def affine(collective: str) -> LinearLaw:
    """t = a + b(r/N − 1) + c log2 N + κ_intra n/B_intra + κ_inter n/B_inter: the paper's form, everything fitted."""
    terms = _terms(collective)
    return LinearLaw("affine", _equation(terms), terms)


def flat_ring(collective: str) -> LinearLaw:
    """t = a + b(r − 1) + κ_intra n/B_intra + κ_inter n/B_inter: one ring through all ranks, blind to nodes."""
    terms = _terms(collective, flat=True)
    return LinearLaw("flat_ring", _equation(terms, flat=True), terms)


def _with_prior(collective: str, name: str, freedom: Literal["scale", "none"], factor: str) -> LinearLaw:
    form = affine(collective)
    values = paper_parameters(collective)
    equation = form.equation.replace("t = ", f"t = {factor}(") + ")" if factor else form.equation
    return LinearLaw(name, equation, form.terms, freedom, tuple(form.theta(values).tolist()))


def paper(collective: str) -> LinearLaw:
    """The paper's t_reduce with the paper's constants (module `prior` has their sources); nothing is fitted."""
    return _with_prior(collective, "paper", "none", "")


def scaled(collective: str) -> LinearLaw:
    """t = s · t_paper: one fitted factor on the paper's constants."""
    return _with_prior(collective, "scaled", "scale", "scale*")


def affine_bandwidth_per_ranks(collective: str, rank_counts: Sequence[int]) -> LinearLaw:
    """The affine law with one B_intra for each measured rank count, since a shared host's falls as ranks are added.

    t = a + b(r/N − 1) + c log2 N + κ_intra n/B_intra@r + κ_inter n/B_inter. It says nothing about other rank counts.
    """
    counts = tuple(sorted(rank_counts))
    terms = (
        *_latency_terms(collective, flat=False),
        *(_intra(collective, count) for count in counts),
        _inter(collective),
    )
    equation = affine(collective).equation.replace("/B_intra", "/B_intra@r")

    def bytes_at_other_counts(n: Array, r: Array, N: Array) -> Array:
        return np.where(np.isin(r, counts), 0.0, _intra(collective).column(n, r, N))

    return LinearLaw("affine_bandwidth_per_ranks", equation, terms, silent=bytes_at_other_counts)


def ladder(collective: str, n: Array, r: Array, N: Array) -> list[LinearLaw]:
    """The candidate laws for cells at (n, r, N), simplest first.

    A bandwidth per rank count is a candidate where at least two rank counts have three sizes each: with fewer its
    parameters would interpolate the cells instead of describing them.
    """
    laws = [paper(collective), scaled(collective), affine(collective)]
    if collective != "send_recv":
        laws.append(flat_ring(collective))
    if collective not in NO_BYTES:
        inside = bus_factors(collective, r, N)[0] * n > 0
        counts = [int(count) for count in np.unique(r[inside])]
        if sum(len(np.unique(n[inside & (r == count)])) >= 3 for count in counts) >= 2:
            laws.append(affine_bandwidth_per_ranks(collective, counts))
    return laws


def law_of(form: str, collective: str, parameter_names: Sequence[str]) -> LinearLaw:
    """The law a calibration file names by its form. Raises InputError for a form this version does not know."""
    simple = {"paper": paper, "scaled": scaled, "affine": affine, "flat_ring": flat_ring}
    if form in simple:
        return simple[form](collective)
    if form == "affine_bandwidth_per_ranks":
        counts = [int(name.partition("@")[2]) for name in parameter_names if name.startswith("B_intra@")]
        return affine_bandwidth_per_ranks(collective, counts)
    raise InputError(f"law '{form}' is not known: known are {', '.join(simple)}, affine_bandwidth_per_ranks")


def parameter_source(law: Law, name: str) -> str:
    """Where a parameter's value comes from, for the calibration file."""
    if law.name == "paper":
        return SOURCES[name]
    return f"fit, in the paper's proportions ({SOURCES[name]})" if law.name == "scaled" else "fit"
