"""What a deployment on an engine gives its users under a load: steps, batching, memory and uncertainty put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import Network
from inferometer.emulator.economics.pricing.prices import Prices
from inferometer.emulator.economics.serving.batching.costs import (
    ClosedLoop,
    Poisson,
    Scheduler,
    Served,
    StepCosts,
    Trace,
    Workload,
)
from inferometer.emulator.economics.serving.batching.first_token import doubtful, served
from inferometer.emulator.economics.serving.batching.simulation import simulate
from inferometer.emulator.economics.serving.batching.steady import first_s, steady
from inferometer.emulator.economics.serving.engines.prices import engine_prices
from inferometer.emulator.economics.serving.engines.profile import Profile
from inferometer.emulator.economics.serving.engines.steps import Asked, StepTable, step_tables
from inferometer.emulator.economics.serving.points.weights import Weights
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Size
from inferometer.emulator.workload.shape import Shape
from inferometer.emulator.workload.step import Step

DRAWS = 12
"""Of the parameters, for an interval."""
MOST_SIMULATED = 2000
"""Requests of a simulation beside the closed form."""
GB = 1e9


@dataclass(frozen=True)
class Engine:
    """A model in a precision on an engine and a device. network: instead of the profile's calibrations; stored: the format
    of the checkpoint."""

    profile: Profile
    shape: Shape
    device: Accelerator
    precision: Precision
    network: Network | None = None
    stored: Weights = "checkpoint"

    def prices(self, values: dict[str, float] | None = None) -> Prices:
        return engine_prices(self.profile, self.device, self.precision, network=self.network, values=values)

    def room(self, layout: Layout, workload: Workload) -> int:
        """Sequences that one replica's memory holds, whole prompts and outputs in blocks. 0 where the weights do not fit."""
        block = self.profile.block_tokens
        tokens = np.ceil((workload.prompt.mean + workload.output.mean) / block) * block
        step = Step.decode(layout.sequence_shares * 1.0, tokens)
        program = build(self.shape, layout, step, precision=self.precision, node_size=self.device.node_size)
        memory = resident(program, layout.sequence_shares, tokens)
        free = self.device.memory_bytes * self.profile.memory_fraction - memory.weights_bytes
        each = float(np.asarray(memory.kv_bytes))
        return 0 if free <= 0 else int(free // each * layout.sequence_shares) if each > 0 else 10**6

    def scheduler(self, layout: Layout, workload: Workload) -> Scheduler:
        """The profile's, with no more sequences than the memory holds. Raises InputError where none fits."""
        room = self.room(layout, workload)
        if room < 1:
            raise InputError(
                f"{self.shape.name} does not fit on {layout.gpus} × {self.device.name} ({layout.describe()}): weights and "
                f"one sequence of {workload.prompt.mean + workload.output.mean:g} tokens exceed "
                f"{self.profile.memory_fraction:.0%} of {self.device.memory_bytes / GB:g} GB"
            )
        return replace(self.profile.scheduler, sequences_max=min(room, self.profile.scheduler.sequences_max))

    def tables(
        self, layouts: Sequence[Layout], workload: Workload, most: Sequence[float], values: dict[str, float] | None = None
    ) -> list[StepTable | InputError]:
        """The steps of each layout, up to so many sequences of a replica."""
        context = workload.prompt.mean + workload.output.mean / 2
        asked = [Asked(self.shape, layout, context, workload.prompt.mean) for layout in layouts]
        return step_tables(asked, self.prices(values), self.profile.scheduler, most)

    def first_s(self, workload: Workload, values: dict[str, float] | None = None) -> float:
        """What a first token takes beyond its steps."""
        found = values or self.profile.values
        return found["request_s"] + found["token_s"] * workload.prompt.mean


@dataclass(frozen=True)
class Replica(StepCosts):
    """The steps of a replica whose sequences are divided into shares, each of which takes in prompts of its own."""

    table: StepTable
    shares: int

    def step_s(self, decoding: Size, entering: Size) -> Size:
        return self.table.step_s(decoding, np.asarray(entering, dtype=float) / self.shares)


@dataclass(frozen=True)
class Answer:
    """What users of a deployment get; seconds. simulated: by the event simulation, where it was asked for. intervals: 95 %,
    of parameters and held-out misfit together; None where nothing says how far the answer may be off."""

    engine: str
    served: Served
    scheduler: Scheduler
    decode_s: float
    own_s: float
    simulated: Served | None = None
    tpot_interval_s: tuple[float, float] | None = None
    ttft_interval_s: tuple[float, float] | None = None
    notes: list[str] = field(default_factory=list)


def serve(engine: Engine, layout: Layout, workload: Workload, *, simulation: bool = False, seed: int = 0) -> Answer:
    """The answer of one deployment.

    Raises InputError where it does not fit, where no law prices a collective, and where the rate exceeds the capacity.
    """
    scheduler = engine.scheduler(layout, workload)
    split = of_one_replica(workload, layout.dp)
    most = float(scheduler.sequences_max)
    if isinstance(split.arrivals, ClosedLoop):
        most = min(most, split.arrivals.users)
    trace = isinstance(split.arrivals, Trace)
    costs = _costs(engine, layout, split, most, None)
    exact = simulate(split, scheduler, costs, requests=_requests(split), seed=seed) if simulation or trace else None
    found = _with_first(exact if trace and exact else served(split, scheduler, costs), engine.first_s(workload))
    if found.saturated and isinstance(workload.arrivals, Poisson):
        raise InputError(
            f"{workload.arrivals.rate_per_s:g} requests/s exceed what {layout.gpus} × {engine.device.name} "
            f"({layout.describe()}) can serve: {capacity(engine, layout, workload, scheduler, costs):.3g} requests/s"
        )
    simulated = None if exact is None or trace else _with_first(exact, engine.first_s(workload))
    intervals = _intervals(engine, layout, split, most, scheduler, found)
    notes = [*engine.profile.notes]
    if (why := doubtful(split, scheduler)) is not None:
        notes.append(f"{why}; the quantiles of the first token may be off by half: --simulate says by how much")
    if trace:
        notes.append("a trace has no steady state: its times are of the event simulation, at steps of mean lengths")
    if found.saturated:
        notes.append(f"only {scheduler.sequences_max} of the requests in flight are in the batch: the others wait")
    decoding = found.decoding
    return Answer(
        engine.profile.label,
        found,
        scheduler,
        float(costs.step_s(decoding, 0.0)),
        float(costs.step_s(decoding, min(workload.prompt.mean, scheduler.budget))),
        simulated,
        *intervals,
        notes,
    )


def capacity(engine: Engine, layout: Layout, workload: Workload, scheduler: Scheduler, costs: StepCosts) -> float:
    """Requests per second of a full batch, of all replicas."""
    users = float(scheduler.sequences_max)
    full = replace(workload, arrivals=ClosedLoop(users, 10 * users))
    return layout.dp * served(full, scheduler, costs).requests_per_s


def of_one_replica(workload: Workload, replicas: int) -> Workload:
    """An equal part of the load."""
    arrivals = workload.arrivals
    if isinstance(arrivals, ClosedLoop):
        return replace(workload, arrivals=ClosedLoop(max(arrivals.users / replicas, 1.0), arrivals.requests / replicas))
    if isinstance(arrivals, Poisson):
        return replace(workload, arrivals=Poisson(arrivals.rate_per_s / replicas))
    return replace(workload, arrivals=arrivals.part(replicas))


def _requests(workload: Workload) -> int:
    if isinstance(workload.arrivals, ClosedLoop):
        return round(min(workload.arrivals.requests, MOST_SIMULATED))
    if isinstance(workload.arrivals, Trace):
        return len(workload.arrivals.times_s)
    return MOST_SIMULATED


def _costs(engine: Engine, layout: Layout, workload: Workload, most: float, values: dict[str, float] | None) -> StepCosts:
    (table,) = engine.tables([layout], workload, [most], values)
    if isinstance(table, InputError):
        raise table
    return Replica(table, layout.sequence_shares)


def _with_first(found: Served, seconds: float) -> Served:
    times = {name: getattr(found, name) + seconds for name in ("ttft_s", "ttft_p50_s", "ttft_p90_s", "ttft_p99_s")}
    return replace(found, **times)


def _intervals(
    engine: Engine, layout: Layout, workload: Workload, most: float, scheduler: Scheduler, found: Served
) -> tuple[tuple[float, float] | None, tuple[float, float] | None]:
    """Of TPOT and TTFT: the spread over drawn parameters and the held-out misfit, as logarithms, in squares."""
    profile = engine.profile
    if not profile.misfit:
        return None, None
    times = []
    for values in profile.draws(DRAWS) if profile.covariance and not isinstance(workload.arrivals, Trace) else ():
        times.append(_means(workload, scheduler, _costs(engine, layout, workload, most, values), engine, values))
    intervals: list[tuple[float, float] | None] = []
    spreads = np.log(times).std(axis=0) if times else (0.0, 0.0)
    for name, value, spread in (("tpot", found.tpot_s, spreads[0]), ("ttft", found.ttft_s, spreads[1])):
        misfit = profile.misfit.get(name)
        if misfit is None:
            intervals.append(None)
            continue
        wide = 1.96 * float(spread)
        low, high = -np.hypot(wide, min(misfit.low, 0.0)), np.hypot(wide, max(misfit.high, 0.0))
        intervals.append((value * float(np.exp(low)), value * float(np.exp(high))))
    return intervals[0], intervals[1]


def _means(
    workload: Workload, scheduler: Scheduler, costs: StepCosts, engine: Engine, values: dict[str, float]
) -> tuple[float, float]:
    """TPOT and TTFT of the steady state with other parameters."""
    state = steady(workload, scheduler, costs)
    first = first_s(workload, scheduler, costs, state.decoding, state.tpot_s, state.extra_s)
    return float(state.tpot_s), float(first) + engine.first_s(workload, values)
