"""What all tests share: marks by folder, a process that no launcher started, a method, cells, ranks, commands, data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.forked_ranks import run_forked
from tests.places import ROOT

settings.register_profile("unit", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("unit")

MARKS = {"unit": "unit", "verify": "verify", "gpu": "gpu"}
"""The mark of the tests of a folder; those of other folders start ranks."""
LAUNCHER_VARIABLES = [
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "PMI_RANK",
    "OMPI_COMM_WORLD_RANK",
    "SLURM_PROCID",
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(MARKS.get(item.path.relative_to(ROOT / "tests").parts[0], "ranks"))


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


@pytest.fixture
def ranks(tmp_path: Path) -> Callable[..., list[Any]]:
    """``ranks(n, function, *args)``: run ``function(world, control, *args)`` on n gloo ranks, results in rank order."""

    def run(
        size: int, function: Callable[..., Any], *args: Any, timeout_s: float = 20.0, limit_s: float = 60.0
    ) -> list[Any]:
        return run_forked(tmp_path, size, function, args, timeout_s, limit_s)

    return run


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``command("measure", "-n", "2")``: start ``inferometer`` as a user does, in an empty folder.

    ``planted``: code that every Python of the command runs first, also the one that the ranks are forked from.
    """
    started: list[subprocess.Popen[str]] = []

    def start(
        *arguments: str, prefix: tuple[str, ...] = (), module: bool = True, planted: str = ""
    ) -> subprocess.Popen[str]:
        python = [sys.executable, "-m", "inferometer.launch"] if module else []
        first = tmp_path / f"planted-{len(started)}"
        if planted:
            first.mkdir()
            (first / "sitecustomize.py").write_text(planted)
        path = os.pathsep.join([*([str(first)] if planted else []), str(ROOT), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(
            [*prefix, *python, *arguments], cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        with suppress(subprocess.TimeoutExpired):  # what it had started may still hold its pipes
            process.communicate(timeout=10)
