"""What measurements and fits find of wires whose delay and rate somebody else has set: benchmarks/lab_truth.py, judged."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from inferometer.launch.runs.lab import LabSettings, missing
from tests.places import ROOT

REASON = missing(LabSettings(rate_bit_per_s=1e9, delay_us=500.0))
pytestmark = [pytest.mark.verify, pytest.mark.skipif(REASON is not None, reason=f"lab: {REASON}")]
WITHIN = 0.05
RATE_WITHIN = 0.03
LARGE = 4 << 20


def found(tmp_path, *arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / "lab_truth.py"), *arguments, "--json", str(tmp_path / "found.json")]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)
    return json.loads((tmp_path / "found.json").read_text())


def test_latencies_grow_with_the_delay_as_the_algorithm_says_and_the_fit_finds_its_law(tmp_path):
    """gloo's ring by 4(r − 1), doubling by 2·log2(N): within 5 %, and within the intervals of the fits."""
    rows = found(tmp_path, "delay")
    assert all(row["right"] for row in rows), [(row["kind"], row["form"]) for row in rows]
    later = [row for row in rows if row["covers"] is not None]
    for row in later:
        for ranks in ("2", "4"):
            assert row["growth"][ranks] == pytest.approx(row["expected"][ranks], rel=WITHIN), row
        assert row["grown"] == pytest.approx(row["planted"], rel=WITHIN), row
    assert sum(row["covers"] for row in later) >= 0.9 * len(later)


def test_large_all_reduces_move_the_wires_goodput_and_all_to_all_has_two_regimes(tmp_path):
    rows = found(tmp_path, "rate", "--rates", "200,500,1000")
    for row in rows:
        if row["collective"] == "all_reduce" and row["bytes"] >= LARGE:
            assert row["share"] == pytest.approx(1.0, abs=RATE_WITHIN), row
        if row["collective"] == "all_to_all" and row["hosts"] == 2 and row["bytes"] == 16 << 20:
            assert 0.45 < row["share"] < 0.55, row  # gloo sends and receives large messages in turn
        if row["collective"] == "all_to_all" and row["hosts"] == 2 and row["bytes"] == 65536:
            assert row["share"] > 0.8, row
