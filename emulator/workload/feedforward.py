"""The feed-forward block as operations: dense, or a mixture of experts over the expert axis."""

from __future__ import annotations

from functools import lru_cache
from math import erf, sqrt
from typing import Any, Literal

import numpy as np

from inferometer.emulator.workload.program import Op, Size
from inferometer.emulator.workload.rank import RankWork
from inferometer.emulator.workload.shape import Experts

Routing = Literal["uniform", "random", "alike"]
"""Every expert gets its share; every token chooses on its own; tokens of one sequence choose alike."""
ALIKE = 0.26
"""How far tokens of one sequence choose alike where the routers' weights are random: 0 independently, 1 as one token.

Attention has mixed the same tokens into each of them. Of Mixtral and DeepSeek V3 scaled to 1/8 and 1/16 it is 0.12 to 0.61,
0.26 in the middle (`pytest -m verify -s tests/unit/parallel/test_router_draws.py`).
"""
COUNT_BYTES = 8  # the exchange of token counts is in int64


def dense_block(work: RankWork) -> list[Op]:
    """Up (with its gate) and down, cut over the attention ranks; partial sums, not yet reduced."""
    return _pair(work, "ffn", work.tokens, work.shape.d_ff // work.layout.ranks("tensor"))


def expert_block(work: RankWork) -> list[Op]:
    """Route, dispatch, the rank's experts, combine, reduce; the result is complete on every rank that needs it.

    With attention over "tensor" ranks every rank holds all tokens, so each of the ep takes an equal share of them (the
    last one's is padded to whole tokens) and the results are gathered at the end; with attention over "data" ranks each
    one already has its own.
    """
    experts = _experts(work)
    layout, p = work.layout, work.precision
    replicated = layout.attention == "tensor" and layout.ep > 1
    share = work.tokens / layout.ep if replicated else work.tokens
    own = np.ceil(share) if replicated else share
    copies = share * experts.active
    sent = copies * work.width * work.imbalance
    arriving = copies * work.imbalance  # every one of ep ranks sends its 1/ep share of copies to each
    d_ff = experts.d_ff // layout.ranks("tp")
    ops = work.into("moe.router", own, experts.count, bias=experts.router_bias)
    ops += work.collective("moe.counts", "all_to_all", "ep", experts.count * COUNT_BYTES)
    ops += work.collective("moe.dispatch", "all_to_all", "ep", sent * p.activation_bytes, expected=True)
    on_rank: dict[str, Any] = {
        "matrices_read": touched_experts(experts, share * layout.ep) / layout.ep,
        "matrices_kept": experts.count // layout.ep,
        "routed": True,
        "expected": layout.ep > 1,
    }
    ops += _pair(work, "moe", arriving, d_ff, **on_rank)
    ops += work.collective("moe.combine", "all_to_all", "ep", sent * p.residual_bytes, expected=True)
    if experts.shared:
        ops += _pair(work, "moe.shared", own, experts.shared * d_ff)
    ops += work.collective("moe.reduce", "all_reduce", "tp", work.residual(own))
    if replicated:
        ops += work.collective("moe.gather", "all_gather", "ep", work.residual(own * layout.ep))
    return ops


def touched_experts(experts: Experts, tokens: Size) -> Size:
    """Expected number of experts that at least one of tokens chooses, each choosing active different ones at random."""
    return experts.count * (1.0 - (1.0 - experts.active / experts.count) ** tokens)


def load_imbalance(experts: Experts | None, ranks: int, tokens: Size, routing: Routing, each: Size = 1.0) -> Size:
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


def _pair(work: RankWork, name: str, rows: Size, width: int, **matrices: Any) -> list[Op]:
    """Into width (twice, if gated) and back. matrices: how many such pairs there are."""
    matrices["bias"] = work.shape.linear_bias
    up = work.into(f"{name}.up", rows, (2 if work.shape.gated else 1) * width, **matrices)
    return [*up, work.matmul(f"{name}.down", rows, width, work.width, **matrices)]


def _experts(work: RankWork) -> Experts:
    assert work.shape.experts is not None
    return work.shape.experts
