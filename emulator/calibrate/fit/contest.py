"""The laws that compete for one key: fitted, held out, scored, and compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.fit.held_out import HeldOut, hold_out, rank_folds, size_folds
from inferometer.emulator.calibrate.fit.points import Points, without_launch_effect
from inferometer.emulator.calibrate.fit.robust import Fit, fit_law
from inferometer.emulator.calibrate.laws.linear import AFFINE, Law, with_parts
from inferometer.emulator.calibrate.schema.network_records import Formula

Mask = NDArray[np.bool_]

DEFAULT = "affine"
PRIOR = ("paper", "scaled")
SAME_LATENCY = {"rank_latency": AFFINE.rank_latency, "node_latency": AFFINE.node_latency}
#: What a cell must be able to hold out for every law: what these can predict.
YARDSTICKS = (*PRIOR, DEFAULT, "flat_ring")
#: A predicted time of nothing counts as a millionth of the measured one.
LOG_NONE = -13.8
TINY_US = 1e-30
#: A law with as many parameters or more, and a BIC above another's by this, cannot be worth them: "very strong evidence"
#: (Kass and Raftery 1995).
HOPELESS = 10.0
#: A difference in held-out error that nobody would notice, however significant, is not worth a parameter.
IMMATERIAL = 0.001
#: How many of the straight laws' latencies go on to the shapes that bend.
KEPT = 3
#: Distinct sizes at which each protocol of a law must be the fastest; else the law is a simpler one in disguise.
SIZES_WON = 3


@dataclass
class Candidate:
    """A law with its fit to all points, its held-out predictions and its score (mean |ln| held-out error).

    bic: Bayesian information criterion. unfit: why a law that was fitted cannot compete.
    """

    fit: Fit
    bic: float
    sizes: HeldOut
    ranks: HeldOut
    coincides_with: str | None = None
    unfit: str | None = None
    score: float | None = None
    score_se: float | None = None

    @property
    def name(self) -> str:
        return self.fit.law.name

    @property
    def formula(self) -> Formula:
        return self.fit.law.formula

    @property
    def n_free(self) -> int:
        return len(self.fit.free)


class Contest:
    """The candidates of one key, and how they compare."""

    def __init__(self, points: Points) -> None:
        self.points = points
        self.candidates: list[Candidate] = []
        self._folds = size_folds(points), rank_folds(points)
        log_us = np.log(without_launch_effect(points))
        self._first, row = np.unique(points.cell, return_index=True, return_inverse=True)[1:]
        self._log_us = np.array([np.median(log_us[row == cell]) for cell in range(len(self._first))])

    def enter(self, laws: Iterable[Law]) -> None:
        """Fit laws, then hold out from those that may win.

        Left out: laws that were entered already or that the cells cannot bear. Not held out: laws that coincide with
        one that was entered, and laws that another beats by HOPELESS in BIC with no more parameters.
        """
        p, new = self.points, []
        for one in laws:
            if any(c.name == one.name for c in self.candidates) or not one.bears(p.n, p.r, p.N):
                continue
            twin = next((c for c in self.candidates if c.coincides_with is None and _coincide(c.fit.law, one, p)), None)
            fit = fit_law(one, p)
            nothing = HeldOut(np.full(len(p), np.nan), ("not held out",))
            same = twin.name if twin else None
            candidate = Candidate(fit, fit.bic(len(self._first)), nothing, nothing, same, _in_disguise(fit, p))
            self.candidates.append(candidate)
            new.append(candidate)
        for c in new:
            better = [o for o in self.candidates if o.n_free <= c.n_free and o.bic < c.bic - HOPELESS and o.unfit is None]
            if c.coincides_with is None and c.unfit is None and better and c.name not in YARDSTICKS:
                c.unfit = f"{better[0].name} has no more parameters and a far lower BIC"
            if c.coincides_with is None and c.unfit is None:
                c.sizes, c.ranks = (hold_out(c.fit.law, p, folds) for folds in self._folds)
        for c in new:
            if c.coincides_with is not None:
                twin = next(o for o in self.candidates if o.name == c.coincides_with)
                c.sizes, c.ranks = twin.sizes, twin.ranks

    @property
    def comparable(self) -> bool:
        return bool(self._common()[0].any() or self._common()[1].any())

    def ranked(self) -> list[Candidate]:
        """The candidates that compete, best score first."""
        self._score()
        return sorted((c for c in self.candidates if c.score is not None), key=lambda c: (c.score or 0.0, c.n_free, c.bic))

    def close(self) -> list[Formula]:
        """The fitted laws near enough to the best of them to win with another shape: within two standard errors."""
        fitted = [c for c in self.ranked() if c.name not in PRIOR]
        best = fitted[0].score or 0.0
        return [c.formula for c in fitted if (c.score or 0.0) <= best + 2 * (c.score_se or 0.0)][:KEPT]

    def select(self) -> tuple[Candidate, str]:
        """The lowest BIC within one standard error of the lowest score, and the reason."""
        best, *others = self._without_refuted_constants(self.ranked())
        limit = (best.score or 0.0) + (best.score_se or 0.0)
        tied = [best, *(c for c in others if (c.score or 0.0) <= limit)]
        lowest = min(tied, key=lambda c: (c.bic, c.n_free))
        enough = (lowest.score or 0.0) + IMMATERIAL
        winner = min((c for c in tied if c is lowest or (c.score or 0.0) <= enough), key=lambda c: (c.n_free, c.bic))
        if winner is not lowest:
            return winner, f"fewer parameters than {lowest.name}, and no worse than it by {IMMATERIAL:.1%}"
        if winner is not best:
            return winner, f"within one standard error of {best.name}, with a lower BIC"
        return winner, "lowest held-out error"

    def _without_refuted_constants(self, ranked: list[Candidate]) -> list[Candidate]:
        """Constants that nobody measured here compete only where fitting them does not pay, by BIC."""
        fitted = next((c for c in ranked if c.name == DEFAULT), None)
        return [c for c in ranked if fitted is None or c.name not in PRIOR or c.bic <= fitted.bic]

    def errors(self, candidate: Candidate, sizes: Mask, ranks: Mask) -> Array:
        """|ln(predicted/measured)| per cell, the mean over the folds that held it out as far as the masks go."""
        total, count = np.zeros(len(self._first)), np.zeros(len(self._first))
        for held, mask in ((candidate.sizes, sizes), (candidate.ranks, ranks)):
            at = mask[self._first]
            predicted = np.maximum(
                np.log(np.maximum(held.predicted_us[self._first][at], TINY_US)), self._log_us[at] + LOG_NONE
            )
            total[at] += np.abs(predicted - self._log_us[at])
            count[at] += 1
        return np.asarray(total[count > 0] / count[count > 0])

    def _common(self) -> tuple[Mask, Mask]:
        measures = [c for c in self.candidates if c.name in YARDSTICKS and c.coincides_with is None]
        return (
            np.logical_and.reduce([c.sizes.held for c in measures]),
            np.logical_and.reduce([c.ranks.held for c in measures]),
        )

    def _score(self) -> None:
        sizes, ranks = self._common()
        errors: dict[str, Array] = {}
        for c in self.candidates:
            complete = not ((sizes & ~c.sizes.held).any() or (ranks & ~c.ranks.held).any())
            if c.coincides_with is None and c.fit.law.extrapolates_ranks and complete and c.unfit is None:
                errors[c.name] = self.errors(c, sizes, ranks)
        for c in self.candidates:
            if c.name in errors:
                c.score, c.score_se = mean_and_error(errors[c.name])


def _in_disguise(fit: Fit, points: Points) -> str | None:
    """Why a law of several protocols is no such law here: one of them is hardly ever the fastest."""
    if fit.law.formula.protocols == 1:
        return None
    fastest = fit.law.fastest(fit.design, fit.combinations, points.n, points.r, points.N)
    for protocol in range(fit.law.formula.protocols):
        if len(np.unique(points.n[fastest == protocol])) < SIZES_WON:
            return f"protocol {protocol + 1} is the fastest at fewer than {SIZES_WON} sizes"
    return None


def _coincide(first: Law, second: Law, points: Points) -> bool:
    """Whether two fully fitted laws of one shape have the same column space on these points."""
    shape, other = (with_parts(law.formula, **SAME_LATENCY, bandwidth_rank_counts=()) for law in (first, second))
    if shape != other or shape.constants != "fitted":
        return False
    one, two = (law.base.columns(points.n, points.r, points.N) for law in (first, second))
    both = law_rank(np.column_stack([one, two]))
    return both == law_rank(one) == law_rank(two)


def law_rank(X: Array) -> int:
    """Rank of X with its columns scaled to 1."""
    scale = np.abs(X).max(axis=0)
    return int(np.linalg.matrix_rank(X / np.where(scale > 0, scale, 1.0), tol=1e-9 * np.sqrt(len(X))))


def mean_and_error(values: Array) -> tuple[float | None, float | None]:
    """Mean and its standard error, None where there are no values."""
    if not len(values):
        return None, None
    spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(spread)
