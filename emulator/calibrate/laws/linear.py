"""Cost laws t(n, r, N) in µs: what every law offers, and those that are linear in their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.laws.design import Design, identify
from inferometer.emulator.calibrate.laws.prior import SOURCES, paper_parameters
from inferometer.emulator.calibrate.laws.problem import FixedProblem, LinearProblem, Problem
from inferometer.emulator.calibrate.laws.terms import FLAT_RING, PAPER_LATENCY, Column, Latency, Term, bandwidth_terms, intra


class Law(Protocol):
    """What the fit, the held-out tests and the file need of a law, linear or not."""

    @property
    def name(self) -> str: ...
    @property
    def equation(self) -> str: ...
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
        return theta_of(self.terms, values)

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


def theta_of(terms: Sequence[Term], values: dict[str, float]) -> Array:
    """theta [terms] from named values, bandwidths given in GB/s."""
    return np.array([1.0 / values[t.name] if t.is_bandwidth else values[t.name] for t in terms])


def linear(
    collective: str,
    latency: Latency = PAPER_LATENCY,
    rank_counts: Sequence[int] = (),
    bytes_as: str | None = None,
) -> LinearLaw:
    """t = a + b·σ(r, N) + c·g(N) + κ_intra n/B_intra + κ_inter n/B_inter, everything fitted.

    With rank counts there is one B_intra for each of them, since a shared host's falls as ranks are added, and the law
    says nothing about others. bytes_as: the collective whose bus factors count, where they are another's.
    """
    counts = tuple(sorted(rank_counts))
    terms = (*latency.terms(collective), *bandwidth_terms(bytes_as or collective, counts))
    name = latency.name if latency == FLAT_RING else "_".join(["affine", latency.name]).rstrip("_")
    if not counts:
        return LinearLaw(name, equation_of(terms, latency), terms)

    def bytes_at_other_counts(n: Array, r: Array, N: Array) -> Array:
        return np.where(np.isin(r, counts), 0.0, intra(collective).column(n, r, N))

    name += PER_RANKS
    return LinearLaw(name, equation_of(terms, latency), terms, silent=bytes_at_other_counts)


#: How laws with one B_intra per rank count are called after the same law without.
PER_RANKS = "_bandwidth_per_ranks"


def equation_of(terms: Sequence[Term], latency: Latency) -> str:
    """A linear law as text, the bandwidths of several rank counts as one term."""
    names = [term.name for term in terms]
    words = latency.words(names)
    if any(name.startswith("B_intra") for name in names):
        words.append("k_intra*n/B_intra" + ("@r" if any("@" in name for name in names) else ""))
    if "B_inter" in names:
        words.append("k_inter*n/B_inter")
    return "t = " + " + ".join(words)


def affine(collective: str) -> LinearLaw:
    """t = a + b(r/N − 1) + c log2 N + κ_intra n/B_intra + κ_inter n/B_inter: the paper's form, everything fitted."""
    return linear(collective)


def flat_ring(collective: str) -> LinearLaw:
    """t = a + b(r − 1) + κ_intra n/B_intra + κ_inter n/B_inter: one ring through all ranks, blind to nodes."""
    return linear(collective, FLAT_RING)


def affine_bandwidth_per_ranks(collective: str, rank_counts: Sequence[int]) -> LinearLaw:
    """The affine law with one B_intra for each measured rank count."""
    return linear(collective, rank_counts=rank_counts)


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


def parameter_source(law: Law, name: str) -> str:
    """Where a parameter's value comes from, for the calibration file."""
    if law.name == "paper":
        return SOURCES[name]
    return f"fit, in the paper's proportions ({SOURCES[name]})" if law.name == "scaled" else "fit"
