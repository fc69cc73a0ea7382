"""Why no deployment meets a target: by what factor the nearest one misses it, and what its time is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.batching.costs import Workload
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.engines.executed import as_engine
from inferometer.emulator.economics.serving.engines.serve import Engine
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.step import Step

Statistic = Literal["mean", "p50", "p90", "p99"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
ALMOST_NONE = 1e-6
"""Sequences that decode in a step of a prompt alone."""
WORDS = (
    ("collectives", ("network_latency_s", "network_bandwidth_s")),
    ("starting kernels", ("kernel_s",)),
    ("the host", ("host_s",)),
)


@dataclass(frozen=True)
class Least:
    """The least that one layout reaches, over all numbers of users."""

    tpot_s: float
    ttft_s: float
    engine: Engine
    layout: Layout
    workload: Workload

    @property
    def where(self) -> str:
        return f"{self.layout.gpus} × {self.engine.device.name} ({self.layout.describe()})"

    def decoding(self) -> str:
        """What takes most of a decode step of one user."""
        context = self.workload.prompt.mean + self.workload.output.mean / 2
        return self._most(Step(float(self.layout.sequence_shares), 1, context), 0.0)

    def entering(self) -> str:
        """What takes most of the first token of one user, whose prompt is computed alone."""
        tokens = min(self.workload.prompt.mean, self.engine.profile.scheduler.budget)
        step = Step(ALMOST_NONE, 1, tokens, tokens * self.layout.sequence_shares, tokens / 2)
        return self._most(step, self.engine.first_s(self.workload))

    def _most(self, step: Step, beyond_s: float) -> str:
        prices = self.engine.prices()
        program = build(
            self.engine.shape,
            self.layout,
            step,
            precision=self.engine.precision,
            node_size=self.engine.device.node_size,
            routing="random",
        )
        terms = step_time(as_engine(program), prices).terms
        times = {words: float(np.sum([terms.get(name, 0.0) for name in names])) for words, names in WORDS}
        memory, arithmetic = (float(np.max(terms.get(name, 0.0))) for name in ("memory_s", "arithmetic_s"))
        read = "reading weights and cache" if memory >= arithmetic else "arithmetic"
        times[read] = float(np.max(terms.get("roof_s", 0.0)))
        times["requests outside of steps"] = beyond_s
        words, seconds = max(times.items(), key=lambda pair: pair[1])
        return f"{words} takes {seconds * 1e3:.3g} ms of one user's"


def nobody(least: Sequence[Least], target: Target, statistic: Statistic) -> str:
    """By what factor the nearest deployment misses the target, on what, and what takes most of its time."""
    of = "" if statistic == "mean" else f" ({statistic})"
    parts = []
    if target.tpot_max_s is not None:
        best = min(least, key=lambda one: one.tpot_s)
        if best.tpot_s > target.tpot_max_s:
            parts.append(_missed(f"TPOT{of}", target.tpot_max_s, best.tpot_s, best.where, best.decoding()))
    if target.ttft_max_s is not None:
        best = min(least, key=lambda one: one.ttft_s)
        if best.ttft_s > target.ttft_max_s:
            parts.append(_missed(f"TTFT{of}", target.ttft_max_s, best.ttft_s, best.where, best.entering()))
    return "no deployment reaches " + "; ".join(parts) if parts else "no deployment meets both targets at once"


def _missed(name: str, limit_s: float, found_s: float, where: str, most: str) -> str:
    factor = f"{found_s / limit_s:.2f} times as long"
    return f"{name} {limit_s * 1e3:g} ms: the least is {found_s * 1e3:.3g} ms on {where}, {factor}; {most}"
