"""The measured cells as the calibration file shows them: one record per cell over all launches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.fit.intervals import CONFIDENCE, MIN_LAUNCHES
from inferometer.emulator.calibrate.schema.keys import KEY_FIELDS, Key, flags_of, plain
from inferometer.emulator.samples.statistics import effective_count, summary

if TYPE_CHECKING:
    import pandas as pd


DISTRIBUTION = ("min", "p5", "p25", "p75", "p95", "p99", "mean", "mad")


def summarise_cells(cells: pd.DataFrame) -> list[dict[str, Any]]:
    """Cell records (inferometer.emulator.calibrate.schema.records.Cell) as dictionaries, in a fixed order."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in cells.to_dict("records"):
        where = tuple(plain(row[name]) for name in (*KEY_FIELDS, "ranks", "nodes", "bytes"))
        groups.setdefault(where, []).append(row)
    order = sorted(groups, key=lambda k: ([str(v) for v in k[:-3]], k[-3:]))
    return [_summary(dict(zip(KEY_FIELDS, where)), where[-3:], groups[where]) for where in order]


def _summary(key: Key, place: tuple[int, int, int], rows: list[dict[str, Any]]) -> dict[str, Any]:
    rows = sorted(rows, key=lambda row: int(row["launch"]))
    medians = [_time(row["us"]) for row in rows]
    known = np.array([m for m in medians if m is not None])
    series = [np.asarray(row["iterations_us"], dtype=float) for row in rows if row["iterations_us"] is not None]
    spread = summary(np.concatenate(series)) if series else None
    wrong = [plain(row["wrong"]) for row in rows]
    checked = [int(w) for w in wrong if w is not None]
    return {
        "target": key,
        "bytes": int(place[2]),
        "ranks": int(place[0]),
        "nodes": int(place[1]),
        "launch_medians": medians,
        "us": {
            "median": float(np.median(known)) if len(known) else None,
            "ci": median_interval(known),
            **({name: spread[name] for name in DISTRIBUTION} if spread else {}),
        },
        "n": int(sum(row["n"] for row in rows)),
        "n_eff": float(sum(effective_count(times) for times in series)) if series else None,
        "between_launch_rsd": float(known.std(ddof=1) / known.mean()) if len(known) > 1 and known.mean() > 0 else None,
        "wrong": sum(checked) if len(checked) == len(wrong) else None,
        "flags": sorted({flag for row in rows for flag in flags_of(row["flags"])}),
    }


def median_interval(launch_medians: Array) -> tuple[float, float] | None:
    """95 % t-interval of the typical launch, made on ln t; None with fewer than three launches or a time ≤ 0."""
    count = len(launch_medians)
    if count < MIN_LAUNCHES or (launch_medians <= 0).any():
        return None
    from scipy.special import stdtrit

    logs = np.log(launch_medians)
    half = stdtrit(count - 1, 0.5 + CONFIDENCE / 2) * logs.std(ddof=1) / np.sqrt(count)
    # Around the median, which the file reports beside it.
    centre = np.median(logs)
    return float(np.exp(centre - half)), float(np.exp(centre + half))


def _time(us: Any) -> float | None:
    value = plain(us)
    return float(value) if value is not None and np.isfinite(value) else None
