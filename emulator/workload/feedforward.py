"""How tokens fall to experts: how many of them are chosen, how much the busiest rank has to do."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt
from typing import Literal, Protocol

import numpy as np

from inferometer.emulator.workload.operations import Size

Routing = Literal["uniform", "random", "alike"]
"""Every expert gets its share; every token chooses on its own; tokens of one sequence choose alike."""
ALIKE = 0.26
"""How far tokens of one sequence choose alike where the routers' weights are random: 0 independently, 1 as one token.

Attention has mixed the same tokens into each of them. Of Mixtral and DeepSeek V3 scaled to 1/8 and 1/16 it is 0.12 to 0.61,
0.26 in the middle (`pytest -m verify -s tests/unit/parallel/test_router_draws.py`).
"""


class Choice(Protocol):
    """What a router chooses: active of count experts."""

    @property
    def count(self) -> int: ...
    @property
    def active(self) -> int: ...


def touched_experts(experts: Choice, tokens: Size) -> Size:
    """Expected number of experts that at least one of tokens chooses, each choosing active different ones at random."""
    return experts.count * (1.0 - (1.0 - experts.active / experts.count) ** tokens)


def load_imbalance(experts: Choice | None, ranks: int, tokens: Size, routing: Routing, each: Size = 1.0) -> Size:
    """Expected tokens at the busiest of ranks over the mean: 1 for "uniform" routing. each: tokens of one sequence.

    For "random" routing every token chooses its active different experts independently of the others. A rank's load is then
    near normal around its mean, with the variance of drawing without replacement for every token; the largest of the loads,
    whose sum is fixed, is expected √(r/(r − 1)) · e deviations above it, e = E(largest of r normals), and (e² − 1)/6 ·
    (1 − 2/r) choices for the skewness of few choices (Cornish and Fisher 1938). It is no less than one choice, if there is
    any, and no more than what one rank's experts can be chosen, min(active, experts per rank) choices of every token.

    "alike": as n independent tokens do whose mean scatters as that of n·(1 + (each − 1)·ALIKE) that are so alike.
    """
    if experts is None or ranks == 1 or routing == "uniform":
        return 1.0
    tokens = np.maximum(tokens / (1 + (each - 1) * ALIKE) if routing == "alike" else tokens, 1e-12)
    mean = tokens * experts.active / ranks
    left = (experts.count - experts.active) / (experts.count - 1)
    deviation = np.sqrt(mean * (1 - 1 / ranks) * left)
    e = largest_of_normals(ranks)
    busiest = mean + np.sqrt(ranks / (ranks - 1)) * e * deviation + max(e**2 - 1, 0.0) / 6 * (1 - 2 / ranks)
    busiest = np.maximum(busiest, np.minimum(mean * ranks, 1.0))
    at_most = tokens * min(experts.active, experts.count // ranks)
    return np.maximum(np.minimum(busiest, at_most) / mean, 1.0)


@lru_cache(maxsize=1024)
def largest_of_normals(count: int) -> float:
    """The expected largest of so many independent standard normal numbers: ∫ x d(Φ(x)^count)."""
    x = np.linspace(-8.0, 8.0, 4001)
    below = np.array([0.5 * (1 + erf(value / sqrt(2))) for value in x]) ** count
    return float(((x[1:] + x[:-1]) / 2 * np.diff(below)).sum())
