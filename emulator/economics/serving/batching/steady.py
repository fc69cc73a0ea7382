"""Continuous batching in closed form: a mean over the steps that really occur, instead of one step of mean tokens.

A request decodes for output − 1 steps. Meanwhile each of the other requests that end is replaced by a new one, whose prompt
makes a step longer by what it takes beyond decoding:

    tpot = t_decode + (b − 1)/(output − 1) · (t_with_prompt − t_decode)        b sequences decode at the same time

The number of sequences follows from the times (Little's law), the times from the number: `steady` iterates. Everything may
be an array, one element a deployment or a load.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Scheduler, StepCosts, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.program import Size

ITERATIONS = 60
CLOSE = 1e-5
MOST_BUSY = 0.999
"""Share of the time that prompts may take; beyond, a rate cannot be served."""


@dataclass(frozen=True)
class Steady:
    """The steady state, in seconds. decoding: sequences that decode; decode_s, extra_s: a step without prompts, what one
    prompt adds to it; rate_per_s: requests that are answered; busy: share of the time that prompts take."""

    tpot_s: Size
    decode_s: Size
    extra_s: Size
    decoding: Size
    rate_per_s: Size
    busy: Size
    saturated: Size


def prompt_s(costs: StepCosts, scheduler: Scheduler, decoding: Size, prompt: Size, together: Size = 1.0) -> Size:
    """What one prompt adds to decoding: the step or steps that hold it, less those of decoding alone.

    together: prompts that enter with each other, which share what a step of prompts costs whatever it holds.
    """
    tokens = prompt * together
    mixed = scheduler.prompts == "mixed"
    room = np.maximum(scheduler.budget - (decoding if mixed else 0.0), 1.0)
    whole = np.minimum(tokens, room)
    beside = decoding if mixed else 0.0 * decoding
    longer = costs.step_s(beside, whole)
    if mixed:
        longer = longer - costs.step_s(decoding, 0.0)
    return longer * tokens / whole / together


def together(arriving: Size) -> Size:
    """Prompts in a step that holds any, where so many arrive in a step on average, independently: x/(1 − e^−x)."""
    arriving = np.maximum(arriving, 1e-9)
    return arriving / -np.expm1(-arriving)


def windows(workload: Workload, scheduler: Scheduler, users: Size) -> list[tuple[float, Size]]:
    """In how many steps all users of a closed loop are answered once, in its later rounds: (share of the rounds, steps).

    The first round's answers are as far from each other as its prompts were; each round spreads them further, by the
    spread of the outputs' lengths, until they are even over a request's whole time.
    """
    assert isinstance(workload.arrivals, ClosedLoop)
    further = max(workload.output.mean - 1.0, 1.0)
    mixed = scheduler.prompts == "mixed"
    prompts = users * workload.prompt.mean / scheduler.budget if mixed else 1.0 + 0.0 * users
    later = max(1, round(workload.arrivals.rounds) - 1)
    found, first, size = [], 1, 1
    while first <= later:  # rounds 1, 2, 3–4, 5–8, … together
        last = min(later, first + size - 1)
        spread = np.sqrt(6 * (first + last)) * workload.output.spread * workload.output.mean
        steps = np.minimum(further, np.maximum(1.0, np.hypot(prompts, spread)))
        found.append(((last - first + 1) / later, steps))
        first, size = last + 1, size if first == 1 else 2 * size
    return found


def interrupting(workload: Workload, scheduler: Scheduler, users: Size, decoding: Size) -> Size:
    """Prompts of others that a request meets while it decodes, in a closed loop: of all but one of the decoding, of half as
    many in the last round, which nobody replaces. With fixed lengths users stay in step: those whose prompts fit into one
    step meet none of each other's, and where prompts have steps of their own nobody meets any."""
    assert isinstance(workload.arrivals, ClosedLoop)
    rounds = workload.arrivals.rounds
    others = np.maximum(decoding - 1.0, 0.0) * (1 - 0.5 / rounds)
    if workload.output.spread > 0:
        return others
    if scheduler.prompts == "separate":
        return 0.0 * others
    alike = np.clip(np.floor(scheduler.budget / workload.prompt.mean), 1.0, np.maximum(users, 1.0))
    return np.maximum(decoding - alike, 0.0) * (1 - 0.5 / rounds)


