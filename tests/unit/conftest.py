"""What unit tests may do, held while they are imported and run; and the calibrations that several of them read."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

STARTS = ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system")
"""The interpreter's audit events of a process that is being started."""
LIBRARIES = ("torch", "mpi4py")


class Guard:
    """A unit test that starts a process or imports a library of the ranks fails, whatever calls it makes for that."""

    def __init__(self) -> None:
        self.on = False
        sys.addaudithook(self.look)

    def look(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "import" and args[0].partition(".")[0] in LIBRARIES:
            pytest.fail(f"a unit test imports {args[0]}: it belongs into tests/ranks")
        if event in STARTS and "fc-list" not in str(args):  # matplotlib looks for fonts the first time it is used
            pytest.fail(f"a unit test starts a process ({event} {args}): it belongs into tests/ranks")

    def watch(self, node: pytest.Item | pytest.Collector) -> Generator[None, Any, Any]:
        self.on = Path(__file__).parent in node.path.parents
        try:
            return (yield)
        finally:
            self.on = False


GUARD = Guard()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    return (yield from GUARD.watch(collector))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    return (yield from GUARD.watch(item))


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
