"""The distribution of the time to the first token: the burst at the start, then arrivals among running steps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import (
    ClosedLoop,
    Poisson,
    Scheduler,
    Served,
    StepCosts,
    Workload,
)
from inferometer.emulator.economics.serving.batching.steady import Steady, prompt_s, steady, windows

MOST_TOGETHER = 64
"""Prompts in one step; more count as so many."""
FEW, MANY = 3, 3.9
"""Users; steps that all users' prompts fill: bounds of what the closed form is good for."""
PARTS = 12
"""Points of a uniform distribution."""


def served(workload: Workload, scheduler: Scheduler, costs: StepCosts) -> Served:
    """The closed form of what `simulate` counts, for a closed loop or Poisson arrivals.

    Raises InputError for a trace.
    """
    state = steady(workload, scheduler, costs)
    if isinstance(workload.arrivals, Poisson) and scheduler.prompts == "separate" and not state.saturated:
        state = _refined(workload, scheduler, costs, state)
    values, weights = first_token(workload, scheduler, costs, state)
    order = np.argsort(values)
    values, weights = values[order], weights[order] / weights.sum()
    share = np.cumsum(weights)
    p50, p90, p99 = (float(values[min(int(np.searchsorted(share, q - 1e-6)), len(values) - 1)]) for q in (0.5, 0.9, 0.99))
    mean = float((values * weights).sum())
    tpot, decoding, rate = float(state.tpot_s), float(state.decoding), float(state.rate_per_s)
    return Served(tpot, mean, p50, p90, p99, decoding, rate, bool(state.saturated), *tpot_quantiles(workload, state))


def doubtful(workload: Workload, scheduler: Scheduler) -> str | None:
    """Why the closed form's quantiles may be further from the event simulation than 10 % (p50) and 20 % (p90); else None.

    Of 200 random workloads those that are not named here are within that, but for 2 (tests/verify/test_batching.py).
    """
    arrivals = workload.arrivals
    if not isinstance(arrivals, ClosedLoop):
        return None
    if arrivals.users <= FEW:
        return f"{arrivals.users:g} users: quantiles are of few prompts that meet"
    held = min(arrivals.users, scheduler.sequences_max)
    if held * workload.prompt.mean > MANY * scheduler.budget:
        full = held * workload.prompt.mean / scheduler.budget
        return f"the users' prompts fill {full:.1f} steps: who waits for whom depends on the order in which they come"
    return None


def tpot_quantiles(workload: Workload, state: Steady) -> tuple[float, float, float]:
    """p50, p90, p99 over requests: the prompts of others that one meets while it decodes come independently of each other,
    so that their number has a variance of its mean; near normal."""
    further = max(workload.output.mean - 1.0, 1.0)
    tpot, extra = float(state.tpot_s), max(float(state.extra_s), 1e-12)
    met = max(tpot - float(state.decode_s), 0.0) * further / extra
    spread = np.sqrt(met) * extra / further
    return tpot, float(tpot + 1.2816 * spread), float(tpot + 2.3263 * spread)


def first_token(workload: Workload, scheduler: Scheduler, costs: StepCosts, state: Steady) -> tuple[Array, Array]:
    """Values of the time to the first token and their weights.

    A closed loop's first round is a burst. In later rounds answers, and so the next prompts, come within a number of steps
    that grows with each round by the spread of the outputs' lengths.
    """
    arrivals = workload.arrivals
    if isinstance(arrivals, Poisson):
        return _among_steps(workload, scheduler, costs, state, float(state.rate_per_s))
    assert isinstance(arrivals, ClosedLoop)
    users = max(1, round(min(arrivals.users, scheduler.sequences_max)))
    parts = [(burst(workload, scheduler, costs, users), 1.0)]
    later = round(arrivals.rounds) - 1
    for share, steps in windows(workload, scheduler, np.asarray(float(users))) if later > 0 else ():
        parts.append((_replacing(workload, scheduler, costs, state, users, float(steps)), share * later))
    values = np.concatenate([part[0][0] for part in parts])
    weights = np.concatenate([part[0][1] / part[0][1].sum() * part[1] for part in parts])
    return values, weights


