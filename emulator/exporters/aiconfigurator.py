"""AIConfigurator's tables nccl_perf and custom_allreduce_perf: message_size in ELEMENTS of nccl-tests' size, latency in ms.

A model's tensor-parallel all_reduce is priced from the second (AIConfigurator 0.12), so it goes beside the first.
systems/data/SYSTEM/comm/nccl/VERSION/nccl_perf.parquet, older releases nccl_perf.txt (CSV), with collection_meta.yaml beside
it. Its query (sdk/operations/communication.py) interpolates linearly in size for one GPU count, and beyond the table lets
the time grow with the bytes, latency included.
"""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import numpy as np

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.schema.network_records import NetworkLaw
from inferometer.emulator.errors import InputError
from inferometer.emulator.exporters.loss import Carried, Made, Times
from inferometer.emulator.exporters.query import Query, software
from inferometer.emulator.exporters.table import Table, table_of
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.dtypes import DTYPES, Dtype

COLUMNS = (
    "framework", "version", "device", "op_name", "kernel_source", "nccl_dtype", "num_gpus", "message_size", "latency"
)  # fmt: skip
CUSTOM_COLUMNS = tuple("allreduce_dtype" if name == "nccl_dtype" else name for name in COLUMNS)
#: Ours → op_name.
OPERATIONS = {name: record.tools.aiconfigurator for name, record in COLLECTIVES.items() if record.tools.aiconfigurator}
#: nccl_dtype is half or int8, nothing else; bytes count, so others of 2 bytes and more go as half.
WRITTEN = (DTYPES["float16"], DTYPES["int8"])
TEXT = (".txt", ".csv")
#: Its collectors have one; more leave less to the straight lines between rows.
PER_OCTAVE = 4
FRAMEWORK = "Inferometer"
META = "collection_meta.yaml"
CUSTOM = "custom_allreduce_perf"
CUSTOM_DTYPE = DTYPES["bfloat16"]
"""allreduce_dtype of all its tables."""


def write(query: Query, suffix: str) -> Made:
    """Every collective it knows. Parquet, or text where the suffix is .txt or .csv or pyarrow is missing.

    Raises InputError where a law was measured on no layout of one node, and for .parquet without pyarrow.
    """
    device, version = software(query.calibration)
    rows: list[tuple[Any, ...]] = []
    custom: list[tuple[Any, ...]] = []
    carried, dropped = [], []
    for collective in query.collectives(list(OPERATIONS)):
        model = query.law(collective)
        dtype = WRITTEN[model.target.dtype == "int8"]
        table = table_of(query, model, PER_OCTAVE, dtype.itemsize, one_node=True)
        source = "NCCL" if model.target.backend == "nccl" else model.target.backend
        about = (FRAMEWORK, version, device, OPERATIONS[collective], source, dtype.aiconfigurator)
        rows += [(*about, r, n // dtype.itemsize, _ms(us)) for r, _, n, us in table.rows()]
        if collective == "all_reduce":
            about = (*about[:4], model.target.implementation or source, CUSTOM_DTYPE.name)
            custom = [(*about, r, n // CUSTOM_DTYPE.itemsize, _ms(us)) for r, _, n, us in table.rows()]
        carried.append(Carried(model, _times(table), "the table is of one node: its GPU counts have no nodes"))
        dropped += table.missing + _assumed(model, dtype)
    if version is None:
        dropped.append("version is empty: the calibration names no one library version")
    if device is None:
        dropped.append("device is empty: the calibration names no one device")
    use = ["put it into systems/data/SYSTEM/comm/nccl/VERSION, where the system's file says nccl_version: VERSION"]
    text = _wants_text(suffix)
    siblings = {META: _meta(version)}
    if custom:
        name = f"{CUSTOM}{suffix if text and suffix in TEXT else '.txt' if text else '.parquet'}"
        siblings[name] = _text(custom, CUSTOM_COLUMNS) if text else _parquet(custom, CUSTOM_COLUMNS)
        use.append(
            f"put {name} into systems/data/SYSTEM/comm/FRAMEWORK/VERSION: a model's tensor-parallel all_reduce is read "
            "from it, and the all_reduce of nccl_perf by other operations only"
        )
    return Made(_text(rows) if text else _parquet(rows), carried, dropped, use, siblings)


def _ms(us: float) -> float:
    return float(f"{us / 1000:.9g}")


def _assumed(model: NetworkLaw, dtype: Dtype) -> list[str]:
    target = model.target
    found = []
    if target.dtype != dtype.name:
        measured = target.dtype or "an unknown dtype"
        found.append(f"{target.collective}: measured with {measured}, written as {dtype.aiconfigurator} of the same bytes")
    if target.backend != "nccl":
        library = target.backend or "an unknown library"
        found.append(f"{target.collective}: measured with {library}; AIConfigurator takes it for NCCL's")
    return found


def _times(table: Table) -> Times:
    def times(n: Array, r: int, N: int) -> Array:
        rows = table.times.get((r, N))
        if rows is None:
            return np.full(n.shape, np.nan)
        sizes, us = rows
        beyond = np.where(n < sizes[0], n / sizes[0], np.where(n > sizes[-1], n / sizes[-1], 1.0))
        return np.asarray(np.interp(n, sizes, us) * beyond)

    return times


def _wants_text(suffix: str) -> bool:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        if suffix == ".parquet":
            raise InputError(
                "-o FILE.parquet needs pyarrow: pip install 'inferometer[parquet]', or -o nccl_perf.txt for the text form"
            ) from None
        return True
    return suffix in TEXT


def _text(rows: list[tuple[Any, ...]], names: tuple[str, ...] = COLUMNS) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerows([names, *rows])
    return stream.getvalue().encode()


def _parquet(rows: list[tuple[Any, ...]], names: tuple[str, ...] = COLUMNS) -> bytes:
    import pyarrow
    import pyarrow.parquet

    types = dict.fromkeys(names, pyarrow.string())
    types |= {"num_gpus": pyarrow.int64(), "message_size": pyarrow.int64(), "latency": pyarrow.float64()}
    columns = dict(zip(names, map(list, zip(*rows))))
    table = pyarrow.table({name: pyarrow.array(columns[name], types[name]) for name in names})
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    return stream.getvalue()


def _meta(version: str | None) -> bytes:
    """collection_meta.yaml. Its provenance is collected or legacy: times of a law were not collected."""
    lines = [
        "schema_version: 1",
        "provenance: legacy",
        "runtime:",
        "  framework: nccl",
        f"  version: {json.dumps(version)}",
        "tables:",
        "  nccl_perf:",
        "    status: complete",
    ]
    return ("\n".join(lines) + "\n").encode()
