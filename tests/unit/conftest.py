"""What the unit tests share: a method, a cell as a launch writes it, a whole samples file. No ranks, no torch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("unit", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("unit")

LAUNCHER_VARIABLES = [
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "PMI_RANK",
    "OMPI_COMM_WORLD_RANK",
    "SLURM_PROCID",
]


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see a process that no launcher started, whatever started this one."""
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def method() -> Callable[..., Any]:
    """``method(**changes)``: a small gloo method on four ranks."""
    from inferometer.emulator.measure.method import Method, Sweep

    def make(**changes: Any) -> Any:
        sweep = {"name": "small", "tier": [{"collectives": ["all_reduce", "send_recv", "barrier"]}]}
        fields = {"backend": "gloo", "world_size": 4, "sizes_bytes": [64, 1024], "sweep": Sweep.model_validate(sweep)}
        return Method(**(fields | changes))

    return make


@pytest.fixture
def cell() -> Callable[..., dict[str, Any]]:
    """``cell(**changes)``: a cell record of two ranks and three iterations, whose times are 2, 4 and 9 us."""

    def make(**changes: Any) -> dict[str, Any]:
        record = {
            "record": "cell", "launch": 0, "cell": "all_reduce/float32/1024/2x1/alone/isolated",
            "collective": "all_reduce", "implementation": "gloo (torch)", "backend": "gloo", "launch_mode": "host",
            "timing": "isolated", "dtype": "float32", "concurrent_groups": 1, "groups": 1, "scheduler": "other",
            "requested_bytes": 1024, "bytes": 1024, "count": 256, "ranks": 2, "nodes": 1, "ranks_per_node": 2,
            "participants": [0, 1], "groups_ranks": [[0, 1]], "operations": 1, "warmup": 3, "checked": 1, "wrong": 0,
            "time_definition": "last_stop_minus_last_start", "stop_reason": "max_iterations", "bus_factor": 1.0,
            "flags": [], "clock": "CLOCK_MONOTONIC", "origin_ns": 5_000_000,
            # last start 1000, 20000, 40500; last stop 3000, 24000, 49500
            "start_ns": [[0, 20_000, 40_000], [1_000, 19_000, 40_500]],
            "stop_ns": [[3_000, 23_000, 49_500], [2_500, 24_000, 49_000]],
        }  # fmt: skip
        return record | changes

    return make


@pytest.fixture
def write_samples(tmp_path: Path) -> Callable[..., Path]:
    """``write_samples(*records, name=…, header=…)``: a samples file with a header and these records."""

    def write(*records: dict[str, Any], name: str = "x.samples.jsonl", header: dict[str, Any] | None = None) -> Path:
        first = {"record": "header", "schema": "inferometer/samples/1", **(header or {})}
        path = tmp_path / name
        path.write_text("".join(json.dumps(record) + "\n" for record in (first, *records)))
        return path

    return write


@pytest.fixture(scope="session")
def small_calibration() -> Any:
    """A real calibration, from three synthetic launches on one node of 2 and 4 ranks."""
    import pandas as pd

    from inferometer.emulator.calibrate.fit.build import calibrate
    from inferometer.emulator.calibrate.laws.linear import affine
    from tests.studies.synthetic import synthetic_cells

    truth = {"a": 100.0, "b": 30.0, "c": 0.0, "B_intra": 2.0, "B_inter": 1.0}
    sizes = [256 * 8**k for k in range(6)]

    def cells(name: str, **more: Any) -> Any:
        fields = {"seed": 1, "sizes": sizes, "launches": 3, "iterations": 20} | more
        return synthetic_cells(name, affine(name), truth, [(2, 1), (4, 1)], **fields)

    frames = [
        cells("all_reduce"), cells("all_to_all"), cells("broadcast"), cells("all_gather"), cells("barrier", sizes=[0]),
        cells("all_reduce", timing="pipelined"), cells("null", sizes=[0]),
    ]  # fmt: skip
    about = {
        "kind": "synthetic",
        "hardware": {"cpu_model": "Imaginary 9000", "cores_usable": 4, "gpus": []},
        "topology": {"ranks": 4, "nodes": 1, "ranks_per_node": [4]},
    }
    table = pd.concat(frames, ignore_index=True)
    method = {"launches": 3, "dropped": ["broadcast/x", "barrier/y"]}
    return calibrate(table, seed=1, provenance=about, method=method, created="2026-01-01T00:00:00Z")


@pytest.fixture(scope="session")
def two_modes(small_calibration: Any) -> Any:
    """The small calibration's isolated all_reduce, launched eagerly and again as a graph, in 12 layouts."""

    def copy(record: Any, mode: str) -> Any:
        return record.model_copy(update={"target": record.target.model_copy(update={"launch_mode": mode})})

    modes = ("eager", "graph")
    wanted = [
        m for m in small_calibration.network_laws if m.target.collective == "all_reduce" and m.target.timing == "isolated"
    ]
    cells = [cell for cell in small_calibration.cells if cell.target == wanted[0].target]
    more = [cell.model_copy(update={"ranks": 2 * k}) for cell in cells for k in range(1, 13) if cell.ranks == 2]
    return small_calibration.model_copy(
        update={
            "network_laws": [copy(m, mode) for mode in modes for m in wanted],
            "cells": [copy(cell, mode) for mode in modes for cell in more],
        }
    )
