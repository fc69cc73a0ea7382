"""Calibrations made once, from synthetic cells, for all tests of this folder."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.laws.linear import affine
from tests.studies.synthetic import synthetic_cells

CREATED = "2026-01-01T00:00:00Z"
TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}


def _make(cells: pd.DataFrame, **provenance: object) -> Calibration:
    about = {"kind": "synthetic", "raw": [{"path": "x.samples.jsonl", "sha256": None, "rows": len(cells)}]}
    return calibrate(cells, seed=1, provenance=about | provenance, method={"launches": 3}, created=CREATED)


@pytest.fixture(scope="session")
def make() -> Callable[..., Calibration]:
    """calibrate() with everything but the cells given; keywords override the provenance."""
    return _make


@pytest.fixture(scope="session")
def cells() -> pd.DataFrame:
    """all_reduce isolated and pipelined and all_to_all on one node, barrier, null, and a broadcast on two nodes."""
    one_node = [(2, 1), (4, 1)]
    law = affine("all_reduce")
    frames = [
        synthetic_cells("all_reduce", law, TRUTH, one_node, seed=1, launches=3),
        synthetic_cells("all_reduce", law, TRUTH, one_node, seed=2, launches=3, timing="pipelined"),
        synthetic_cells("all_to_all", affine("all_to_all"), TRUTH, one_node, seed=3, launches=3),
        synthetic_cells("barrier", affine("barrier"), TRUTH, one_node, seed=4, launches=3, sizes=[0]),
        synthetic_cells("null", affine("barrier"), TRUTH, one_node, seed=5, launches=3, sizes=[0]),
        synthetic_cells("broadcast", affine("broadcast"), TRUTH, [(2, 1), (4, 1), (4, 2), (8, 2)], seed=6, launches=3),
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.fixture(scope="session")
def calibration(cells: pd.DataFrame) -> Calibration:
    return _make(cells)
