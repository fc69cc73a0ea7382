"""Predicted beside measured, from clock readings made by hand: rows, errors over all, the text, the notebook's table."""

from __future__ import annotations

import json

import pytest

from inferometer import validation_table
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.validation import validation_lines
from inferometer.emulator.validate.comparison import GLUE, compared, missed, overall, rows_of
from inferometer.emulator.validate.forecast import CALIBRATION, TERMS, VARIANTS, Forecast
from inferometer.emulator.validate.settings import Emulation

LINES = [["ffn.down", "matmul", [4, 8, 16], "", 1, False], ["ffn.reduce", "all_reduce", [256], "tp", 2, False]]
CELL = Emulation(model="llama-3-70b", scale=1 / 16, layers=2, tp=2, world_size=2)
UNKNOWN = Forecast(None, dict.fromkeys(TERMS), {}, reason="not measured")


def step(rank, launch, end_us, *, cell=0, stamps_us=None, block=1, lead=False, phase="decode"):
    return {
        "record": "step", "launch": launch, "cell": cell, "rank": rank, "phase": phase, "block": block, "lead": lead,
        "instrumented": stamps_us is not None, "begin_ns": 0, "end_ns": end_us * 1000,
        "stamps_ns": None if stamps_us is None else [at * 1000 for at in stamps_us], "executed": [],
    }  # fmt: skip


def readings(plain_us, cell=0):
    """Of each launch: a lead, an instrumented step, plain ones; rank 1 takes 20 us longer."""
    records = []
    for launch, its in enumerate(plain_us):
        ranks = [{"stage": 0, "groups": {"tp": [0, 1]}, "lines": {"decode": LINES}} for _ in range(2)]
        records.append({"record": "launch", "launch": launch, "one_clock": True, "ranks": []})
        records.append({"record": "cell", "launch": launch, "cell": cell, "ranks": ranks})
        for rank in (0, 1):
            records.append(step(rank, launch, 110, cell=cell, stamps_us=(10, 40 + 20 * rank, 50 + 20 * rank, 100), block=0))
            records.append(step(rank, launch, 9999, cell=cell, lead=True))
            records += [step(rank, launch, us + 20 * rank, cell=cell) for us in its]
    return records


def row(plain_us, total_us, cell=0, place=0, interval_us=None):
    parts = {"matmul": 0.5, "network": 0.3, "glue": 0.2, "attention": 0.0, "stream": 0.0, "waiting": 0.0}
    own = Forecast(
        total_us * 1e-6,
        {name: share * total_us * 1e-6 for name, share in parts.items()},
        {"ffn.down": 0.5 * total_us * 1e-6, "ffn.reduce": 0.3 * total_us * 1e-6},
        interval_s=interval_us and (interval_us[0] * 1e-6, interval_us[1] * 1e-6),
    )
    forecasts = dict.fromkeys(VARIANTS, UNKNOWN) | {CALIBRATION: own, "compute only": Forecast(own.terms["matmul"], {}, {})}
    return compared(CELL, place, "decode", rows_of(readings(plain_us, cell), cell, "decode"), forecasts)


def test_a_row_is_the_median_of_launch_medians_of_plain_steps():
    found = row([[80, 90, 500], [100, 110, 90], [120, 120, 120]], 99.0)
    assert found.launch_medians_us == [100, 110, 130]  # means over ranks; leads and instrumented steps are not counted
    assert (found.measured_us, found.steps) == (110, 9)
    assert found.rel_error == pytest.approx(99 / 110 - 1)
    low, high = found.rel_error_ci95
    assert low < found.rel_error < high
    assert found.predicted_us["compute only"] == pytest.approx(49.5) and found.predicted_us["pure roofline"] is None
    assert found.reasons["pure roofline"] == "not measured" and "calibration" not in found.reasons


def test_terms_stand_beside_each_other():
    found = row([[80]] * 3, 100.0)
    # rank 0: matmul 10 to 40, reduce 50 to 100; rank 1: 10 to 60, 70 to 100; both end at 110
    measured = {name: beside.measured_us for name, beside in found.terms.items()}
    assert measured == {"matmul": 40, "attention": 0, "stream": 0, "network": 30, "waiting": 10, "glue": 30}
    assert {name: beside.predicted_us for name, beside in found.terms.items()} == pytest.approx(
        {"matmul": 50, "attention": 0, "stream": 0, "network": 30, "waiting": 0, "glue": 20}
    )
    operations = {name: (its.measured_us, its.predicted_us) for name, its in found.operations.items()}
    assert operations["ffn.reduce"] == (40, pytest.approx(30)) and operations[GLUE] == (30, pytest.approx(20))
    worst = missed([found])
    # 40 us are predicted as 50, 40 as 30, 30 as 20
    tenth = 10 / 110
    assert {its["operation"]: its["missed"] for its in worst} == pytest.approx(
        {"ffn.down": tenth, "ffn.reduce": tenth, GLUE: tenth}
    )
    assert sum(its["difference"] for its in worst) == pytest.approx((50 + 30 + 20 - 110) / 110)


