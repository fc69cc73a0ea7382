"""A request trace: when each request came, how many tokens it had; a CSV with arrival_s, input_tokens, output_tokens."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from inferometer.emulator.documents import read_text
from inferometer.emulator.economics.serving.batching.costs import Trace, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import shown_path

COLUMNS = ("arrival_s", "input_tokens", "output_tokens")
MOST_REQUESTS = 20_000


def read_trace(path: str | Path) -> Trace:
    """The requests in the order of their arrival; times from the first one on.

    Raises InputError in one line with file, row and column for a missing column, a value that is no number or below 0, a
    length below 1, no requests or more than MOST_REQUESTS.
    """
    where = shown_path(path)
    rows = csv.DictReader(io.StringIO(read_text(path)))
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise InputError(f"{where}: column {missing[0]!r} is missing: a trace has {', '.join(COLUMNS)}")
    found: list[tuple[float, float, float]] = []
    for number, row in enumerate(rows, start=2):
        arrival, prompt, output = (_number(row[name], name, f"{where}: row {number}") for name in COLUMNS)
        found.append((arrival, prompt, output))
        if len(found) > MOST_REQUESTS:
            raise InputError(f"{where}: more than {MOST_REQUESTS} requests: give a part of the trace")
    if not found:
        raise InputError(f"{where}: no requests")
    found.sort()
    first = found[0][0]
    times, prompts, outputs = zip(*found)
    return Trace(tuple(time - first for time in times), prompts, outputs)


def _number(text: str | None, name: str, where: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        raise InputError(f"{where}: {name} = {(text or '')[:40]!r} is not a number") from None
    least = 0.0 if name == "arrival_s" else 1.0
    if not least <= value < float("inf"):
        raise InputError(f"{where}: {name} = {value:g} must be at least {least:g}")
    return value


def trace_workload(trace: Trace) -> Workload:
    """What its clients ask for; prompts and outputs by their means, which steps are priced at."""
    return Workload(Lengths.fixed(float(np.mean(trace.prompts))), Lengths.fixed(float(np.mean(trace.outputs))), trace)
