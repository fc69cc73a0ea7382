"""Layouts and batches that can be started, and those among them that nothing beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.economics.pricing.step import StepTime
from inferometer.emulator.economics.serving.draws import Open
from inferometer.emulator.economics.serving.layouts import SEARCHED, layouts
from inferometer.emulator.economics.serving.prediction import usd_per_mtok
from inferometer.emulator.economics.serving.scenario import Scenario, Timing
from inferometer.emulator.economics.serving.uncertainty import shares
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Program

#: Batches tried: powers of two and the quarters between them, as serving engines capture them.
BATCH_STEPS = (1.0, 1.25, 1.5, 1.75)

Row = dict[str, Any]
Columns = dict[str, NDArray[Any]]
"""A table: arrays of one length by name."""


@dataclass(frozen=True)
class Target:
    """A service target: the most time to the first token, the most per further token. None asks for nothing."""

    ttft_max_s: float | None = None
    tpot_max_s: float | None = None


@dataclass(frozen=True)
class Searched:
    """All candidates of a scenario: their columns, and the timing of each layout with the batches kept of it."""

    columns: Columns
    timings: Sequence[tuple[Timing, NDArray[np.bool_]]]

    @property
    def open(self) -> Open:
        """What the laws leave open of each row. Raises InputError for drafted or interleaved tokens, or an unknown error."""
        tables = []
        for timing, known in self.timings:
            if not known.any():
                continue
            if not isinstance(timing.step, StepTime) or timing.gamma is not None:
                raise InputError("probabilities are of plain decode steps: without a speculator, without --interleave")
            found, unknown = shares(timing.step)
            if unknown:
                raise InputError(f"nothing says how far {unknown} may be off")
            latency_s, total_s = np.broadcast_arrays(timing.token_latency_s, timing.step.terms.total_s)
            whole = Open.of(np.broadcast_to(latency_s, known.shape), np.broadcast_to(total_s, known.shape), found)
            tables.append(whole.taken(known))
        return Open.joined(tables)


def candidates(scenario: Scenario, gpus_max: int, batch_max: int = 4096) -> Columns:
    """The columns of `searched`. Raises as it does."""
    return searched(scenario, gpus_max, batch_max).columns


def searched(scenario: Scenario, gpus_max: int, batch_max: int = 4096) -> Searched:
    """Every layout on at most gpus_max devices with every batch that fits, one row each.

    Columns: gpus, tp, ep, pp, attention, batch, token_latency_s, ttft_s, tokens_per_s (of one user),
    throughput_tokens_per_s, tokens_per_s_per_gpu, gpu_s_per_token, pass_s with its terms and pipeline_s (of the
    pass that checks gamma tokens, where tokens are drafted), memory_bytes, gamma, layout, usd_per_mtok, network, notes (on
    all rows the same).

    Raises InputError if nothing fits, naming the least memory that would do, or if the network's terms are determined
    for no layout.
    """
    batches = batch_grid(batch_max)
    missing_bytes = np.inf
    fitting: list[tuple[Layout, Program, NDArray[np.float64]]] = []
    for layout in layouts(scenario.shape, scenario.accelerator, gpus_max):
        program = scenario.deployment(layout).decode_program(batches, scenario.load)
        memory = np.asarray(scenario.memory(layout, batches, program).total_bytes, dtype=float)
        missing_bytes = min(missing_bytes, float(np.min(memory)) - scenario.available_bytes)
        if (memory <= scenario.available_bytes).any():
            fitting.append((layout, program, memory))
    if not fitting:
        raise InputError(
            f"{scenario.shape.name} fits on no layout of at most {gpus_max} × {scenario.accelerator.name}: "
            f"{missing_bytes / 1e9:.1f} GB per GPU are missing at batch 1"
        )
    timings = scenario.times([layout for layout, *_ in fitting], [program for _, program, _ in fitting], batches)
    undetermined: InputError | None = None
    left_out: list[Layout] = []
    tables: list[Columns] = []
    kept: list[tuple[Timing, NDArray[np.bool_]]] = []
    for (layout, _, memory), timing in zip(fitting, timings):
        if isinstance(timing, InputError):  # the calibration has no law for a collective of this layout
            undetermined = timing
            left_out.append(layout)
            continue
        known = np.isfinite(timing.token_latency_s) & (memory <= scenario.available_bytes)
        if not known.any():
            left_out.append(layout)
        kept.append((timing, known))
        columns = columns_of(layout, batches, memory, timing)
        tables.append({name: np.broadcast_to(column, known.shape)[known] for name, column in columns.items()})
    if not tables and undetermined:
        raise undetermined
    found = joined(tables)
    if not len(found["gpus"]):
        raise InputError(f"{scenario.prices.network.name} determines the collectives of no layout that fits")
    dollars = usd_per_mtok(1, scenario.accelerator.usd_per_hour, 1.0)
    cost = found["gpu_s_per_token"] * (np.nan if dollars is None else dollars)
    found |= {
        "usd_per_mtok": cost,
        "network": np.full(len(cost), scenario.prices.network.name),
        "notes": np.full(len(cost), "; ".join(_notes(scenario, left_out, len(fitting)))),
    }
    return Searched(found, kept)


def _notes(scenario: Scenario, left_out: Sequence[Layout], fitting: int) -> Iterator[str]:
    """What the rows do not hold, and why; what their network was measured on."""
    if left_out:
        sizes = sorted({layout.gpus for layout in left_out})
        on = f"{sizes[0]} to {sizes[-1]} GPUs" if len(sizes) > 1 else f"{sizes[0]} GPUs"
        yield (
            f"{len(left_out)} of {fitting} layouts that fit are left out (on {on}, such as {left_out[0].describe()}): "
            f"{scenario.prices.network.name} does not determine their collectives"
        )
    if scenario.prices.mismatch:
        yield scenario.prices.mismatch


def columns_of(layout: Layout, batches: NDArray[np.float64], memory: NDArray[np.float64], timing: Timing) -> Row:
    """The columns of `candidates` for one layout that are no text; numbers, or arrays as the batches."""
    return {
        "gpus": layout.gpus,
        **{axis: degree for axis, degree in layout.degrees.items() if axis in SEARCHED},
        "attention": layout.attention,
        "batch": batches.astype(int),
        "token_latency_s": timing.token_latency_s,
        "ttft_s": np.nan if timing.ttft_s is None else timing.ttft_s,
        "tokens_per_s": 1 / timing.token_latency_s,
        "throughput_tokens_per_s": 1 / timing.seconds_per_token,
        "tokens_per_s_per_gpu": 1 / (layout.gpus * timing.seconds_per_token),
        "gpu_s_per_token": layout.gpus * timing.seconds_per_token,
        "pass_s": timing.step.total_s,
        **timing.step.terms,
        "pipeline_s": timing.step.pipeline_s,
        "memory_bytes": memory,
        "gamma": np.nan if timing.gamma is None else timing.gamma,
        "layout": layout.describe(),
    }


def joined(tables: Sequence[Columns]) -> Columns:
    """Tables one below the other."""
    names = dict.fromkeys(name for table in tables for name in table)
    return {name: np.concatenate([_column(table, name) for table in tables]) for name in names}


def _column(table: Columns, name: str) -> NDArray[Any]:
    """NaN of a term that a layout does not have."""
    return table[name] if name in table else np.full(len(table["gpus"]), np.nan)


def batch_grid(batch_max: int) -> NDArray[np.float64]:
    """Whole batches from 1 to batch_max, four to an octave."""
    octaves = 2.0 ** np.arange(int(np.ceil(np.log2(max(2, batch_max)))) + 1)
    grid = np.unique(np.floor(np.outer(octaves, BATCH_STEPS)))
    return grid[grid <= batch_max]


def within(found: Columns, target: Target, demand_cap: float | None = None) -> Columns:
    """The rows that meet a service target, cheapest first. Raises InputError if none does, naming the nearest."""
    found = _demanded(found, demand_cap)
    keep = np.ones(len(found["batch"]), dtype=bool)
    for column, limit, name in (("ttft_s", target.ttft_max_s, "TTFT"), ("token_latency_s", target.tpot_max_s, "TPOT")):
        if limit is None:
            continue
        if np.isnan(found[column]).all():
            raise InputError(f"a {name} target needs a prompt and an output")
        here = found[column] <= limit
        if not here.any():
            raise InputError(f"no layout reaches {name} {limit:g} s: the least is {np.nanmin(found[column]):.4g} s")
        keep &= here
    if not keep.any():
        raise InputError("no layout meets both targets at once")
    kept = taken(found, np.flatnonzero(keep))
    return taken(kept, np.argsort(kept["gpu_s_per_token"], kind="stable"))


def pareto(found: Columns, demand_cap: float | None = None) -> Columns:
    """The rows that no other beats in both latency and cost, fastest first.

    demand_cap: tokens/s of all users together; a deployment that yields more than is asked for is left out, since its
    batch would never fill.
    """
    found = _demanded(found, demand_cap)
    order = np.lexsort((found["gpu_s_per_token"], found["token_latency_s"]))
    cost = found["gpu_s_per_token"][order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(cost)[:-1]])
    return taken(found, order[cost < before])


def taken(found: Columns, rows: NDArray[np.intp]) -> Columns:
    """These rows, in this order."""
    return {name: column[rows] for name, column in found.items()}


def rows_of(found: Columns) -> list[Row]:
    """One dict of plain values for each row."""
    return [dict(zip(found, values)) for values in zip(*(column.tolist() for column in found.values()))]


def _demanded(found: Columns, demand_cap: float | None) -> Columns:
    """The rows that yield no more than is asked for."""
    if demand_cap is None:
        return found
    rows = np.flatnonzero(found["throughput_tokens_per_s"] <= demand_cap)
    if not len(rows):
        least = found["throughput_tokens_per_s"].min()
        raise InputError(f"demand cap {demand_cap:g} tokens/s: the smallest deployment already yields {least:.4g}")
    return taken(found, rows)


def preferred(frontier: Sequence[Row], alpha: float) -> int:
    """Row of the frontier with the greatest speed^alpha / cost (Erdil, eq. 45)."""
    speed, cost = (np.array([row[name] for row in frontier]) for name in ("tokens_per_s", "gpu_s_per_token"))
    return int(np.argmax(alpha * np.log(speed) - np.log(cost)))
