"""Probes of the compute side as tables: what fits work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.samples.identity import Launches
from inferometer.emulator.samples.samples import checked_records
from inferometer.emulator.workload.features import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pandas

KEY = ("backend", "device", "launch_mode", "dtype", "scheduler", "threads", "concurrent_ranks")
PROBE_COLUMNS = (
    "launch", "probe", *KEY, "model", "sharded", "tokens", "op", "predecessors", "kind", *SIZES, "one_tensor", "launches",
    "us", "n", "working_set_bytes",
)  # fmt: skip
COLLECTIVE_COLUMNS = ("launch", "probe", *KEY, "op", "collective", "bytes", "ranks", "nodes", "compute_gap_us", "us")
COLLECTIVE = "collective"
"""The kind of what is no computation."""


def probe_table(*paths: str | Path, without: Launches = frozenset()) -> pandas.DataFrame:
    """One row per computation, and per glue between a computation and its predecessors, per probe and launch.

    Columns: PROBE_COLUMNS; ``us`` is the mean over ranks of the median over iterations, as of a step that is measured
    (validation), ``tokens`` a rank's new ones in a step. Probes that an interrupted launch made twice count once, the last.
    without: launches to pass over.
    Raises InputError as checked_records does.
    """
    import pandas as pd

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path, record, about, op in _probed(paths, without):
        if op["kind"] == COLLECTIVE:
            continue
        row = {**about, **{name: record[name] for name in ("model", "sharded", "tokens")}}
        row |= {
            "working_set_bytes": record["working_set_bytes"],
            **{name: op.get(name) for name in ("op", "predecessors", "kind")},
        }
        row |= {name: float(op.get(name, 0.0)) for name in (*SIZES, "one_tensor", "launches")}
        row |= {"us": _us(op), "n": 1 if op["ns"] is None else min(len(times) for times in op["ns"])}
        sizes = tuple(row[name] for name in SIZES)
        another = len(rows) if op["ns"] is None else 0  # imported: shapes may differ in what is no size
        rows[path, about["launch"], about["probe"], op["kind"], op["op"], op.get("predecessors"), sizes, another] = row
    return pd.DataFrame(list(rows.values()), columns=list(PROBE_COLUMNS))


def model_collectives(*paths: str | Path, without: Launches = frozenset()) -> pandas.DataFrame:
    """One row per collective, per probe of a sharded model and launch.

    Columns: COLLECTIVE_COLUMNS; ``us`` as in probe_table, ``compute_gap_us`` how long rank 0 computed since the previous
    collective. Raises InputError as checked_records does.
    """
    import pandas as pd

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for path, _, about, op in _probed(paths, without):
        if op["kind"] == COLLECTIVE:
            row = {**about, **{name: op[name] for name in ("op", "collective", "bytes", "ranks", "nodes", "compute_gap_us")}}
            rows[path, about["launch"], about["probe"], op["op"]] = row | {"us": _us(op)}
    return pd.DataFrame(list(rows.values()), columns=list(COLLECTIVE_COLUMNS))


def _probed(
    paths: Iterable[str | Path], without: Launches
) -> Iterator[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Path, record, what says which probe of which launch it is, and operation: of every operation of every probe."""
    launch_base = 0
    for path in paths:
        highest = -1
        for _, record in checked_records(path):
            highest = max(highest, record.get("launch", -1))
            if record["record"] == "compute" and (str(path), record["launch"]) not in without:
                about = {"launch": record["launch"] + launch_base, "probe": record["cell"]}
                about |= {name: record[name] for name in KEY}
                yield from ((str(path), record, about, op) for op in record["ops"])
        launch_base += highest + 1


def _us(op: dict[str, Any]) -> float:
    if op["ns"] is None:
        return float(op["us"])
    return float(np.mean([np.median(np.array(times)) for times in op["ns"]])) / 1e3
