"""Where a step's time went: clock readings of all ranks summed up by operation.

An operation's time is a mean over ranks, so that the operations and ``unattributed`` (between operations: Python, the choice
of the next token) add up to the mean step. Of a collective, the time until its last rank has arrived is waiting, the rest is
transferring; of a receive, the time until the send has begun.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.samples.statistics import median_interval
from inferometer.emulator.validate.records import Trace
from inferometer.parallel.line import Line

COMPUTE = ("matmul", "attention", "stream")


@dataclass(frozen=True)
class Row:
    """One operation in a step: numbers per rank, means over ranks and steps; unknown is None."""

    name: str
    kind: str
    count: float
    """Times it runs; below 1 where not every rank runs it."""
    size: float | None
    """Of one run: FLOP of a computation, bytes of a collective, expected where they depend on routing."""
    executed: float | None
    """The same as executed, where it depends on routing."""
    executed_most: float | None
    """Of the rank that executes most."""
    mean_us: float
    median_us: float
    ci95_us: tuple[float, float] | None
    waiting_us: float | None
    """Part of mean_us; None for computations, and where ranks share no clock."""
    share: float
    """Of the mean step."""


@dataclass(frozen=True)
class Account:
    """One phase. Times in us; of a step: the mean over ranks. launch_medians_us: of each launch's instrumented steps."""

    phase: str
    steps: int
    launches: int
    step_mean_us: float
    step_median_us: float
    step_ci95_us: tuple[float, float] | None
    launch_medians_us: list[float]
    plain_median_us: float
    overhead: float | None
    """Median over pairs of neighbouring blocks: an instrumented step over a plain one."""
    overhead_ci95: tuple[float, float] | None
    unattributed_us: float
    worst_sum: float
    """The largest difference, over ranks and steps, between a step and the sum of its contiguous parts, of the step."""
    rows: list[Row]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def account(phase: str, launches: list[tuple[bool, list[Trace]]]) -> Account:
    """launches: as records.traces has them, at least one."""
    times: dict[tuple[str, str], list[Array]] = {}
    waits: dict[tuple[str, str], list[Array]] = {}
    lines: dict[tuple[str, str], Line] = {}
    counts: dict[tuple[str, str], float] = {}
    executed: dict[tuple[str, str], dict[int, list[float]]] = {}
    spans, loose, worst = [], [], 0.0
    for one_clock, ranks in launches:
        kept = ~ranks[0].lead[ranks[0].instrumented]
        step = np.mean([(t.end - t.begin)[t.instrumented][kept] for t in ranks], axis=0) / 1e3
        spans.append(step)
        sums: dict[tuple[str, str], Array] = {}
        waited: dict[tuple[str, str], Array] = {}
        counts.clear()  # the same in every launch
        for rank, trace in enumerate(ranks):
            each = (trace.stamps[..., 1] - trace.stamps[..., 0]) / 1e3
            waiting = _waiting(trace, ranks) / 1e3
            worst = max(worst, _worst_sum(trace))
            varying = [index for index, line in enumerate(trace.lines) if line.varies]
            for index, line in enumerate(trace.lines):
                key = (line.name, line.kind)
                lines.setdefault(key, line)
                sums[key] = sums.get(key, 0.0) + each[kept][..., index].sum(axis=1) / len(ranks)
                waited[key] = waited.get(key, 0.0) + waiting[kept][..., index].sum(axis=1) / len(ranks)
                counts[key] = counts.get(key, 0.0) + each.shape[1] / len(ranks)
                if line.varies:
                    done = trace.executed[kept][..., varying.index(index)]
                    executed.setdefault(key, {}).setdefault(rank, []).append(float(done.mean()))
        for key, spent in sums.items():
            times.setdefault(key, []).append(spent)
            waits.setdefault(key, []).append(waited[key] if one_clock else np.full_like(spent, np.nan))
        loose.append(step - sum(sums.values()))
    steps = np.concatenate(spans)
    mean = float(steps.mean())
    rows = []
    for key, line in lines.items():
        spent, waiting = np.concatenate(times[key]), np.concatenate(waits[key])
        known = line.kind not in COMPUTE and not np.isnan(waiting).any()
        sent = executed.get(key)
        of_rank = [_size(line, (float(np.mean(sizes)), *line.size[1:])) or 0.0 for sizes in sent.values()] if sent else []
        really = (float(np.mean(of_rank)), max(of_rank)) if of_rank else (None, None)
        rows.append(
            Row(
                *key, counts[key], _size(line, line.size), really[0], really[1],
                float(spent.mean()), float(np.median(spent)), median_interval(spent),
                float(waiting.mean()) if known else None, float(spent.mean()) / mean,
            )
        )  # fmt: skip
    ratios, plain = _overhead(launches)
    return Account(
        phase, len(steps), len(launches), mean, float(np.median(steps)), median_interval(steps),
        [float(np.median(span)) for span in spans], float(np.median(plain)) if len(plain) else float("nan"),
        float(np.median(ratios)) if len(ratios) else None, median_interval(ratios),
        float(np.concatenate(loose).mean()), worst, rows,
    )  # fmt: skip


