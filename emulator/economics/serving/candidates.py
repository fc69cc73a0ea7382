"""Layouts and batches that can be started, and those among them that nothing beats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.economics.serving.prediction import usd_per_mtok
from inferometer.emulator.economics.serving.scenario import Scenario
from inferometer.emulator.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

#: Batches tried: powers of two and the quarters between them, as serving engines capture them.
BATCH_STEPS = (1.0, 1.25, 1.5, 1.75)


@dataclass(frozen=True)
class Target:
    """A service target: the most time to the first token, the most per further token. None asks for nothing."""

    ttft_max_s: float | None = None
    tpot_max_s: float | None = None


def candidates(scenario: Scenario, gpus_max: int, batch_max: int = 4096) -> pd.DataFrame:
    """Every layout on at most gpus_max devices with every batch that fits, one row each.

    Columns: gpus, tp, ep, pp, attention, batch, token_latency_s, ttft_s, tokens_per_s (of one user),
    throughput_tokens_per_s, gpu_s_per_token, usd_per_mtok, pass_s with its five terms and pipeline_s (of the pass that
    checks gamma tokens, where tokens are drafted), memory_bytes, gamma.

    Raises InputError if nothing fits, naming the least memory that would do, or if the network's terms are determined
    for no layout.
    """
    import pandas as pd

    batches = batch_grid(batch_max)
    rows: list[pd.DataFrame] = []
    missing_bytes = np.inf
    undetermined: str | None = None
    for layout in layouts(scenario.shape, scenario.accelerator, gpus_max):
        memory = np.asarray(scenario.memory(layout, batches).total_bytes, dtype=float)
        fits = memory <= scenario.available_bytes
        missing_bytes = min(missing_bytes, float(np.min(memory)) - scenario.available_bytes)
        if not fits.any():
            continue
        batch = batches[fits]
        try:
            timing = scenario.time(layout, batch)
        except InputError as error:  # the calibration has no law for a collective of this layout
            undetermined = str(error)
            continue
        known = np.isfinite(timing.token_latency_s)
        table = {
            "gpus": layout.gpus,
            "tp": layout.tp,
            "ep": layout.ep,
            "pp": layout.pp,
            "attention": layout.attention,
            "batch": batch.astype(int),
            "token_latency_s": timing.token_latency_s,
            "ttft_s": np.nan if timing.ttft_s is None else timing.ttft_s,
            "tokens_per_s": 1 / timing.token_latency_s,
            "throughput_tokens_per_s": 1 / timing.seconds_per_token,
            "gpu_s_per_token": layout.gpus * timing.seconds_per_token,
            "pass_s": timing.step.total_s,
            **timing.step.terms.as_dict(),
            "pipeline_s": timing.step.pipeline_s,
            "memory_bytes": memory[fits],
            "gamma": np.nan if timing.gamma is None else timing.gamma,
        }
        rows.append(pd.DataFrame(table)[known])
    if not rows and undetermined:
        raise InputError(undetermined)
    if not rows:
        raise InputError(
            f"{scenario.shape.name} fits on no layout of at most {gpus_max} × {scenario.accelerator.name}: "
            f"{missing_bytes / 1e9:.1f} GB per GPU are missing at batch 1"
        )
    found = pd.concat(rows, ignore_index=True)
    if not len(found):
        raise InputError(f"{scenario.network.name} determines the collectives of no layout that fits")
    price = scenario.accelerator.usd_per_hour
    found["usd_per_mtok"] = np.nan if price is None else usd_per_mtok(1, price, found["gpu_s_per_token"])
    return found


def batch_grid(batch_max: int) -> np.ndarray:
    """Whole batches from 1 to batch_max, four to an octave."""
    octaves = 2.0 ** np.arange(int(np.ceil(np.log2(max(2, batch_max)))) + 1)
    grid = np.unique(np.floor(np.outer(octaves, BATCH_STEPS)))
    return grid[grid <= batch_max]


def within(found: pd.DataFrame, target: Target, demand_cap: float | None = None) -> pd.DataFrame:
    """The rows that meet a service target, cheapest first. Raises InputError if none does, naming the nearest."""
    found = _demanded(found, demand_cap)
    keep = np.ones(len(found), dtype=bool)
    for column, limit, name in (("ttft_s", target.ttft_max_s, "TTFT"), ("token_latency_s", target.tpot_max_s, "TPOT")):
        if limit is None:
            continue
        if found[column].isna().all():
            raise InputError(f"a {name} target needs a prompt and an output")
        here = (found[column] <= limit).to_numpy()
        if not here.any():
            raise InputError(f"no layout reaches {name} {limit:g} s: the least is {found[column].min():.4g} s")
        keep &= here
    if not keep.any():
        raise InputError("no layout meets both targets at once")
    return found[keep].sort_values("gpu_s_per_token", kind="stable").reset_index(drop=True)


def pareto(found: pd.DataFrame, demand_cap: float | None = None) -> pd.DataFrame:
    """The rows that no other beats in both latency and cost, fastest first.

    demand_cap: tokens/s of all users together; a deployment that yields more than is asked for is left out, since its
    batch would never fill.
    """
    rows = _demanded(found, demand_cap).sort_values(["token_latency_s", "gpu_s_per_token"], kind="stable")
    cost = rows["gpu_s_per_token"].to_numpy()
    before = np.concatenate([[np.inf], np.minimum.accumulate(cost)[:-1]])
    return rows[cost < before].reset_index(drop=True)


def _demanded(found: pd.DataFrame, demand_cap: float | None) -> pd.DataFrame:
    """The rows that yield no more than is asked for."""
    if demand_cap is None:
        return found
    rows = found[found["throughput_tokens_per_s"] <= demand_cap]
    if not len(rows):
        least = found["throughput_tokens_per_s"].min()
        raise InputError(f"demand cap {demand_cap:g} tokens/s: the smallest deployment already yields {least:.4g}")
    return rows


def preferred(frontier: pd.DataFrame, alpha: float) -> int:
    """Row of the frontier with the greatest speed^alpha / cost (Erdil, eq. 45)."""
    value = alpha * np.log(frontier["tokens_per_s"]) - np.log(frontier["gpu_s_per_token"])
    return int(np.argmax(value))
