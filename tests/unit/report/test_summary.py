"""A calibration on one screen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from inferometer.emulator.report.columns import WIDTH
from inferometer.emulator.report.main_laws import main_laws, paper_time_us
from inferometer.emulator.report.summary import summary_lines

SIZED = ["all_gather", "all_reduce", "all_to_all", "broadcast"]


@pytest.fixture(scope="module")
def lines(small_calibration):
    return summary_lines(small_calibration)


def test_every_collective_has_one_line_with_its_constants(small_calibration, lines):
    for name in (*SIZED, "barrier"):
        found = [line for line in lines if line.startswith(f"{name}  ")]
        assert len(found) == 1, name
        (model,) = [m for m in main_laws(small_calibration) if m.target.collective == name]
        assert " 2–4 " in found[0]
        for parameter in (model.params["a"], model.params["b"]):
            if parameter.value is not None:
                assert f" {parameter.value:.3g} " in found[0]
            if parameter.ci95:
                assert f"[{parameter.ci95[0]:.3g}, {parameter.ci95[1]:.3g}]" in found[0]


def test_the_planted_constants_are_read_off_the_screen(lines):
    """Truth: a = 100 µs, b = 30 µs per rank, B = 2 GB/s. All must stand there within 15 %."""
    (line,) = [line for line in lines if line.startswith("all_reduce  ")]
    a, b, bandwidth = (float(text) for text in re.findall(r"([\d.e+]+) \[", line)[:3])
    assert (a, b, bandwidth) == pytest.approx((100, 30, 2), rel=0.15)


def test_the_summary_names_the_machine_and_the_dispatch_floor(lines):
    head = " ".join(lines[:2])
    for words in ("Imaginary 9000", "4 usable cores", "4 ranks on 1 node", "3 launches", "synthetic", "scheduler batch"):
        assert words in head
    (floor,) = [line for line in lines if line.startswith("Dispatch floor")]
    assert re.search(r"µs on 2 ranks, .* µs on 4 ranks", floor)


def test_the_paper_stands_beside(lines):
    """6.8, 1.2 and 10 µs are the constants of t_reduce."""
    (paper,) = [line for line in lines if line.startswith("paper: t_reduce")]
    assert [float(field) for field in paper.split()[2:5]] == [6.8, 1.2, 225]  # one node: no column for c
    (compared,) = [line for line in lines if "by the paper (ratio" in line]
    assert re.match(r"all_reduce of \d+K?, 4 ranks, 1 node: ", compared)
    here, paper, ratio = (
        float(x) for x in re.search(r": (\S+) µs measured, (\S+) µs by the paper \(ratio (\S+)\)", compared).groups()
    )
    assert ratio == pytest.approx(here / paper, rel=0.02)
    assert here == pytest.approx(100 + 30 * 3, rel=0.15)
    assert paper == pytest.approx(6.8 + 1.2 * 3, rel=0.01)


def test_what_is_not_known_is_said_with_the_reason(small_calibration, lines):
    unknown = [line for line in lines if line.startswith("Not determined: c: ")]
    assert len(unknown) == 1  # one node: no collective says anything of nodes
    assert small_calibration.network_laws[0].params["c"].reason in unknown[0]
    assert "c not determined" in "\n".join(lines)
    assert any(line.startswith("Not measured: in step: ") for line in lines)


def test_the_screen_counts_what_the_verbose_summary_lists(small_calibration, lines):
    assert "Not shown: 1 further network laws, 2 cells dropped by the time budget; --verbose lists them." in lines
    verbose = summary_lines(small_calibration, verbose=True)
    at = verbose.index("Network, pipelined, one group, float32:")
    assert verbose[at + 2].startswith("all_reduce")
    assert [line.strip() for line in verbose if line.startswith("  b")] == ["broadcast/x", "barrier/y"]
    assert not any(line.startswith("Not shown") for line in verbose)


def test_the_summary_is_one_screen(small_calibration, two_modes, lines):
    for shown in (lines, summary_lines(two_modes)):
        assert len(shown) <= 45
        assert max(map(len, shown)) <= WIDTH


def test_the_verdict_stands_last_with_its_reasons(small_calibration, lines):
    at = lines.index(f"Verdict: {small_calibration.quality.verdict.replace('_', ' ')}")
    reasons = " ".join(line.strip() for line in lines[at + 1 :])
    assert reasons == " ".join(f"- {reason}" for reason in small_calibration.quality.reasons)


def test_lines_hold_no_python_words(lines):
    for line in lines:
        assert not re.search(r"\bNone\b|\bnan\b|\{", line), line


def test_the_papers_time_by_hand():
    """t_reduce: 6.8 + 1.2 (r/N − 1) + 10 log2 N µs where no bytes move."""
    found = paper_time_us("all_reduce", 0, [2, 8, 8], [1, 1, 4])
    np.testing.assert_allclose(found, [6.8 + 1.2, 6.8 + 1.2 * 7, 6.8 + 1.2 + 20], rtol=1e-9)


def test_laws_that_differ_in_the_launch_mode_are_named_by_it(two_modes):
    text = "\n".join(summary_lines(two_modes))
    for mode in ("eager", "graph"):
        assert re.search(rf"^all_reduce +gloo {mode} ", text, re.MULTILINE)
        assert f"all_reduce (gloo {mode}) of " in text


def with_targets(calibration, **fields):
    """The same calibration with fields of every key replaced."""

    def changed(record):
        return record.model_copy(update={"target": record.target.model_copy(update=fields)})

    parts = ("network_laws", "cells", "launch_floor")
    update = {part: [changed(record) for record in getattr(calibration, part)] for part in parts}
    return calibration.model_copy(update=update)


def test_what_is_null_is_left_out(small_calibration):
    for fields in ({"scheduler": None}, dict.fromkeys(("implementation", "scheduler", "backend", "timing", "dtype"))):
        lines = summary_lines(with_targets(small_calibration, **fields))
        assert not [line for line in lines if "None" in line]


def test_the_summary_says_what_intervals_are_over(small_calibration, lines):
    assert "[…, …]: 95 % interval over launches" in lines

    def over_cells(model):
        params = {name: p.model_copy(update={"ci95_over": p.ci95 and "cells"}) for name, p in model.params.items()}
        return model.model_copy(update={"params": params})

    imported = small_calibration.model_copy(update={"network_laws": [over_cells(m) for m in small_calibration.network_laws]})
    assert "[…, …]: 95 % interval over cells of the fit, which say nothing of another launch" in summary_lines(imported)


@pytest.mark.parametrize("order", [["int8", "bfloat16", "float64"], ["float64", "int8", "bfloat16"]])
def test_of_equally_many_dtypes_16_bit_floats_are_shown_and_named(small_calibration, order):
    (one,) = [m for m in main_laws(small_calibration) if m.target.collective == "all_reduce"]
    several = [one.model_copy(update={"target": one.target.model_copy(update={"dtype": dtype})}) for dtype in order]
    made = small_calibration.model_copy(update={"network_laws": several})
    assert [m.target.dtype for m in main_laws(made)] == ["bfloat16"]
    assert "dtype shown: bfloat16" in summary_lines(made)


def test_a_key_that_could_not_be_fitted_is_named(small_calibration):
    from inferometer.emulator.calibrate.schema.records import NotFitted

    missing = NotFitted(target=small_calibration.network_laws[0].target, reason="too few sizes", n_excluded={})
    made = small_calibration.model_copy(update={"not_fitted": [missing]})
    assert f"Not fitted: {missing.target.collective}: too few sizes" in summary_lines(made, verbose=True)
    assert any("1 keys not fitted" in line for line in summary_lines(made))


def test_the_device_named_is_the_one_that_ranks_used(small_calibration):
    """Ranks on the processor of a machine with a GPU say nothing of the GPU."""
    hardware = {**(small_calibration.provenance.hardware or {}), "gpus": ["NVIDIA H200"], "cpu_model": "A CPU"}
    place = small_calibration.provenance.model_copy(update={"hardware": hardware})
    cells = [
        [
            cell.model_copy(update={"target": cell.target.model_copy(update={"launch_mode": mode})})
            for cell in small_calibration.cells
        ]
        for mode in ("host", "stream")
    ]
    on_host, on_gpu = (small_calibration.model_copy(update={"provenance": place, "cells": some}) for some in cells)
    assert summary_lines(on_host)[0].startswith("Calibration of A CPU")
    assert summary_lines(on_gpu)[0].startswith("Calibration of 1 × NVIDIA H200")