def _size(line: Line, size: tuple[float, ...]) -> float | None:
    """FLOP of a computation, bytes of a collective."""
    if line.kind == "matmul":
        return 2 * float(np.prod(size))
    return float(size[0]) if size else None


def _waiting(trace: Trace, ranks: list[Trace]) -> Array:
    """[steps, micro-batches, lines] in ns: how long each operation waited for others. NaN: not known (a lead's first)."""
    starts, stops = trace.stamps[..., 0], trace.stamps[..., 1]
    ready = starts.astype(float)
    for index, line in enumerate(trace.lines):
        if line.kind == "recv":
            ready[..., index] = _sent(trace, line, ranks)
        elif line.axis and line.kind != "send":
            members = trace.groups[line.axis]
            ready[..., index] = np.max([ranks[rank].stamps[..., index, 0] for rank in members], axis=0)
    return np.clip(ready - starts, 0, stops - starts)


def _sent(trace: Trace, line: Line, ranks: list[Trace]) -> Array:
    """[steps, micro-batches] in ns: when the sender began to send what the line receives."""
    stages = trace.groups["pp"]
    sender = ranks[stages[trace.stage - 1]]
    names = [(other.name, other.kind) for other in sender.lines]
    began = sender.stamps[..., names.index((line.name, "send")), 0].astype(float)
    if trace.stage:
        return began
    # The first stage receives the tokens of the step before. That of a lead was no instrumented one.
    before = np.roll(began, 1, axis=0)
    before[trace.lead[trace.instrumented]] = np.nan
    return before


def _worst_sum(trace: Trace) -> float:
    """The largest difference between a step and the sum of its parts, of the step; infinite for readings out of order."""
    inner = trace.stamps.reshape(len(trace.stamps), -1)
    begin, end = trace.begin[trace.instrumented], trace.end[trace.instrumented]
    parts = np.diff(np.column_stack([begin, inner, end]), axis=1)
    if (parts < 0).any():
        return float("inf")
    return float(np.max(np.abs(parts.sum(axis=1) / (end - begin) - 1), initial=0.0))


def _overhead(launches: list[tuple[bool, list[Trace]]]) -> tuple[Array, Array]:
    """Instrumented over plain step for each pair of neighbouring blocks; the times of the plain steps, us."""
    ratios, plain = [], []
    for _, ranks in launches:
        first = ranks[0]
        step = np.mean([t.end - t.begin for t in ranks], axis=0) / 1e3
        plain += step[~first.lead & ~first.instrumented].tolist()
        for block in range(0, int(first.block.max()), 2):
            pair = [step[(first.block == number) & ~first.lead] for number in (block, block + 1)]
            if all(len(part) for part in pair):
                ratios.append(float(np.median(pair[0]) / np.median(pair[1])))
    return np.array(ratios), np.array(plain)
