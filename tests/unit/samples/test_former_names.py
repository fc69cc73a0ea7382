"""Samples of earlier versions: the fields' former names become today's, and nothing else changes."""

from __future__ import annotations

from inferometer.emulator.samples.former_names import as_named_now


def test_a_cell_gets_its_compute_gap_by_todays_name():
    old = {"record": "cell", "cell": "c", "requested_apart_us": 300.0, "apart_us": 312.5, "bytes": 64}
    new = {"record": "cell", "cell": "c", "requested_compute_gap_us": 300.0, "compute_gap_us": 312.5, "bytes": 64}
    assert as_named_now(old) == new
    assert as_named_now(new) is new


def test_a_probe_gets_what_it_did_not_say_yet():
    ops = [
        {"op": "ffn.up", "kind": "matmul", "ns": [[1]]},
        {"op": "ffn.up", "after": "ffn.norm", "kind": "between", "ns": [[2]]},
    ]
    old = {"record": "compute", "cell": "compute/float32/2/m-0.5/prefill/4x32", "at_once": 2, "model": "m", "ops": ops}
    new = as_named_now(old)
    assert (new["concurrent_ranks"], new["model"], new["sharded"], new["tokens"], new["launch_mode"]) == (
        2,
        "m",
        False,
        128,
        "host",
    )
    assert new["ops"] == [ops[0], {"op": "ffn.up", "predecessors": "ffn.norm", "kind": "glue", "ns": [[2]]}]
    assert "at_once" not in new and as_named_now(new) is new
