"""Probes of the compute side as a table: what a fit works on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.measure.samples import checked_records
from inferometer.emulator.measure.statistics import steady_mean

if TYPE_CHECKING:
    from pathlib import Path

    import pandas

KEY = ("backend", "device", "dtype", "scheduler", "threads", "at_once")
SIZES = ("rows", "inner", "outer", "matrices", "flop", "weight_bytes", "activation_bytes", "kv_bytes")
PROBE_COLUMNS = ("launch", "probe", *KEY, "model", "sharded", "op", "after", "kind", *SIZES, "us", "n", "working_set_bytes")


def probe_table(*paths: str | Path) -> pandas.DataFrame:
    """One row per operation, or way from one (``after``) to the next, per probe and launch.

    Columns: PROBE_COLUMNS; ``us`` is the mean over ranks and iterations (statistics.steady_mean). Probes that an interrupted
    launch made twice count once, the last. Raises InputError as checked_records does.
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
            # Files of earlier versions name the model in the probe only.
            about |= {"model": record.get("model") or record["cell"].rsplit("/", 2)[0]}
            about |= {"sharded": bool(record.get("sharded", False))}
            about |= {"launch": record["launch"] + launch_base, "probe": record["cell"]}
            for op in record["ops"]:
                row = {**about, **{name: op.get(name) for name in ("op", "after", "kind")}}
                row |= {name: float(op.get(name, 0.0)) for name in SIZES}
                row |= {"us": _us(op["ns"]), "n": min(len(times) for times in op["ns"])}
                what = (op["kind"], op["op"], op.get("after"), row["rows"])
                rows[str(path), record["launch"], record["cell"], *what] = row
        launch_base += highest + 1
    return pd.DataFrame(list(rows.values()), columns=list(PROBE_COLUMNS))


def _us(times_ns: list[list[int]]) -> float:
    return float(np.mean([steady_mean(np.array(times)) for times in times_ns])) / 1e3
