"""What makes a served point worthless for a fit: found by arithmetic on the point itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.prices import datasheet_prices
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.layouts import divides
from inferometer.emulator.economics.serving.points.record import Deployed, ServedPoint
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.step import Step

MOST_FAILED = 0.01
"""Share of failed requests from which the others no longer tell of the load that was asked for."""
SHORTEST_OUTPUT = 8
"""Tokens; of fewer a time per token says little."""


MOST_TOO_FAST = 0.1
"""Share of a sweep's points that no device can reach, from which the others are doubtful too."""
MOST_FLOP, MOST_MEMORY = 0.8, 0.93
"""Shares of the datasheet's rates that no kernel exceeds (cuBLAS on H100, H200, B200; copies of whole memories)."""


def checked_points(points: Sequence[ServedPoint]) -> list[ServedPoint]:
    """The points, each with the problems found. Raises InputError for a model or an accelerator that is not known."""
    found = [point.flagged(*problems(point)) for point in points]
    groups: dict[Deployed, list[int]] = {}
    too_fast: set[int] = set()
    for at, point in enumerate(found):
        if point.usable and point.decoding is not None and point.tpot_ms is not None:
            groups.setdefault(point.deployed, []).append(at)
    for deployed, places in groups.items():
        for at, least in zip(places, least_tpot_ms(deployed, [found[at] for at in places])):
            point = found[at]
            if point.tpot_ms is not None and point.tpot_ms < least:
                found[at] = point.flagged(
                    f"TPOT of {point.tpot_ms:.3g} ms is below the {least:.3g} ms that {point.decoding:.0f} sequences and "
                    "their prompts take on the device at its best: prompts came from a cache, or fewer were in flight"
                )
                too_fast.add(at)
    return list(_sweeps(found, too_fast))


def _sweeps(points: Sequence[ServedPoint], too_fast: set[int]) -> Iterator[ServedPoint]:
    """All points of a sweep are doubtful where many of it are faster than any device: whatever made these so, prompts from a
    cache or a client that kept fewer in flight, does not spare the others."""

    def sweep(point: ServedPoint) -> tuple[object, ...]:
        one = point.deployed
        return (one.engine, one.version, one.model, one.accelerator, one.weights, point.source)

    counts: dict[tuple[object, ...], list[int]] = {}
    for at, point in enumerate(points):
        count = counts.setdefault(sweep(point), [0, 0])
        count[0] += 1
        count[1] += at in too_fast
    for point in points:
        every, fast = counts[sweep(point)]
        if point.usable and fast > MOST_TOO_FAST * every:
            yield point.flagged(f"{fast} of {every} points of this sweep are faster than the device at its best")
        else:
            yield point


def problems(point: ServedPoint) -> Iterator[str]:
    """What is wrong with a point by itself, in words, each with its arithmetic."""
    client, deployed = point.client, point.deployed
    if client.output.mean < SHORTEST_OUTPUT and point.tpot_ms is not None:
        yield f"outputs of {client.output.mean:g} tokens: a time per token needs {SHORTEST_OUTPUT}"
    if client.failed and client.requests and client.failed > MOST_FAILED * client.requests:
        yield f"{client.failed} of {client.requests} requests failed"
    if client.requests is not None and client.concurrency is not None and client.requests < client.concurrency:
        yield f"{client.requests} requests never fill a concurrency of {client.concurrency:g}"
    if deployed.speculation:
        yield "tokens were drafted: how many of them hold is no parameter of an engine"
    tpot, ttft = point.tpot_ms, point.ttft_ms
    if tpot is not None and ttft is not None and client.arrival != "burst" and ttft > (client.output.mean - 1) * tpot:
        yield f"TTFT of {ttft / 1e3:.3g} s is longer than all further tokens: most requests waited for others to end"
    if point.problems:
        return
    shape, _ = stored_as(deployed.model, deployed.weights, deployed.kv_bits)
    device = load_accelerator(deployed.accelerator)
    longest = client.prompt.high + client.output.high
    if shape.max_context is not None and longest > shape.max_context:
        yield f"prompt {client.prompt.high:g} + output {client.output.high:g} exceed the model's {shape.max_context}"
    elif not divides(shape, deployed.layout, device.node_size):
        yield f"{deployed.layout.describe()} on {device.name} does not divide the model, or not into whole nodes"


def least_tpot_ms(deployed: Deployed, points: Sequence[ServedPoint]) -> list[float]:
    """What no engine undercuts: a decode step's bytes and FLOP, and the FLOP of the prompts that replaced requests bring, on
    a device at its most (MOST_FLOP and MOST_MEMORY of its peak, the rate of its narrowest operands), without launches and
    network. 0 where tokens are drafted, which then come several at a time."""
    if deployed.speculation:
        return [0.0] * len(points)
    shape, precision = stored_as(deployed.model, deployed.weights, deployed.kv_bits)
    prices = replace(datasheet_prices(_at_peak(deployed.accelerator)), precision=precision)
    decoding = np.array([point.decoding for point in points], dtype=float)
    prompt, output = (np.array([getattr(p.client, name).mean for p in points]) for name in ("prompt", "output"))
    try:
        decode, prefill = (
            step_time(build(shape, deployed.layout, step, precision=precision), prices).terms
            for step in (Step.decode(decoding, prompt + output / 2), Step.prefill(deployed.layout.sequence_shares, prompt))
        )
    except InputError:
        return [0.0] * len(points)
    per_prompt = prefill["arithmetic_s"] / deployed.layout.sequence_shares
    found = decode["roof_s"] + np.maximum(decoding - 1, 0) / output * per_prompt
    least: list[float] = (1e3 * np.broadcast_to(found, decoding.shape)).tolist()
    return least


@lru_cache(maxsize=32)
def _at_peak(name: str) -> Accelerator:
    device = load_accelerator(name)
    best = dict.fromkeys(device.flop_per_s, max(device.flop_per_s.values()))
    return replace(device, flop_per_s=best, flop_fraction=MOST_FLOP, memory_fraction=MOST_MEMORY, kernel_s=0.0)
