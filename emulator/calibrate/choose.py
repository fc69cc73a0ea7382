"""Which law of the ladder a key gets: by held-out error, the simplest within one standard error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.calibrate.fit import Fit, fit_law
from inferometer.emulator.calibrate.heldout import HeldOut, hold_out, rank_folds, size_folds
from inferometer.emulator.calibrate.laws import LinearLaw, ladder
from inferometer.emulator.calibrate.points import Points, without_launch_effect

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

DEFAULT = "affine"
FULL_STARTS = 3


@dataclass
class Candidate:
    """A law with its fit to all points, its held-out predictions and its score (mean |ln| held-out error)."""

    fit: Fit
    sizes: HeldOut
    ranks: HeldOut
    coincides_with: str | None = None
    score: float | None = None
    score_se: float | None = None

    @property
    def name(self) -> str:
        return self.fit.law.name

    @property
    def n_free(self) -> int:
        return len(self.fit.free)


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, all candidates in the ladder's order, and why."""

    chosen: Candidate
    candidates: list[Candidate]
    reason: str


def choose_law(collective: str, points: Points) -> Choice:
    """Choose among the laws of the ladder for one key's points.

    A law's error at a held-out cell is |ln(predicted/measured)|, measured being the median over launches with the
    launches' common factors taken out; its score is the mean over cells, its standard error that of this mean.

    1. Among the laws that say something about unmeasured rank counts, over those size folds and rank folds that all
       of them can predict: the lowest score wins, but a law with fewer free parameters whose score is within one
       standard error of it is preferred.
    2. A law tied to the measured rank counts replaces the winner only if, over the size folds, it is better by more
       than one standard error of its own score.

    With nothing to hold out the affine law is taken. Laws that span the same times on this design are one law: the
    first on the ladder stands for the others.
    """
    fitted: list[Candidate] = []
    for law in ladder(collective, points.n, points.r, points.N):
        twin = next((c for c in fitted if _coincide(c.fit.law, law, points)), None)
        if twin is not None:
            fitted.append(Candidate(fit_law(law, points), twin.sizes, twin.ranks, coincides_with=twin.name))
            continue
        fit = fit_law(law, points, starts=FULL_STARTS)
        sizes = hold_out(law, points, size_folds(points))
        fitted.append(Candidate(fit, sizes, hold_out(law, points, rank_folds(points))))
    chosen, reason = _select([c for c in fitted if c.coincides_with is None], points)
    return Choice(chosen, fitted, reason)


def _coincide(first: object, second: LinearLaw, points: Points) -> bool:
    """Whether two fully fitted linear laws have the same column space on these points."""
    if not isinstance(first, LinearLaw) or first.freedom != "all" or second.freedom != "all":
        return False
    one, two = (law.columns(points.n, points.r, points.N) for law in (first, second))
    both = law_rank(np.column_stack([one, two]))
    return both == law_rank(one) == law_rank(two)


def law_rank(X: Array) -> int:
    """Rank of X with its columns scaled to 1."""
    scale = np.abs(X).max(axis=0)
    return int(np.linalg.matrix_rank(X / np.where(scale > 0, scale, 1.0), tol=1e-9 * np.sqrt(len(X))))


def _select(candidates: list[Candidate], points: Points) -> tuple[Candidate, str]:
    general = [c for c in candidates if c.fit.law.extrapolates_ranks]
    common_sizes = np.logical_and.reduce([c.sizes.held for c in general])
    common_ranks = np.logical_and.reduce([c.ranks.held for c in general])
    errors = {c.name: _cell_errors(c, points, common_sizes, common_ranks) for c in general}
    if not len(errors[general[0].name]):
        default = next(c for c in general if c.name == DEFAULT)
        return default, "nothing can be held out of so few sizes and rank counts, so the affine law is taken"
    for c in general:
        c.score, c.score_se = _mean_and_error(errors[c.name])
    best = min(general, key=lambda c: (c.score or 0.0, c.n_free))
    limit = (best.score or 0.0) + (best.score_se or 0.0)
    winner = min((c for c in general if (c.score or 0.0) <= limit), key=lambda c: (c.n_free, c.score or 0.0))
    reason = "lowest held-out error"
    if winner is not best:
        reason = f"simplest within one standard error of {best.name}"
    no_ranks = np.zeros(len(points), dtype=bool)
    for c in candidates:
        if c in general:
            continue
        both = c.sizes.held & winner.sizes.held
        c.score, c.score_se = _mean_and_error(_cell_errors(c, points, both, no_ranks))
        rival, _ = _mean_and_error(_cell_errors(winner, points, both, no_ranks))
        if c.score is not None and rival is not None and c.score + (c.score_se or 0.0) < rival:
            winner, reason = c, f"better than {winner.name} at held-out sizes by more than one standard error"
    return winner, reason


def _cell_errors(candidate: Candidate, points: Points, sizes: Mask, ranks: Mask) -> Array:
    """|ln(predicted/measured)| per held-out cell: over the size folds, then the rank folds, as far as the masks go."""
    log_us = np.log(without_launch_effect(points))
    errors = []
    for held_out, mask in ((candidate.sizes, sizes), (candidate.ranks, ranks)):
        for cell in np.unique(points.cell[mask]):
            at = points.cell == cell
            errors.append(abs(np.log(held_out.predicted_us[at][0]) - np.median(log_us[at])))
    return np.array(errors)


def _mean_and_error(errors: Array) -> tuple[float | None, float | None]:
    if not len(errors):
        return None, None
    spread = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0.0
    return float(errors.mean()), float(spread)
