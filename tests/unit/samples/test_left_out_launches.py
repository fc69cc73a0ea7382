"""Launches of several files keep their numbers when some are left out, in cells and in probes alike."""

from __future__ import annotations

from inferometer.emulator.samples.probe_table import KEY, ProbeRows
from inferometer.emulator.samples.samples import CellRows

FILES = {"a.jsonl": 3, "b.jsonl": 2}
"""Launches of each."""


def test_a_last_launch_left_out_shifts_neither_table():
    cells, probes = CellRows(), ProbeRows()
    for path, launches in FILES.items():
        for launch in range(launches):
            cell = {"record": "cell", "launch": launch, "cell": "all_reduce", "timing": "isolated", "us": 1.0}
            cells.add(path, cell, None)
            op = {"kind": "collective", "op": "x", "collective": "all_reduce", "bytes": 4, "ranks": 2, "nodes": 1}
            ops = [op | {"compute_gap_us": 1.0, "ns": None, "us": 1.0}]
            probe = {"record": "compute", "launch": launch, "cell": "step", **dict.fromkeys(KEY), "ops": ops}
            probes.add(path, probe)
    without = frozenset({("a.jsonl", 2)})
    assert cells.table(without)["launch"].to_list() == [0, 1, 3, 4]
    assert probes.collectives(without)["launch"].to_list() == [0, 1, 3, 4]
