"""Served points as a CSV table: the documented columns, one row for each run (docs/serving.md)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inferometer.emulator.documents import read_text
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.points import silicon
from inferometer.emulator.economics.serving.points.checks import checked_points
from inferometer.emulator.economics.serving.points.record import (
    ARRIVALS,
    STATISTICS,
    Client,
    Deployed,
    ServedPoint,
)
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.economics.serving.points.weights import WEIGHTS
from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import shown_path
from inferometer.emulator.workload.layout import AXES, Layout

TIMES = tuple(f"{name}_{statistic}" for name in ("ttft", "tpot", "itl") for statistic in STATISTICS)
REQUIRED = ("engine", "model", "accelerator", "prompt", "output")
COLUMNS = (
    *("engine", "version", "model", "accelerator", *AXES, "attention", "weights", "kv_bits", "speculation", "receive_steps"),
    *("prompt", "prompt_low", "prompt_high", "output", "output_low", "output_high"),
    *("concurrency", "rate_per_s", "arrival", "requests", "failed"),
    *(f"{name}_ms" for name in TIMES),
    *("output_tokens_per_s", "total_tokens_per_s", "measured", "source", "problems"),
)
"""All columns that a table may have; REQUIRED must be there, with concurrency or rate_per_s, and a TTFT or a TPOT."""
MOST_ROWS = 200_000


def read_points(path: str | Path) -> list[ServedPoint]:
    """The points of a CSV table, or of a table of aiconfigurator's silicon samples, each with its problems.

    Raises InputError in one line with file, row and column for a table that holds no points, for a column that is not
    known, a value that is no number, a row without lengths, or without concurrency and rate.
    """
    where = shown_path(path)
    rows = csv.DictReader(io.StringIO(read_text(path)))
    names = list(rows.fieldnames or ())
    table = _rows(rows, where)
    if silicon.known(names):
        return silicon.points_of(table, where)
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"{where}: column {name!r}: unknown; docs/serving.md lists the columns of a points file")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise InputError(f"{where}: column {missing[0]!r} is missing: a point needs {', '.join(REQUIRED)}")
    if not {"concurrency", "rate_per_s"} & set(names):
        raise InputError(f"{where}: neither concurrency nor rate_per_s: nothing says how many requests were in flight")
    points = [point_of(row, f"{where}: row {number}") for number, row in enumerate(table, start=2)]
    if not points:
        raise InputError(f"{where}: no points")
    return checked_points(points)


def _rows(rows: csv.DictReader[str], where: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    try:
        for row in rows:
            if None in row or None in row.values():
                raise InputError(f"{where}: line {rows.line_num}: not as many cells as columns")
            found.append(row)
            if len(found) > MOST_ROWS:
                raise InputError(f"{where}: more than {MOST_ROWS} rows")
    except csv.Error as error:
        raise InputError(f"{where}: line {rows.line_num}: {error}") from None
    return found


def point_of(row: Mapping[str, str], where: str) -> ServedPoint:
    """The point of one row. Raises InputError with the column."""
    cell = Cells(row, where)
    axes = {axis: cell.whole(axis) or 1 for axis in AXES}
    deployed = Deployed(
        engine=cell.text("engine").lower(),
        version=cell.text("version") or None,
        model=cell.text("model"),
        accelerator=cell.text("accelerator"),
        layout=cell.built(lambda: Layout.of(axes, cell.text("attention") or "tensor")),
        weights=cell.choice("weights", WEIGHTS, "checkpoint"),
        kv_bits=cell.whole("kv_bits"),
        receive_steps=cell.whole("receive_steps") or 1,
        speculation={"": None, "no": False, "yes": True}[cell.choice("speculation", ("", "no", "yes"), "")],
    )
    cell.built(lambda: stored_as(deployed.model, deployed.weights, deployed.kv_bits))
    cell.built(lambda: load_accelerator(deployed.accelerator))
    client = Client(
        prompt=cell.lengths("prompt"),
        output=cell.lengths("output"),
        concurrency=cell.number("concurrency"),
        rate_per_s=cell.number("rate_per_s"),
        arrival=cell.choice("arrival", ARRIVALS, "unknown"),
        requests=cell.whole("requests"),
        failed=cell.whole("failed", low=0),
    )
    if client.concurrency is None and client.rate_per_s is None:
        raise InputError(f"{where}: neither concurrency nor rate_per_s: nothing says how many requests were in flight")
    times = {name: value for name in TIMES if (value := cell.number(f"{name}_ms")) is not None}
    if not any(name.startswith(("ttft", "tpot")) for name in times):
        raise InputError(f"{where}: neither a TTFT nor a TPOT: nothing was measured")
    return ServedPoint(
        deployed,
        client,
        times,
        output_tokens_per_s=cell.number("output_tokens_per_s"),
        total_tokens_per_s=cell.number("total_tokens_per_s"),
        measured=cell.text("measured") or None,
        source=cell.text("source"),
        problems=tuple(part for part in cell.text("problems").split("; ") if part),
    )


class Cells:
    """The cells of one row by column; an empty cell is unknown."""

    def __init__(self, row: Mapping[str, str], where: str) -> None:
        self._row = row
        self._where = where

    def text(self, name: str) -> str:
        return self._row.get(name, "").strip()

    def number(self, name: str) -> float | None:
        """Above 0. Raises InputError for anything else."""
        text = self.text(name)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise InputError(f"{self._where}: {name} = {text[:40]!r} is not a number") from None
        if not 0 < value < float("inf"):
            raise InputError(f"{self._where}: {name} = {text[:40]} must be above 0")
        return value

    def whole(self, name: str, low: int = 1) -> int | None:
        text = self.text(name)
        if not text:
            return None
        try:
            value = int(float(text))
        except (ValueError, OverflowError):
            raise InputError(f"{self._where}: {name} = {text[:40]!r} is not a number") from None
        if value < low or value != float(text):
            raise InputError(f"{self._where}: {name} = {text[:40]} must be a whole number, at least {low}")
        return value

    def choice(self, name: str, known: Sequence[str], default: str) -> Any:
        text = self.text(name).lower() or default
        if text not in known:
            raise InputError(f"{self._where}: {name} = {text[:40]!r}: known are {', '.join(filter(None, known))}")
        return text

    def lengths(self, name: str) -> Lengths:
        """A mean alone, or with the range that lengths are drawn from."""
        mean, low, high = (self.number(part) for part in (name, f"{name}_low", f"{name}_high"))
        if low is not None and high is not None:
            return self.built(lambda: Lengths(low, high))
        if mean is None:
            raise InputError(f"{self._where}: {name}: missing: a point needs the lengths of prompts and outputs")
        return self.built(lambda: Lengths.fixed(mean))

    def built(self, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except InputError as error:
            raise InputError(f"{self._where}: {error}") from None


def csv_of(points: Iterable[ServedPoint]) -> str:
    """The points as a table that `read_points` reads."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for point in points:
        writer.writerow({name: "" if value is None else value for name, value in _row(point).items()})
    return text.getvalue()


def _row(point: ServedPoint) -> dict[str, Any]:
    deployed, client = point.deployed, point.client
    speculation = {None: None, False: "no", True: "yes"}[deployed.speculation]
    found: dict[str, Any] = {"engine": deployed.engine, "version": deployed.version, "model": deployed.model}
    found |= {"accelerator": deployed.accelerator, **deployed.layout.degrees, "attention": deployed.layout.attention}
    found |= {"weights": deployed.weights, "kv_bits": deployed.kv_bits, "speculation": speculation}
    found["receive_steps"] = deployed.receive_steps
    for name, lengths in (("prompt", client.prompt), ("output", client.output)):
        found |= {name: lengths.mean, f"{name}_low": lengths.low, f"{name}_high": lengths.high}
    found |= {name: getattr(client, name) for name in ("concurrency", "rate_per_s", "arrival", "requests", "failed")}
    found |= {f"{name}_ms": value for name, value in point.times_ms.items()}
    found |= {name: getattr(point, name) for name in ("output_tokens_per_s", "total_tokens_per_s", "measured", "source")}
    return found | {"problems": "; ".join(point.problems)}
