"""Fit the laws of computing to probes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from inferometer.emulator.aliases import Document
from inferometer.emulator.calibrate.fit.lines import operation_line
from inferometer.emulator.calibrate.fit.surface import fit_surface
from inferometer.emulator.calibrate.schema.compute_records import ComputeTarget

if TYPE_CHECKING:
    import pandas as pd


#: What the time of each kind of operation grows with, the surest first (a matmul's is a surface in rows and elements).
GROWS_WITH = {
    "attention": ("cache", "arithmetic", "activations"),
    "stream": ("activations", "streamed"),
    "glue": ("activations", "streamed"),
}
#: Share of the grid's working set from which on a model's weights count as streamed from memory too.
STREAMED = 0.5


def fit_compute(probes: pd.DataFrame) -> list[Document]:
    """ComputeLaw records of every target among probes, rows of measure.probe_table.

    None of a target whose probes do not bear a law of every kind of operation: no step could be priced by the rest.
    """
    found: list[Document] = []
    for key, rows in probes.groupby(list(ComputeTarget.model_fields), sort=True):
        target = dict(zip(ComputeTarget.model_fields, key))
        laws = list(_laws(rows))
        if {law["kind"] for law in laws if not law.get("sharded") and "op" not in law} == {"matmul", *GROWS_WITH}:
            found += [{"target": target, **law} for law in laws]
    return found


def _laws(rows: pd.DataFrame) -> Iterator[Document]:
    grid = rows[rows["op"] == "matmul"]
    models = rows[rows["op"] != "matmul"]
    streamed = models["working_set_bytes"] >= STREAMED * grid["working_set_bytes"].min()
    surface = fit_surface(grid, models[(models["kind"] == "matmul") & streamed])
    if surface is not None:
        yield surface
    for sharded, some in models.groupby("sharded", sort=True):
        for law in _lines(some):
            yield law | {"sharded": bool(sharded)}


def _lines(models: pd.DataFrame) -> Iterator[Document]:
    """Of every kind of operation, then of each operation after any predecessors, then of each with its predecessors."""
    for kind in GROWS_WITH:
        of_kind = models[models["kind"] == kind]
        parts: list[tuple[Document, pd.DataFrame]] = [({"kind": kind}, of_kind)]
        parts += [({"kind": kind, "op": name}, some) for name, some in of_kind.groupby("op", sort=True)]
        by_both = of_kind.groupby(["predecessors", "op"], sort=True)
        parts += [({"kind": kind, "predecessors": after, "op": name}, some) for (after, name), some in by_both]
        for about, some in parts:
            # Glue has residuals only for single predecessors: those of a law for several would follow none of them.
            line = operation_line(some, GROWS_WITH[kind], near=kind != "glue" or "predecessors" in about)
            if line is not None:
                yield about | line
