"""Calibrations of known parameters: one node, several nodes, forced algorithms, and one that leaves a and b undetermined."""

from __future__ import annotations

import pytest

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import write_calibration
from tests.unit.exporters.known_calibrations import CLUSTER, ONE_NODE, TRUTH, cells_of, made_from


@pytest.fixture(scope="session")
def node() -> Calibration:
    names = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all")
    return made_from([cells_of(name, ONE_NODE) for name in names] + [cells_of("send_recv", [(2, 1)])])


@pytest.fixture(scope="session")
def cluster() -> Calibration:
    return made_from([cells_of("all_reduce", CLUSTER)])


@pytest.fixture(scope="session")
def merged() -> Calibration:
    """Four ranks on every node: only a + 3·b is determined."""
    return made_from([cells_of("all_reduce", [(8, 2), (16, 4)])])


@pytest.fixture(scope="session")
def swept() -> Calibration:
    """ll is quick to start and slow, simple the other way round: at 8 ranks they meet at 457.1 KB."""
    slow = TRUTH | {"a": 5.0, "b": 1.0, "B_intra": 100.0}
    fast = TRUTH | {"a": 8.0, "b": 1.0, "B_intra": 160.0}
    return made_from(
        [
            cells_of("all_reduce", ONE_NODE, slow, implementation="nccl/ring/ll"),
            cells_of("all_reduce", ONE_NODE, fast, implementation="nccl/ring/simple"),
        ]
    )


@pytest.fixture(scope="session")
def node_file(node, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrations") / "node.json"
    write_calibration(node, path)
    return path