def document(rows):
    from dataclasses import asdict

    shape = {"shape": "x", "predicted_us": None, "reason": "a layout that does not divide"}
    both = {"model": "m", "layout": "tp2", "batch": 1, "context": 9, "scaled": shape, "full": shape}
    return json.loads(
        json.dumps(
            {
                "schema": "inferometer/validation/1",
                "calibration": {"id": "c" * 40, "path": "cal.json", "quality": "ok"},
                "matrix": {"name": "mine", "path": "mine.toml"},
                "method": {"backend": "gloo", "scheduler": "rr", "threads": 1, "launches": 3},
                "left_out": [{"cell": 2, "reason": "4 ranks, but there are 2 cores"}],
                "overall": overall(rows),
                "missed": missed(rows),
                "extrapolation": [both],
                "notes": ["send_recv: the in-step overhead of all_reduce"],
                "cells": [asdict(its) for its in rows],
            }
        )
    )


def test_overall_the_errors_and_what_they_are_held_against():
    rows = [row([[80], [90], [110]], 110 * 1.1), row([[80], [90], [110]], 110 * 0.6, cell=1, place=1)]
    found = overall(rows)
    assert rows[0].repeat_errors == pytest.approx([abs(90 / 110 - 1), abs(100 / 105 - 1), abs(120 / 95 - 1)])
    assert found["repeat_launch_error"] == pytest.approx(abs(90 / 110 - 1))
    errors = [abs(110 * 1.1 / 100 - 1), abs(110 * 0.6 / 100 - 1)]
    assert found["median_abs_rel_error"] == pytest.approx(sum(errors) / 2)
    assert found["p90_abs_rel_error"] == pytest.approx(errors[0] + 0.9 * (errors[1] - errors[0]))
    assert found["ratio_to_repeat"] == pytest.approx(sum(errors) / 2 / abs(90 / 110 - 1))
    assert [bound["held"] for bound in found["bounds"]] == [False, False, False]
    assert found["variants"]["pure roofline"]["not_predicted"] == "not measured"
    assert found["variants"]["pure roofline"]["rows"] == 0 and found["variants"]["compute only"]["rows"] == 2


def test_the_text_says_what_is_missed_what_is_held_and_what_is_not_known():
    text = "\n".join(validation_lines(document([row([[99], [100], [101]], 121.0)] * 2)))
    assert "scheduler rr, 1 thread a rank, 3 launches" in text and "cal.json" in text
    assert "llama-3-70b · 0.0625, 2 layers, tp2, batch 1, context 512" in text
    assert "+10.0%" in text and "2  left out: 4 ranks, but there are 2 cores" in text
    assert "2 rows not predicted" in text and "note: send_recv: the in-step overhead of all_reduce" in text
    lines = text.splitlines()
    assert lines[-3] == "Acceptance bound: median error ≤ 1.25 × run-to-run difference. This run: 7.37, missed."
    assert lines[-2] == "Acceptance bound: median error ≤ 15%. This run: 10.0%, held."
    assert "not predicted: a layout that does not divide" in text
    assert max(map(len, lines)) <= 100
    same = "\n".join(validation_lines(document([row([[100]] * 3, 121.0)])))
    assert "difference. This run: –, not known." in same  # launches that do not differ at all


def test_the_table_has_a_row_for_each_cell_and_phase(tmp_path):
    rows = [row([[80], [90], [110]], 121.0, interval_us=(100, 140)), row([[80]], 66.0, cell=1, place=1)]
    path = tmp_path / "v.json"
    path.write_text(json.dumps(document(rows)))
    table = validation_table(path)
    assert list(table["tp"]) == [2, 2] and list(table["phase"]) == ["decode", "decode"]
    assert table["rel_error"].to_list() == pytest.approx([0.21, 66 / 90 - 1])
    assert table["calibration_us"].to_list() == pytest.approx([121, 66]) and table["pure_roofline_us"].isna().all()
    assert table["rel_error_low"].isna().to_list() == [False, True]  # one launch has no interval
    assert table["matmul_measured_us"].to_list() == [40, 40]
    assert validation_table(document(rows)).equals(table)
    path.write_text("{}")
    with pytest.raises(InputError, match="schema: found None"):
        validation_table(path)
