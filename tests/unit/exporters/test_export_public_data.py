"""A table of AIConfigurator's own, imported, fitted, exported again: the tool's columns, types and keys."""

from __future__ import annotations

import io

import pyarrow.parquet

from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.targets import export_query
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.samples.samples import SamplesFile
from tests.places import DATA

TABLE = DATA / "aiconfigurator/h100_sxm/comm/nccl/2.29.2/nccl_perf.parquet"


def test_an_exported_table_looks_as_aiconfigurators_own(tmp_path):
    imported = import_files("aiconfigurator", [TABLE])
    samples = SamplesFile.create(tmp_path / "h100.samples.jsonl", imported.header)
    for cell in imported.cells:
        if (cell["collective"], cell["dtype"]) == ("all_reduce", "float16"):
            samples.append(cell)
    samples.close()
    calibration = fit([tmp_path / "h100.samples.jsonl"], seed=0, law="affine")
    mine = pyarrow.parquet.read_table(io.BytesIO(export_query("aiconfigurator", Query(calibration, factor=2)).content))
    theirs = pyarrow.parquet.read_table(TABLE)
    assert mine.column_names == theirs.column_names
    assert [str(t).removeprefix("large_") for t in mine.schema.types] == [
        str(t).removeprefix("large_") for t in theirs.schema.types
    ]
    own = [row for row in theirs.to_pylist() if (row["op_name"], row["nccl_dtype"]) == ("all_reduce", "half")]
    keys = ("version", "device", "op_name", "kernel_source", "nccl_dtype", "num_gpus", "message_size")
    assert sorted(tuple(r[k] for k in keys) for r in mine.to_pylist()) == sorted(tuple(r[k] for k in keys) for r in own)
