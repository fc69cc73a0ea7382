"""What a format can carry comes back from it: exported, imported, the same times within rounding."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.exporters.query import Query
from inferometer.emulator.exporters.targets import export_query
from inferometer.emulator.importers.imports import import_files
from tests.unit.exporters.known_calibrations import ONE_NODE, cells_of, made_from

parameter = st.floats(0.5, 500)
bandwidth = st.floats(0.05, 900)


@st.composite
def calibrations(draw) -> Calibration:
    truth = {"a": draw(parameter), "b": draw(parameter), "c": 1.0, "B_intra": draw(bandwidth), "B_inter": 1.0}
    return made_from([cells_of(name, ONE_NODE, truth) for name in ("all_reduce", "all_to_all")])


def imported(target: str, query: Query, suffix: str) -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(export_query(target, query, suffix).content)
        return import_files(target, [path]).cells


@settings(max_examples=12, deadline=None)
@given(calibrations(), st.sampled_from([("aiconfigurator", ".parquet"), ("vidur", ".csv")]))
def test_import_gives_back_the_times(calibration, form):
    cells = imported(form[0], Query(calibration), form[1])
    carried = {"aiconfigurator": {"all_reduce", "all_to_all"}, "vidur": {"all_reduce"}}[form[0]]
    assert {c["collective"] for c in cells} == carried
    assert {(c["ranks"], c["nodes"]) for c in cells} == set(ONE_NODE)
    for cell in cells:
        law_us = calibration.time_s(cell["collective"], cell["bytes"], cell["ranks"], cell["nodes"]) * 1e6
        assert cell["us"] == pytest.approx(law_us, rel=1e-6, abs=1e-6)
        assert (cell["dtype"], cell["backend"]) == ("float16", "nccl")


def test_several_nodes_come_back_from_vidur(cluster):
    cells = imported("vidur", Query(cluster), ".csv")
    assert (32, 4) in {(c["ranks"], c["nodes"]) for c in cells}
    for cell in cells:
        law_us = cluster.time_s("all_reduce", cell["bytes"], cell["ranks"], cell["nodes"]) * 1e6
        assert cell["us"] == pytest.approx(law_us, rel=1e-6, abs=1e-6)


def test_send_recv_comes_back_from_vidur(node):
    cells = imported("vidur", Query(node, key={"collective": "send_recv"}), ".csv")
    assert {(c["collective"], c["ranks"], c["nodes"]) for c in cells} == {("send_recv", 2, 1)}
