"""The best deployment of a model by each of several calibrations, and what each says of the others' choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.economics.serving.candidates import Row, Searched, Target, rows_of, searched, taken, within
from inferometer.emulator.economics.serving.draws import DRAWS, band, choice
from inferometer.emulator.economics.serving.predict import load_of
from inferometer.emulator.economics.serving.scenario import scenario_of
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.precision import Precision

ANY = Target()
"""Asks for nothing."""
LIKELY = 0.005
"""A layout whose probability to be the best is below this is not listed."""


@dataclass(frozen=True)
class Question:
    """Which deployment of a model is the best: the cheapest per token within a target, or else the fastest.

    gpus_max, batch_max: the search. prompt and output (tokens) are needed for a TTFT target. further: other arguments of
    scenario_of.
    """

    model: str | Path
    accelerator: str | Path | None
    target: Target = ANY
    weight_bits: int = 16
    context: float | None = None
    prompt: float | None = None
    output: float | None = None
    gpus_max: int = 64
    batch_max: int = 4096
    further: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Deployment:
    """What one calibration says. best: the row of candidates it chooses. likely: layouts that may be the best, each with
    layout, batch, p_best, p_meets, regret, and its token latency's 90 % band, the likeliest first; None with a reason.

    others: by name of the other calibrations, the row of their choice as this one prices it; None where it cannot.
    """

    best: Row
    likely: list[Row] | None
    likely_reason: str | None
    others: list[Row | None]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def deployments(question: Question, calibrations: Sequence[Calibration], seed: int = 0) -> list[Deployment]:
    """Each calibration's answer. Raises InputError where a model fits nowhere, or no layout meets the target."""
    tables = [search(question, calibration) for calibration in calibrations]
    chosen = [best_of(question, table) for table in tables]
    found = []
    for at, table in enumerate(tables):
        likely, why = likely_of(question, table, seed)
        others = [_same(table, best) for other, best in enumerate(chosen) if other != at]
        found.append(Deployment(chosen[at], likely, why, others))
    return found


def search(question: Question, calibration: str | Path | Calibration | None) -> Searched:
    """All candidates, by a calibration or (None) by the paper's network constants. Raises as `candidates` does."""
    scenario = scenario_of(
        question.model,
        question.accelerator,
        load_of(question.context, question.prompt, question.output, False),
        None if question.accelerator is None else Precision(question.weight_bits),
        calibration=calibration,
        **question.further,
    )
    return searched(scenario, question.gpus_max, question.batch_max)


def best_of(question: Question, table: Searched) -> Row:
    """The row that a question asks for. Raises InputError where none meets its target."""
    if question.target == ANY:
        at = int(np.argmin(table.columns["token_latency_s"]))
        return rows_of(taken(table.columns, np.array([at])))[0]
    return rows_of(within(table.columns, question.target))[0]


def _same(table: Searched, other: Row) -> Row | None:
    """The row with another one's layout, GPUs and batch."""
    columns = table.columns
    same = (columns["layout"] == other["layout"]) & (columns["gpus"] == other["gpus"]) & (columns["batch"] == other["batch"])
    return rows_of(taken(columns, np.flatnonzero(same)))[0] if same.any() else None


def likely_of(question: Question, table: Searched, seed: int = 0) -> tuple[list[Row] | None, str | None]:
    """The candidates that may be the best, or why nobody knows."""
    columns = table.columns
    try:
        left_open = table.open
    except InputError as error:
        return None, str(error)
    if not left_open.parts:
        return None, "the network's constants are taken as given"
    keep = np.ones(len(columns["batch"]), dtype=bool)
    if question.target.ttft_max_s is not None:
        keep = columns["ttft_s"] <= question.target.ttft_max_s
    rows = np.flatnonzero(keep)
    drawn_s = left_open.taken(rows).drawn(seed, DRAWS)
    plain = question.target.tpot_max_s is None and question.target.ttft_max_s is None
    cost = np.ones(len(rows)) if plain else (columns["gpu_s_per_token"] / columns["token_latency_s"])[rows]
    found = choice(drawn_s, cost, question.target.tpot_max_s)
    order = [at for at in np.argsort(-found.p_best, kind="stable") if found.p_best[at] >= LIKELY]
    low, high = band(drawn_s[:, order])
    listed = [
        {
            "layout": str(columns["layout"][rows[at]]),
            "gpus": int(columns["gpus"][rows[at]]),
            "batch": int(columns["batch"][rows[at]]),
            "p_best": float(found.p_best[at]),
            "p_meets": None if question.target.tpot_max_s is None else float(found.p_meets[at]),
            "regret": float(found.regret[at]),
            "token_latency_s": float(columns["token_latency_s"][rows[at]]),
            "token_latency_90_s": (float(low[place]), float(high[place])),
        }
        for place, at in enumerate(order)
    ]
    return listed, None
