"""Decisions under uncertainty: candidates' times drawn from what the laws leave open, and how often each is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.student import t_quantile
from inferometer.emulator.economics.serving.uncertainty import Cause, Share
from inferometer.emulator.samples.statistics import Z95
from inferometer.emulator.workload.program import Size

DRAWS = 1000
LONGEST = 10.0
"""Student's t is a normal of an unknown scale; no draw's scale is longer than this, or a mean over draws would not exist."""


@dataclass(frozen=True)
class Open:
    """What laws leave open of n candidates' times: each law's part of the time, and its errors, on one scale for all.

    latency_s [n]. parts: law → seconds of the time [n]. sources: law → cause → [n], by which the logarithm of the
    law's part is off at the end of the cause's 95 % interval, with its sign.
    """

    latency_s: Array
    parts: Mapping[str, Array]
    sources: Mapping[str, Mapping[Cause, Array]]

    @classmethod
    def of(cls, latency_s: Array, total_s: Array, shares: Mapping[str, Share]) -> Open:
        """From the shares of steps. latency_s over total_s: how much longer a token takes than the sum of a step's terms."""
        stretch = np.asarray(latency_s, dtype=float) / np.asarray(total_s, dtype=float)

        def each(value: Size) -> Array:
            return np.broadcast_to(np.asarray(value, dtype=float), stretch.shape)

        parts = {law: each(share.seconds) * stretch for law, share in shares.items()}
        sources = {law: {cause: each(half) for cause, half in share.sources.items()} for law, share in shares.items()}
        return cls(np.asarray(latency_s, dtype=float), parts, sources)

    @classmethod
    def joined(cls, tables: Sequence[Open]) -> Open:
        """The candidates of several tables in their order; an error leaves nothing open of those that it does not touch."""
        laws = dict.fromkeys(law for table in tables for law in table.parts)
        none = [np.zeros_like(table.latency_s) for table in tables]
        parts, sources = {}, {}
        for law in laws:
            parts[law] = np.concatenate([t.parts.get(law, zero) for t, zero in zip(tables, none)])
            of_law = [table.sources.get(law, {}) for table in tables]
            causes = dict.fromkeys(cause for errors in of_law for cause in errors)
            sources[law] = {
                cause: np.concatenate([errors.get(cause, zero) for errors, zero in zip(of_law, none)]) for cause in causes
            }
        return cls(np.concatenate([table.latency_s for table in tables]), parts, sources)

    def taken(self, rows: NDArray[Any]) -> Open:
        """These candidates, in this order."""
        return Open(
            self.latency_s[rows],
            {law: part[rows] for law, part in self.parts.items()},
            {law: {cause: half[rows] for cause, half in errors.items()} for law, errors in self.sources.items()},
        )

    def drawn(self, seed: int = 0, draws: int = DRAWS) -> Array:
        """Times [draws, n]. In one draw an error is the same for all candidates; errors are independent of each other."""
        rng = np.random.default_rng(seed)
        found = np.broadcast_to(self.latency_s, (draws, len(self.latency_s))).copy()
        for law, part in self.parts.items():
            causes, halves = zip(*self.sources[law].items())
            found += part * np.expm1(_scales(causes, rng, draws) @ np.array(halves))
        return found


def _scales(causes: Sequence[Cause], rng: np.random.Generator, draws: int) -> Array:
    """Errors [draws, causes] in units of half a 95 % interval: normal, or Student's t, of one law's parameters together."""
    scale = rng.standard_normal((draws, len(causes)))
    for freedom in {cause.freedom for cause in causes}:
        of = [at for at, cause in enumerate(causes) if cause.freedom == freedom]
        if freedom == inf:
            scale[:, of] /= Z95
        else:
            longer = np.sqrt(freedom / rng.chisquare(freedom, (draws, 1)))
            scale[:, of] *= np.minimum(longer, LONGEST) / t_quantile(int(freedom))
    return scale


@dataclass(frozen=True)
class Choice:
    """How good n candidates are as a choice. p_best and p_meets: probabilities [n]; regret: expected, relative [n].

    regret: how much worse than the best of the same draw a candidate is on average, as a share of the best.
    """

    p_best: Array
    p_meets: Array
    regret: Array


def choice(drawn_s: Array, cost: Array, most_s: float | None = None) -> Choice:
    """Who is the cheapest, draw by draw. drawn_s [draws, n]; cost [n]: of a second of a token's time.

    most_s: a candidate that takes longer is no choice in that draw; where none is left, none is the best of it, and regret
    counts the fastest as the best.
    """
    each = drawn_s * cost
    allowed = np.ones_like(each, dtype=bool) if most_s is None else drawn_s <= most_s
    priced = np.where(allowed, each, np.inf)
    any_left = allowed.any(axis=1)
    best = priced.argmin(axis=1)
    wins = np.bincount(best[any_left], minlength=each.shape[1])
    fastest = each[np.arange(len(each)), drawn_s.argmin(axis=1)]
    least = np.where(any_left, priced.min(axis=1), fastest)
    return Choice(wins / len(each), allowed.mean(axis=0), (each / least[:, None] - 1).mean(axis=0))


def band(drawn: Array, level: float = 0.9) -> tuple[Array, Array]:
    """The central interval of each column [draws, n] → ([n], [n])."""
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    return low, high


def frontier_band(drawn_s: Array, cost: Array, at_cost: Array, level: float = 0.9) -> tuple[Array, Array, Array]:
    """The most tokens/s of a user at a given cost: low end, median, high end over draws [m]; NaN where none is so cheap.

    drawn_s [draws, n]: times per token; cost [n]: of a second of each candidate's time, so that a token costs drawn_s·cost;
    at_cost [m].
    """
    found = np.full((len(drawn_s), len(at_cost)), np.nan)
    for row, times_s in enumerate(drawn_s):
        price = times_s * cost
        order = np.argsort(price, kind="stable")
        fastest = np.maximum.accumulate(1 / times_s[order])
        place = np.searchsorted(price[order], at_cost, side="right") - 1
        found[row] = np.where(place >= 0, fastest[np.maximum(place, 0)], np.nan)
    tail = (1 - level) / 2
    known = np.isfinite(found).mean(axis=0) > 1 - tail  # where some draws have nothing so cheap, the low end is not known
    low, middle, high = np.full((3, len(at_cost)), np.nan)
    if known.any():
        low[known], middle[known], high[known] = np.nanquantile(found[:, known], [tail, 0.5, 1 - tail], axis=0)
    return low, middle, high