def steady(workload: Workload, scheduler: Scheduler, costs: StepCosts, users: Size | None = None) -> Steady:
    """The steady state of a closed loop (users: instead of the workload's own, an array too) or of Poisson arrivals.

    Raises InputError for a trace, which has none.
    """
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedLoop):
        return _closed(workload, scheduler, costs, arrivals.users if users is None else users)
    if isinstance(arrivals, Poisson):
        return _open(workload, scheduler, costs, np.asarray(arrivals.rate_per_s, dtype=float))
    raise InputError("a trace has no steady state: simulate it")


def _closed(workload: Workload, scheduler: Scheduler, costs: StepCosts, users: Size) -> Steady:
    users = np.asarray(users, dtype=float)
    held = np.minimum(users, scheduler.sequences_max)
    further = max(workload.output.mean - 1.0, 1.0)
    decoding: Size = np.maximum(held, 1.0)
    for _ in range(ITERATIONS):
        decode = costs.step_s(decoding, 0.0)
        met = interrupting(workload, scheduler, held, decoding)
        extra = 0.0 * decode
        for share, steps in windows(workload, scheduler, held):
            extra = extra + share * prompt_s(costs, scheduler, decoding, workload.prompt.mean, together(held / steps))
        tpot = decode + met / further * extra
        first = first_s(workload, scheduler, costs, decoding, tpot, extra) + workload.reply_s
        now = np.clip(held * further * tpot / (further * tpot + first), 1.0, held)
        if np.all(np.abs(now - decoding) <= CLOSE * decoding):
            break
        decoding = 0.5 * (decoding + now)
    rate = decoding / (further * tpot)
    return Steady(tpot, decode, extra, decoding, rate, np.minimum(rate * extra, 1.0), users > held)


def _open(workload: Workload, scheduler: Scheduler, costs: StepCosts, rate: Array) -> Steady:
    further = max(workload.output.mean - 1.0, 1.0)
    decoding: Size = np.maximum(rate * further * costs.step_s(1.0 + 0.0 * rate, 0.0), 1.0)
    saturated = np.zeros_like(rate, dtype=bool)
    tpot: Size = costs.step_s(decoding, 0.0)
    for _ in range(10 * ITERATIONS):
        decode = costs.step_s(decoding, 0.0)
        extra = prompt_s(costs, scheduler, decoding, workload.prompt.mean, together(rate * tpot))
        busy = np.minimum(rate * extra, MOST_BUSY)
        tpot = decode / (1 - busy)
        now = np.maximum(rate * further * tpot, 1e-3)
        saturated = (rate * extra >= MOST_BUSY) | (now > scheduler.sequences_max)
        now = np.minimum(np.maximum(now, 1.0), scheduler.sequences_max)
        if np.all(np.abs(now - decoding) <= CLOSE * decoding):
            break
        decoding = 0.5 * (decoding + now)
    return Steady(tpot, decode, extra, decoding, rate, busy, saturated)


def own_s(scheduler: Scheduler, costs: StepCosts, decoding: Size, prompt: Lengths | float) -> Size:
    """The step, or the steps, in which a prompt is computed, with the decoding beside it."""
    tokens = prompt.mean if isinstance(prompt, Lengths) else prompt
    mixed = scheduler.prompts == "mixed"
    room = np.maximum(scheduler.budget - (decoding if mixed else 0.0), 1.0)
    beside = decoding if mixed else 0.0 * decoding
    whole = np.minimum(tokens, room)
    return costs.step_s(beside, whole) * np.maximum(tokens / whole, 1.0)


def first_s(workload: Workload, scheduler: Scheduler, costs: StepCosts, decoding: Size, tpot: Size, extra: Size) -> Size:
    """The mean time to the first token in the steady state, without the burst at the start: the rest of the step that runs
    when a request arrives, its own prompt's step, the prompts that arrived with it (first_token.py: its distribution)."""
    further = max(workload.output.mean - 1.0, 1.0)
    rate = decoding / (further * tpot)
    busy = np.minimum(rate * extra, 0.95)
    running = tpot + extra * busy / (1 - busy**2)
    waiting = residual(running, workload.reply_s) * np.clip(decoding - 1.0, 0.0, 1.0)
    return waiting + own_s(scheduler, costs, decoding, workload.prompt) + rate * tpot * extra


def residual(running: Size, reply_s: float) -> Size:
    """What is left of a running step when a reply arrives: half of it at random; all of it less the reply's own time where
    that is short against a step, since answers appear at the end of steps; nothing where it takes no time at all."""
    if reply_s <= 0:
        return 0.0 * running
    return np.where(2 * reply_s < running, running - reply_s, running / 2)
