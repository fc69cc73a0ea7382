"""The deployments that meet a service target at a load: layouts × users × precision × replicas, and pools of their own for
prompts and decoding; each with its margin and the probability that it meets the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, erf, sqrt

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Workload
from inferometer.emulator.economics.serving.batching.first_token import served
from inferometer.emulator.economics.serving.batching.steady import first_s, own_s, steady
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.choosing.least import Least, Statistic, nobody
from inferometer.emulator.economics.serving.engines.profile import Misfit, Profile
from inferometer.emulator.economics.serving.engines.serve import Engine, Replica
from inferometer.emulator.economics.serving.engines.steps import StepTable, grid
from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout

UNKNOWN_SD = 0.2
"""Of a logarithm, where a profile has no held-out errors: what roofs miss."""
LONG = 1000
"""Rounds of a closed loop whose start no longer shows in its p99."""
BUSY = 0.8
"""Share of the time that a pool of prompts works, so that queues stay short."""


@dataclass(frozen=True)
class Choice:
    """One deployment. users: of one replica, who all have a request in flight; requests_per_s: of all replicas, at most.

    margin: how far the nearer target lies above the prediction, as a fraction. pools: replicas for prompts and for decoding,
    where each has GPUs of its own; layout is then the decoding's, prompts the other one.
    """

    weights: str
    layout: Layout
    replicas: int
    users: float
    tpot_s: float
    ttft_s: float
    requests_per_s: float
    gpus: int
    usd_per_hour: float | None
    margin: float
    probability: float
    prompts: Layout | None = None
    prompt_replicas: int = 0

    @property
    def gpu_s_per_request(self) -> float:
        return self.gpus / self.requests_per_s


def choices(
    engines: Sequence[tuple[str, Engine]],
    workload: Workload,
    target: Target,
    *,
    gpus_max: int,
    rate_per_s: float | None = None,
    pools: bool = False,
    statistic: Statistic = "mean",
) -> list[Choice]:
    """Every deployment within the target, cheapest first: by GPUs for the rate, or by GPU seconds of a request without one.

    engines: by the name of the weights' format. statistic: what the target is of, over requests: their mean, or a quantile
    by the closed form's distribution in a long closed loop.

    Raises InputError where the model fits nowhere, where nothing reaches the target (by what factor, on what, because of
    which term), where the rate needs more GPUs than there may be, and for quantiles of pools.
    """
    if pools and statistic != "mean":
        raise InputError(f"--pools has means only: nothing here says what the {statistic} of a pool's users is")
    rows: list[Choice] = []
    least: list[Least] = []
    for weights, engine in engines:
        priced = list(_deployments(engine, workload, gpus_max))
        for layout, table, users in priced:
            rows += _replicated(engine, weights, layout, table, users, workload, target, rate_per_s, least, statistic)
        if pools:
            rows += _disaggregated(engine, weights, workload, target, gpus_max, rate_per_s, priced)
    if not least:
        names = ", ".join(engine.shape.name for _, engine in engines[:1])
        raise InputError(f"{names} fits on no layout of at most {gpus_max} × {engines[0][1].device.name}")
    met = [row for row in rows if row.margin >= 0]
    if not met:
        raise InputError(nobody(least, target, statistic))
    within = [row for row in met if row.gpus <= gpus_max]
    if not within:
        fewest = min(row.gpus for row in met)
        raise InputError(f"{rate_per_s:g} requests/s within the target need {fewest} GPUs, {gpus_max} are allowed")
    return sorted(within, key=lambda row: (float(row.gpus) if rate_per_s else row.gpu_s_per_request, -row.probability))


def _deployments(engine: Engine, workload: Workload, gpus_max: int) -> Iterator[tuple[Layout, StepTable, Array]]:
    """Layouts of one replica without pipelines that fit, their steps, and the numbers of users that are tried."""
    fitting: list[tuple[Layout, float]] = []
    for layout in layouts(engine.shape, engine.device, gpus_max):
        if layout.pp > 1 or layout.gpus & (layout.gpus - 1):
            continue
        room = min(engine.room(layout, workload), engine.profile.scheduler.sequences_max)
        if room >= 1:
            fitting.append((layout, float(room)))
    tables = engine.tables([layout for layout, _ in fitting], workload, [room for _, room in fitting])
    for (layout, most), table in zip(fitting, tables):
        if isinstance(table, StepTable):
            yield layout, table, grid(most)


def _replicated(
    engine: Engine,
    weights: str,
    layout: Layout,
    table: StepTable,
    users: Array,
    workload: Workload,
    target: Target,
    rate_per_s: float | None,
    least: list[Least],
    statistic: Statistic,
) -> Iterator[Choice]:
    scheduler = engine.profile.scheduler
    costs = Replica(table, layout.sequence_shares)
    work = Workload(workload.prompt, workload.output, ClosedLoop(1.0, 10.0), workload.reply_s)
    state = steady(work, scheduler, costs, users)
    ttft = first_s(work, scheduler, costs, state.decoding, state.tpot_s, state.extra_s) + engine.first_s(workload)
    tpot, ttft, rate = (
        np.broadcast_to(np.asarray(v, dtype=float), users.shape) for v in (state.tpot_s, ttft, state.rate_per_s)
    )
    if statistic != "mean":
        loops = [replace(work, arrivals=ClosedLoop(float(count), LONG * float(count))) for count in users]
        found = [served(loop, scheduler, costs) for loop in loops]
        tpot = np.array([one.of("tpot", statistic) for one in found])
        ttft = np.array([one.of("ttft", statistic) for one in found]) + engine.first_s(workload)
    least.append(Least(float(tpot.min()), float(ttft.min()), engine, layout, workload))
    for at in range(len(users)):
        replicas = 1 if rate_per_s is None else max(1, ceil(rate_per_s / rate[at] - 1e-9))
        yield _choice(
            engine, weights, layout, replicas, float(users[at]), float(tpot[at]), float(ttft[at]), float(rate[at]), target
        )


def _choice(
    engine: Engine,
    weights: str,
    layout: Layout,
    replicas: int,
    users: float,
    tpot: float,
    ttft: float,
    rate: float,
    target: Target,
    prompts: tuple[Layout, int] | None = None,
) -> Choice:
    gpus = layout.gpus * replicas + (0 if prompts is None else prompts[0].gpus * prompts[1])
    price = engine.device.usd_per_hour
    limits = [(target.tpot_max_s, tpot), (target.ttft_max_s, ttft)]
    margin = min((limit / value - 1 for limit, value in limits if limit is not None), default=float("inf"))
    return Choice(
        weights,
        layout,
        replicas,
        users,
        tpot,
        ttft,
        rate * replicas,
        gpus,
        None if price is None else price * gpus,
        margin,
        probability(engine.profile, target, tpot, ttft),
        None if prompts is None else prompts[0],
        0 if prompts is None else prompts[1],
    )


def probability(profile: Profile, target: Target, tpot: float, ttft: float) -> float:
    """That both targets are met: measured over predicted is taken as log-normal, with the profile's held-out errors."""
    found = 1.0
    for name, limit, value in (("tpot", target.tpot_max_s, tpot), ("ttft", target.ttft_max_s, ttft)):
        if limit is not None:
            sd = _spread(profile.misfit.get(name))
            found *= 0.5 * (1 + erf(np.log(limit / value) / sd / sqrt(2)))
    return float(found)


