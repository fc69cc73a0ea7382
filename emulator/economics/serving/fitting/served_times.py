"""What users get at served points, from the steps behind them: the closed form at the measured number of sequences.

A fit and its held-out tests ask this; `predict` solves for the number of sequences instead (batching.steady).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.economics.serving.batching.costs import Scheduler
from inferometer.emulator.economics.serving.engines.parameters import Values
from inferometer.emulator.economics.serving.fitting.bills import Bills

REPLY_S = 2e-3
"""From an answer to its user's next request."""


@dataclass(frozen=True)
class ServedTimes:
    """Seconds, one element a point; of a TTFT NaN where the client's arrival is unknown."""

    tpot_s: Array
    ttft_s: Array


def served_times(bills: Bills, scheduler: Scheduler, values: Values) -> ServedTimes:
    """TPOT and TTFT of every point, as means over requests."""
    decode, mixed, own, full = bills.step_s(values).T
    points = bills.points
    prompt = np.array([point.client.prompt.mean for point in points])
    further = np.array([max(point.client.output.mean - 1.0, 1.0) for point in points])
    shares = np.array([point.deployed.layout.sequence_shares for point in points])
    alone = decode if scheduler.prompts == "mixed" else np.zeros_like(decode)
    room = np.maximum(scheduler.budget - (bills.decoding / shares if scheduler.prompts == "mixed" else 0.0), 1.0)
    steps = np.maximum(prompt / room, 1.0)
    extra = (mixed - alone) * steps / bills.entering / shares
    tpot = decode + np.maximum(bills.decoding - 1, 0.0) / further * extra
    closed = np.array([point.client.arrival == "closed" for point in points])
    rounds = np.array([(point.client.requests or 10) / max(point.client.concurrency or 1.0, 1.0) for point in points])
    users = np.array([point.client.concurrency or np.nan for point in points])
    waiting = np.where(tpot > 2 * REPLY_S, tpot - REPLY_S, tpot / 2) * np.clip(bills.decoding - 1, 0.0, 1.0)
    looks = np.array([point.deployed.receive_steps for point in points])
    waiting = waiting + (looks - 1) / 2 * tpot * np.clip(bills.decoding - 1, 0.0, 1.0)
    first = waiting + own * steps + looks * np.maximum(bills.decoding - 1, 0.0) / further * extra
    chunks = users * prompt / scheduler.budget / shares
    burst = np.maximum(own, np.where(chunks > 1, full * (chunks + 1) / 2, alone + (full - alone) * chunks))
    beyond = values["request_s"] + values["token_s"] * prompt
    ttft = burst / rounds + first * (1 - 1 / rounds) + beyond
    return ServedTimes(tpot, np.where(closed, ttft, np.nan))
