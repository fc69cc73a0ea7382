"""Choose the law of a key: by held-out error, and by BIC among laws whose held-out errors are alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.calibrate.fit.contest import DEFAULT, PRIOR, Candidate, Contest, mean_and_error
from inferometer.emulator.calibrate.fit.points import Points
from inferometer.emulator.calibrate.fit.robust import Fit
from inferometer.emulator.calibrate.laws.forms import (
    BANDWIDTH_PER_RANKS,
    bent,
    formula_named,
    latency_variants,
    law_of,
    linear_ladder,
    rank_counts,
)
from inferometer.emulator.calibrate.laws.linear import AFFINE, with_parts

AUTO = "auto"
#: The fabric demands a bandwidth per rank count where these differ by more than this factor (shared PCIe: 19 to 1.5 GB/s
#: from 2 to 8 ranks; NVLink: 1.1 to 1.6). For less it is not worth giving up every other rank count.
FACTOR = 2.0


class NotFittedError(Exception):
    """A key without a law; the message is the reason."""


@dataclass(frozen=True)
class Choice:
    """The chosen candidate, all candidates in the ladder's order, and why."""

    chosen: Candidate
    candidates: list[Candidate]
    reason: str


def choose_law(collective: str, points: Points, form: str = AUTO) -> Choice:
    """Choose among the laws of the ladder for one key's points, or take the one named.

    A law's error at a held-out cell is |ln(predicted/measured)|, measured being the median over launches with the
    launches' common factors taken out, averaged over the folds (sizes, rank counts) that held the cell out; its score is
    the mean over cells, its standard error that of this mean.

    1. The straight laws, then the shapes that bend with the best latencies of those. Those within one standard error of
       the lowest score are as good out of sample; the lowest BIC decides between them, unless a
       law with fewer free parameters is no worse by more than IMMATERIAL. The paper's constants, scaled or
       not, compete only where the affine law's BIC is no lower.
    2. The same shape with every other latency.
    3. A law tied to the measured rank counts replaces the winner only if, over the size folds, it is better by more
       than one standard error of its own, and the bandwidths differ by more than a factor of FACTOR.

    With nothing to hold out the affine law is taken. Laws that span the same times on this design are one law: the
    first on the ladder stands for the others.

    Raises InputError for a name that is not known, NotFittedError for a law that these points cannot bear.
    """
    if form != AUTO:
        return _named(collective, points, form)
    contest = Contest(points)
    contest.enter(linear_ladder(collective, points.N))
    if not contest.comparable:
        default = next(c for c in contest.candidates if c.name == DEFAULT)
        reason = "nothing can be held out of so few sizes and rank counts, so the affine law is taken"
        return Choice(default, contest.candidates, reason)
    contest.enter(law_of(with_parts(formula, overlap=True), collective) for formula in contest.close())
    kept = [bent(formula, collective) for formula in contest.close()]
    contest.enter(law_of(formula, collective) for of_one_shape in zip(*kept) for formula in of_one_shape)
    winner, reason = contest.select()
    if winner.formula.bends:
        others = latency_variants(winner.formula, collective, points.N)
        contest.enter(law_of(formula, collective) for formula in others)
        contest.enter([law_of(with_parts(winner.formula, overlap=not winner.formula.overlap), collective)])
        winner, reason = contest.select()
    winner, reason = _per_ranks(collective, points, contest, winner, reason)
    return Choice(winner, contest.candidates, reason + _indistinct(contest.candidates, winner))


def _named(collective: str, points: Points, form: str) -> Choice:
    p = points
    counts = rank_counts(collective, p.n, p.r, p.N)
    asked = law_of(formula_named(form, counts), collective)
    if not asked.bears(p.n, p.r, p.N) or (form == BANDWIDTH_PER_RANKS and not counts):
        raise NotFittedError(f"these cells cannot bear the law '{form}': too few sizes or topologies")
    contest = Contest(points)
    contest.enter([asked])
    return Choice(contest.candidates[0], contest.candidates, "asked for")


def _per_ranks(collective: str, points: Points, contest: Contest, winner: Candidate, reason: str) -> tuple[Candidate, str]:
    """The winner, or a law tied to the measured rank counts that beats it."""
    counts = rank_counts(collective, points.n, points.r, points.N)
    if not counts:
        return winner, reason
    formulas = [AFFINE] + [winner.formula] * (winner.name not in (*PRIOR, DEFAULT))
    contest.enter(law_of(with_parts(formula, bandwidth_rank_counts=tuple(counts)), collective) for formula in formulas)
    tied = [c for c in contest.candidates if not c.fit.law.extrapolates_ranks and c.coincides_with is None]
    demanded = bool(tied) and _bandwidth_ratio(tied[0].fit) > FACTOR
    none = np.zeros(len(points), dtype=bool)
    for c in tied:
        both = c.sizes.held & winner.sizes.held
        mine, rival = (contest.errors(one, both, none) for one in (c, winner))
        c.score, c.score_se = mean_and_error(mine)
        if demanded and c.score is not None and c.score + (c.score_se or 0.0) < float(rival.mean()):
            winner, reason = c, f"better than {winner.name} at held-out sizes by more than one standard error"
    return winner, reason


def _bandwidth_ratio(fit: Fit) -> float:
    """The largest over the smallest bandwidth inside a node that a law tied to rank counts found."""
    found = [fit.combinations[row] for name, row in fit.design.identified.items() if name.startswith("B_intra@")]
    found = [value for value in found if value > 0]
    return max(found) / min(found) if found else 1.0


def _indistinct(candidates: list[Candidate], winner: Candidate) -> str:
    """Which variants of the winner's law the cells cannot distinguish, in words."""
    twins = [c.name for c in candidates if c.coincides_with == winner.name]
    if "affine_linear_nodes" in twins:
        return "; these node counts cannot distinguish log2 N from N − 1"
    return ""