def _spread(misfit: Misfit | None) -> float:
    """Standard deviation whose 90th percentile of absolute errors is the held-out one."""
    return UNKNOWN_SD if misfit is None else max(misfit.p90 / 1.645, 1e-3)


def _disaggregated(
    engine: Engine,
    weights: str,
    workload: Workload,
    target: Target,
    gpus_max: int,
    rate_per_s: float | None,
    found: Sequence[tuple[Layout, StepTable, Array]],
) -> Iterator[Choice]:
    """Prompts on replicas of their own, whose caches go over the network to those that decode.

    A replica for prompts computes one at a time and is BUSY at most; a prompt waits for those before it (M/D/1). The
    cache of a prompt is sent by each rank of one over its own link between nodes, or inside one where both pools fit there.
    """
    device, prompt = engine.device, workload.prompt.mean
    link = device.intra_bytes_per_s if gpus_max <= device.node_size else device.inter_bytes_per_s
    if not link:
        return
    for first, table, _ in found:
        service = float(
            np.asarray(own_s(engine.profile.scheduler, Replica(table, first.sequence_shares), 0.0 * np.ones(1), prompt))[0]
        )
        each = BUSY / service
        waiting = service * BUSY / (2 * (1 - BUSY))
        cache = _cache_bytes(engine, first, prompt)
        ttft = waiting + service + cache / link + engine.first_s(workload)
        for layout, steps, users in found:
            tpot = np.asarray(steps.step_s(users, np.zeros_like(users)), dtype=float)
            rate = users / (max(workload.output.mean - 1, 1.0) * tpot)
            for at in range(len(users)):
                if rate_per_s is None:
                    replicas = max(1, ceil(each / rate[at]))
                    prompts = max(1, ceil(replicas * rate[at] / each - 1e-9))
                    served = min(replicas * rate[at], prompts * each)
                else:
                    replicas = max(1, ceil(rate_per_s / rate[at] - 1e-9))
                    prompts, served = max(1, ceil(rate_per_s / each - 1e-9)), rate_per_s
                yield _choice(
                    engine,
                    weights,
                    layout,
                    replicas,
                    float(users[at]),
                    float(tpot[at]),
                    ttft,
                    served / replicas,
                    target,
                    (first, prompts),
                )


def _cache_bytes(engine: Engine, layout: Layout, prompt: float) -> float:
    """Of a prompt, on one rank."""
    return sum(
        store.elements * float(np.asarray(store.entries(prompt))) * engine.precision.kv_bytes * count
        for layer, count in engine.shape.kinds.items()
        if layer.attention is not None
        for store in layer.attention.stores(layout.attention_ranks)
    )