def burst(workload: Workload, scheduler: Scheduler, costs: StepCosts, users: int) -> tuple[Array, Array]:
    """All users' first prompts at once, in steps of the whole budget, with the decoding of those before."""
    prompt, mixed = workload.prompt.mean, scheduler.prompts == "mixed"
    left, now, ready = users * prompt, 0.0, 0.0
    values, weights = [], []
    while left > 0.5:
        beside = np.floor(ready + 1e-9) if mixed else 0.0
        room = max(scheduler.budget - beside, 1.0)
        steps = max(1, int(left // room) // 64)  # of a long burst several steps at once
        taken = min(left, room * steps)
        now += steps * float(costs.step_s(beside, taken / steps))
        left -= taken
        done = users - left / prompt
        if (more := np.floor(done + 1e-9) - np.floor(ready + 1e-9)) > 0:
            values.append(now)
            weights.append(more)
        ready = done
    return np.array(values), np.array(weights)


def _replacing(
    workload: Workload, scheduler: Scheduler, costs: StepCosts, state: Steady, users: int, steps: float
) -> tuple[Array, Array]:
    """Prompts that replace the requests answered in a step, where all users are answered within so many steps."""
    decoding, prompt = float(state.decoding), workload.prompt.mean
    most = min(MOST_TOGETHER, users)
    chance = _arriving(np.array([(users - 1) / steps]), most, users - 1)[0]
    others: Array = np.arange(most, dtype=float)
    if users > MOST_TOGETHER and steps <= 1:  # all of them at once
        others = others * (users - 1) / (most - 1)
    phase = (np.arange(PARTS) + 0.5) / PARTS
    mixed = scheduler.prompts == "mixed"
    room = max(scheduler.budget - (decoding if mixed else 0.0), 1.0)
    values = np.empty((most, PARTS))
    for at, count in enumerate(others):
        tokens = prompt * (1 + count)
        step = float(costs.step_s(decoding if mixed else 0.0, min(tokens, room)))
        values[at] = step * np.maximum(np.ceil(prompt * (1 + count * phase) / room - 1e-9), 1.0) if tokens > room else step
    if workload.reply_s > 0 and users > 1:
        alone = float(costs.step_s(decoding, 0.0))
        running = np.where(others > 0, values[:, -1], alone) if mixed else np.full(most, alone)
        reply = 2 * workload.reply_s * phase
        rest = np.where(2 * workload.reply_s < running[:, None], running[:, None] - reply, running[:, None] * phase)
        values = rest[:, None, :] + values.mean(axis=1)[None, :, None]
        weights = chance[:, None, None] * chance[None, :, None] * np.full(PARTS, 1.0 / PARTS)
    else:
        weights = chance[:, None] * np.full(PARTS, 1.0 / PARTS)
    keep = np.broadcast_to(weights, values.shape).ravel() > 1e-9
    return values.ravel()[keep], np.broadcast_to(weights, values.shape).ravel()[keep]


def _among_steps(
    workload: Workload, scheduler: Scheduler, costs: StepCosts, state: Steady, rate: float
) -> tuple[Array, Array]:
    """Arrivals at a rate while steps run: those of a step enter the next one."""
    length, chain, share = _chain(workload, scheduler, costs, state, rate)
    most = len(length) - 1
    biased = share * length[:-1] / (share @ length[:-1])
    phase = (np.arange(PARTS) + 0.5) / PARTS
    values = length[:-1, None, None] * phase + length[None, 1:, None]
    weights = biased[:, None, None] * chain[:, :, None] * np.full((most, most, PARTS), 1.0 / PARTS)
    keep = weights.ravel() > 1e-9
    return values.ravel()[keep], weights.ravel()[keep]


def _chain(
    workload: Workload, scheduler: Scheduler, costs: StepCosts, state: Steady, rate: float
) -> tuple[Array, Array, Array]:
    """Lengths of steps with 0, 1, … prompts; from the prompts of a step to those that arrive in it; the share of each."""
    decoding, prompt = float(state.decoding), workload.prompt.mean
    count = np.arange(MOST_TOGETHER + 1)
    alone = float(costs.step_s(decoding, 0.0))
    tried = np.array([1, 2, 4, 16, MOST_TOGETHER])
    each = np.interp(count, tried, [float(prompt_s(costs, scheduler, decoding, prompt, n)) for n in tried])
    length = (alone if scheduler.prompts == "mixed" else 0.0) + count * each
    length[0] = alone
    chain = _arriving(rate * length[:-1], MOST_TOGETHER, None)
    share = np.full(MOST_TOGETHER, 1.0 / MOST_TOGETHER)
    for _ in range(60):
        share = share @ chain
    return length, chain, share


def _refined(workload: Workload, scheduler: Scheduler, costs: StepCosts, state: Steady) -> Steady:
    """Poisson arrivals where prompts have steps of their own: the time between decode steps by the chain of steps."""
    further = max(workload.output.mean - 1.0, 1.0)
    for _ in range(12):
        length, _, share = _chain(workload, scheduler, costs, state, float(state.rate_per_s))
        tpot = float(share @ length[:-1] / max(share[0], 1e-9))
        decoding = min(max(float(state.rate_per_s) * further * tpot, 1.0), scheduler.sequences_max)
        state = replace(state, tpot_s=tpot, decoding=0.5 * (float(state.decoding) + decoding))
    return state


def _arriving(mean: Array, most: int, others: int | None) -> Array:
    """Probabilities of 0 … most − 1 arrivals, a row for each mean: Poisson, or binomial among so many other users."""
    from scipy.special import gammaln, xlog1py, xlogy

    count = np.arange(most)
    if others is None:
        found = np.exp(xlogy(count, mean[:, None]) - gammaln(count + 1) - mean[:, None])
    else:
        users, chance = max(others, 0), np.minimum(mean / max(others, 1), 1.0)[:, None]
        rest = np.maximum(users - count, 0)
        choices = gammaln(users + 1) - gammaln(count + 1) - gammaln(rest + 1)
        found = np.where(count <= users, np.exp(choices + xlogy(count, chance) + xlog1py(rest, -chance)), 0.0)
    found = np.maximum(found, 0.0)
    found[:, -1] += np.maximum(1 - found.sum(axis=1), 0.0)
    rows: Array = found / found.sum(axis=1, keepdims=True)
    return rows
