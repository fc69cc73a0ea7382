"""Probes of the compute side as tables: what fits work on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.samples.identity import Launches
from inferometer.emulator.samples.samples import checked_records
from inferometer.emulator.workload.features import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import pandas

KEY = ("backend", "device", "launch_mode", "dtype", "scheduler", "threads", "concurrent_ranks")
PROBE_COLUMNS = (
    "launch", "probe", *KEY, "model", "sharded", "tokens", "op", "predecessors", "kind", *SIZES, "one_tensor", "launches",
    "us", "n", "working_set_bytes",
)  # fmt: skip
OF_COLLECTIVE = ("op", "collective", "bytes", "ranks", "nodes", "compute_gap_us")
COLLECTIVE_COLUMNS = ("launch", "probe", *KEY, *OF_COLLECTIVE, "us")
COLLECTIVE = "collective"
"""The kind of what is no computation."""


class ProbeRows:
    """The rows of both tables of probes, collected record by record from one or several files."""

    def __init__(self) -> None:
        self._computations: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._collectives: dict[tuple[Any, ...], dict[str, Any]] = {}
        self._highest: dict[str, int] = {}
        """The highest launch of each file."""

    def add(self, path: str | Path, record: Mapping[str, Any]) -> None:
        """record: a checked one of the file at path, of any kind."""
        file = str(path)
        self._highest[file] = max(self._highest.get(file, -1), record.get("launch", -1))
        if record["record"] != "compute":
            return
        about = {"launch": record["launch"], "probe": record["cell"], **{name: record[name] for name in KEY}}
        for op in record["ops"]:
            key = (file, record["launch"], record["cell"])
            if op["kind"] == COLLECTIVE:
                row = {**about, **{name: op[name] for name in OF_COLLECTIVE}, "us": _us(op)}
                self._collectives[(*key, op["op"])] = row
            else:
                row = _computation(record, about, op)
                sizes = tuple(row[name] for name in SIZES)
                another = (
                    len(self._computations) if op["ns"] is None else 0
                )  # imported: shapes may differ in what is no size
                self._computations[(*key, op["kind"], op["op"], op.get("predecessors"), sizes, another)] = row

    def computations(self, without: Launches = frozenset()) -> pandas.DataFrame:
        """As `probe_table` says."""
        return self._table(self._computations, PROBE_COLUMNS, without)

    def collectives(self, without: Launches = frozenset()) -> pandas.DataFrame:
        """As `model_collectives` says."""
        return self._table(self._collectives, COLLECTIVE_COLUMNS, without)

    def _table(
        self, rows: dict[tuple[Any, ...], dict[str, Any]], columns: tuple[str, ...], without: Launches
    ) -> pandas.DataFrame:
        import pandas as pd

        base, launch_base = {}, 0
        for file, highest in self._highest.items():  # several files are several sets of launches
            base[file] = launch_base
            launch_base += highest + 1
        kept = [
            row | {"launch": row["launch"] + base[file]}
            for (file, launch, *_), row in rows.items()
            if (file, launch) not in without
        ]
        return pd.DataFrame(kept, columns=list(columns))


def _computation(record: Mapping[str, Any], about: dict[str, Any], op: dict[str, Any]) -> dict[str, Any]:
    row = {**about, **{name: record[name] for name in ("model", "sharded", "tokens")}}
    row |= {
        "working_set_bytes": record["working_set_bytes"],
        **{name: op.get(name) for name in ("op", "predecessors", "kind")},
    }
    row |= {name: float(op.get(name, 0.0)) for name in (*SIZES, "one_tensor", "launches")}
    return row | {"us": _us(op), "n": 1 if op["ns"] is None else min(len(times) for times in op["ns"])}


def probe_table(*paths: str | Path) -> pandas.DataFrame:
    """One row per computation, and per glue between a computation and its predecessors, per probe and launch.

    Columns: PROBE_COLUMNS; ``us`` is the mean over ranks of the median over iterations, as of a step that is measured
    (validation), ``tokens`` a rank's new ones in a step. Probes that an interrupted launch made twice count once, the last.
    Raises InputError as checked_records does.
    """
    return _rows_of(paths).computations()


def model_collectives(*paths: str | Path) -> pandas.DataFrame:
    """One row per collective, per probe of a sharded model and launch.

    Columns: COLLECTIVE_COLUMNS; ``us`` as in probe_table, ``compute_gap_us`` how long rank 0 computed since the previous
    collective. Raises InputError as checked_records does.
    """
    return _rows_of(paths).collectives()


def _rows_of(paths: Iterable[str | Path]) -> ProbeRows:
    rows = ProbeRows()
    for path in paths:
        for _, record in checked_records(path):
            rows.add(path, record)
    return rows


def _us(op: dict[str, Any]) -> float:
    if op["ns"] is None:
        return float(op["us"])
    return float(np.mean([np.median(np.array(times)) for times in op["ns"]])) / 1e3
