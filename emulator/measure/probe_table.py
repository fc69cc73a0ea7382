"""Probes of the compute side as a table: what a fit works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.measure.samples import checked_records

if TYPE_CHECKING:
    from pathlib import Path

    import pandas

KEY = ("backend", "device", "dtype", "scheduler", "threads", "at_once")
SIZES = ("rows", "inner", "outer", "matrices", "flop", "weight_bytes", "activation_bytes", "kv_bytes")
PROBE_COLUMNS = ("launch", "probe", *KEY, "op", "kind", *SIZES, "us", "between_us", "n", "working_set_bytes")


def probe_table(*paths: str | Path) -> pandas.DataFrame:
    """One row per operation, probe and launch.

    Columns: PROBE_COLUMNS; ``us`` is the mean over ranks of the median over iterations, ``between_us`` the same of what led
    to the operation; NaN where it has none. Probes that an interrupted launch made twice count once, the last. Raises
    InputError as checked_records does.
    """
    import pandas as pd

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    launch_base = 0
    for path in paths:
        highest = -1
        for _, record in checked_records(path):
            highest = max(highest, record.get("launch", -1))
            if record["record"] != "compute":
                continue
            about = {name: record[name] for name in (*KEY, "working_set_bytes")}
            about |= {"launch": record["launch"] + launch_base, "probe": record["cell"]}
            for op in record["ops"]:
                row = {**about, "op": op["op"], "kind": op["kind"], **{name: float(op.get(name, 0.0)) for name in SIZES}}
                row |= {"us": _us(op["ns"]), "between_us": _us(op["between_ns"])}
                row["n"] = min(len(times) for times in op["ns"] or op["between_ns"])
                rows[str(path), record["launch"], record["cell"], op["op"]] = row
        launch_base += highest + 1
    return pd.DataFrame(list(rows.values()), columns=list(PROBE_COLUMNS))


def _us(times_ns: list[list[int]] | None) -> float:
    if times_ns is None:
        return float("nan")
    return float(np.mean([np.median(times) for times in times_ns])) / 1e3
