"""An event simulation of continuous batching: exact, request by request; the reference of the closed form."""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from inferometer.emulator.economics.serving.batching.costs import (
    ClosedLoop,
    Poisson,
    Scheduler,
    Served,
    StepCosts,
    Trace,
    Workload,
    quantiles,
)
from inferometer.emulator.errors import InputError

MOST_STEPS = 2_000_000


@dataclass
class _Request:
    arrived_s: float
    prompt: int
    output: int
    left: int = 0
    """Prompt tokens that have not been computed."""
    first_s: float = 0.0
    done_s: float = 0.0


@dataclass
class _State:
    now_s: float = 0.0
    steps: int = 0
    """Decode steps so far: a sequence that joined with n tokens to go leaves n steps later."""
    coming: list[tuple[float, int]] = field(default_factory=list)
    waiting: deque[_Request] = field(default_factory=deque)
    entering: deque[_Request] = field(default_factory=deque)
    leaving: list[tuple[int, int, _Request]] = field(default_factory=list)
    decoded_s: float = 0.0
    """Σ sequences · seconds."""


def simulate(workload: Workload, scheduler: Scheduler, costs: StepCosts, *, requests: int, seed: int = 0) -> Served:
    """Serve so many requests and say what their users got.

    A step takes in prompt tokens first come first served, up to the budget that decoding leaves, while no more than
    sequences_max are in the batch; a request's first token appears at the end of the step that holds the last of its prompt.
    Runs of steps without any change of the batch are summed at once.

    Raises InputError where the workload needs more than MOST_STEPS changes of the batch.
    """
    rng = np.random.default_rng(seed)
    prompts, outputs = workload.prompt.draw(rng, requests), workload.output.draw(rng, requests)
    arrivals, state = workload.arrivals, _State()
    if isinstance(arrivals, Trace) and arrivals.prompts:
        prompts, outputs = np.array(arrivals.prompts), np.array(arrivals.outputs)
    users = 0
    if isinstance(arrivals, ClosedLoop):
        users = min(requests, round(arrivals.users))
        state.coming = [(0.0, number) for number in range(users)]
    elif isinstance(arrivals, Poisson):
        times = np.cumsum(rng.exponential(1 / arrivals.rate_per_s, requests))
        state.coming = [(float(time), number) for number, time in enumerate(times)]
    else:
        state.coming = [(float(time), number) for number, time in enumerate(sorted(arrivals.times_s)[:requests])]
    replies = rng.uniform(0.0, 2.0 * workload.reply_s, requests)
    done: list[_Request] = []
    sent, total = users, len(state.coming) if not users else requests
    for _ in range(MOST_STEPS):
        if len(done) >= total:
            return _served(done, state)
        _arrive(state, prompts, outputs)
        if not (state.waiting or state.entering or state.leaving):
            state.now_s = state.coming[0][0]
            continue
        finished = _step(state, scheduler, costs)
        for one in finished:
            done.append(one)
            if users and sent < requests:
                heapq.heappush(state.coming, (state.now_s + replies[sent], sent))
                sent += 1
    raise InputError(f"the simulation needs more than {MOST_STEPS} changes of the batch")


def _arrive(state: _State, prompts: np.ndarray, outputs: np.ndarray) -> None:
    while state.coming and state.coming[0][0] <= state.now_s:
        time, number = heapq.heappop(state.coming)
        prompt = max(1, int(prompts[number]))
        state.waiting.append(_Request(time, prompt, max(1, int(outputs[number])), prompt))


def _step(state: _State, scheduler: Scheduler, costs: StepCosts) -> list[_Request]:
    """One step with prompts in it, or all decode steps until something changes; who is done with it."""
    mixed = scheduler.prompts == "mixed"
    decoding = len(state.leaving)
    room = scheduler.sequences_max - decoding - len(state.entering)
    budget = scheduler.budget - (decoding if mixed else 0)
    taken, first = 0, []
    while budget > 0:
        if not state.entering and state.waiting and room > 0:
            state.entering.append(state.waiting.popleft())
            room -= 1
        if not state.entering:
            break
        head = state.entering[0]
        part = min(head.left, budget)
        head.left -= part
        budget -= part
        taken += part
        if head.left:
            break
        first.append(state.entering.popleft())
    if taken:
        seconds = float(costs.step_s(decoding if mixed else 0, taken))
        state.now_s += seconds
        state.decoded_s += decoding * seconds
        state.steps += 1 if mixed else 0
    else:
        seconds = float(costs.step_s(decoding, 0))
        count = max(1, state.leaving[0][0] - state.steps)
        if state.coming and (room > 0 or scheduler.sequences_max > decoding):
            count = min(count, max(1, ceil((state.coming[0][0] - state.now_s) / seconds)))
        state.now_s += count * seconds
        state.decoded_s += decoding * count * seconds
        state.steps += count
    finished = []
    while state.leaving and state.leaving[0][0] <= state.steps:
        finished.append(heapq.heappop(state.leaving)[2])
    for one in first:
        one.first_s = state.now_s
        if one.output == 1:
            finished.append(one)
        else:
            heapq.heappush(state.leaving, (state.steps + one.output - 1, id(one), one))
    for one in finished:
        one.done_s = state.now_s
    return finished


def _served(done: list[_Request], state: _State) -> Served:
    ttft = np.array([one.first_s - one.arrived_s for one in done])
    tpot = [(one.done_s - one.first_s) / (one.output - 1) for one in done if one.output > 1]
    span = max(one.done_s for one in done) - min(one.arrived_s for one in done)
    rate, decoding = len(done) / span, state.decoded_s / span
    mean = float(np.mean(tpot))
    return Served(mean, float(ttft.mean()), *quantiles(ttft), decoding, rate, False, *quantiles(np.array(tpot)))
