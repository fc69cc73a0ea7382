"""A calibration on one screen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from inferometer.emulator.report.summary import main_models, paper_time_us, summary_lines

SIZED = ["all_gather", "all_reduce", "all_to_all", "broadcast"]


@pytest.fixture(scope="module")
def lines(small_calibration):
    return summary_lines(small_calibration)


def test_every_collective_has_one_line_with_its_constants(small_calibration, lines):
    for name in (*SIZED, "barrier"):
        found = [line for line in lines if line.split()[:2] == [name, "gloo"]]
        assert len(found) == 1, name
        (model,) = [m for m in main_models(small_calibration) if m.target.collective == name]
        assert " 2–4 " in found[0]
        for parameter in (model.params["a"], model.params["b"]):
            if parameter.value is not None:
                assert f" {parameter.value:.3g} " in found[0]
            if parameter.ci95:
                assert f"[{parameter.ci95[0]:.3g}, {parameter.ci95[1]:.3g}]" in found[0]


def test_the_planted_constants_are_read_off_the_screen(lines):
    """Truth: a = 100 µs, b = 30 µs per rank, B = 2 GB/s. All must stand there within 15 %."""
    (line,) = [line for line in lines if line.startswith("all_reduce ")]
    a, b, bandwidth = (float(text) for text in re.findall(r"([\d.e+]+) \[", line)[:3])
    assert (a, b, bandwidth) == pytest.approx((100, 30, 2), rel=0.15)


def test_the_summary_names_the_machine_and_the_dispatch_floor(lines):
    head = " ".join(lines[:2])
    for words in ("Imaginary 9000", "4 usable cores", "4 ranks on 1 node", "3 launches", "synthetic", "scheduler batch"):
        assert words in head
    assert len([line for line in lines if line.startswith("null (dispatch floor)")]) == 2  # groups of 2 and 4


def test_the_paper_stands_beside(lines):
    """6.8, 1.2 and 10 µs are the constants of t_reduce."""
    (paper,) = [line for line in lines if line.startswith("the paper, all_reduce")]
    assert [float(field) for field in paper.split()[4:7]] == [6.8, 1.2, 225]
    assert paper.endswith("c = 10 µs")  # one node: no column for c
    (compared,) = [line for line in lines if "the paper's constants say" in line]
    assert re.match(r"An all_reduce of \d+K? over 4 ranks on 1 node takes ", compared)
    here, paper, times = (
        float(x) for x in re.search(r"takes (\S+) µs .* say (\S+) µs, (\S+) times less", compared).groups()
    )
    assert times == pytest.approx(here / paper, rel=0.02)
    assert here == pytest.approx(100 + 30 * 3, rel=0.15)
    assert paper == pytest.approx(6.8 + 1.2 * 3, rel=0.01)


def test_what_is_not_known_is_said_with_the_reason(small_calibration, lines):
    unknown = [line for line in lines if line.startswith("Not known: c: ")]
    assert len(unknown) == 1  # one node: no collective says anything of nodes
    assert small_calibration.network_laws[0].params["c"].reason in unknown[0]
    assert "c = not known" in "\n".join(lines)


def test_what_is_in_the_file_besides_and_what_was_dropped(lines):
    assert "Also in the file: pipelined, one group, float32: all_reduce" in lines
    assert any("left 2 cells out" in line for line in lines)


def test_the_verdict_stands_last_with_its_reasons(small_calibration, lines):
    at = lines.index(f"Verdict: {small_calibration.quality.verdict}")
    assert [line.removeprefix("  - ") for line in lines[at + 1 :]] == list(small_calibration.quality.reasons)


def test_lines_fit_a_wide_screen_and_hold_no_python_words(lines):
    for line in lines:
        assert not re.search(r"\bNone\b|\bnan\b|\{", line), line


def test_the_papers_time_by_hand():
    """t_reduce: 6.8 + 1.2 (r/N − 1) + 10 log2 N µs where no bytes move."""
    found = paper_time_us("all_reduce", 0, [2, 8, 8], [1, 1, 4])
    np.testing.assert_allclose(found, [6.8 + 1.2, 6.8 + 1.2 * 7, 6.8 + 1.2 + 20], rtol=1e-9)


def test_laws_that_differ_in_the_launch_mode_are_told_apart(two_modes):
    text = "\n".join(summary_lines(two_modes))
    for mode in ("eager", "graph"):
        assert re.search(rf"^all_reduce +gloo {mode} ", text, re.MULTILINE)
        assert f"µs (gloo {mode}); the paper's" in text


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
    assert any(line.endswith("[…, …]: 95 % interval over launches") for line in lines)

    def over_cells(model):
        params = {name: p.model_copy(update={"ci95_over": p.ci95 and "cells"}) for name, p in model.params.items()}
        return model.model_copy(update={"params": params})

    imported = small_calibration.model_copy(update={"network_laws": [over_cells(m) for m in small_calibration.network_laws]})
    assert any(line.endswith("[…, …]: 95 % interval over cells") for line in summary_lines(imported))


@pytest.mark.parametrize("order", [["int8", "bfloat16", "float64"], ["float64", "int8", "bfloat16"]])
def test_of_equally_many_dtypes_16_bit_floats_are_shown_and_named(small_calibration, order):
    (one,) = [m for m in main_models(small_calibration) if m.target.collective == "all_reduce"]
    several = [one.model_copy(update={"target": one.target.model_copy(update={"dtype": dtype})}) for dtype in order]
    made = small_calibration.model_copy(update={"network_laws": several})
    assert [m.target.dtype for m in main_models(made)] == ["bfloat16"]
    assert "shown: bfloat16" in summary_lines(made)


def test_a_key_that_could_not_be_fitted_is_named(small_calibration):
    from inferometer.emulator.calibrate.schema.records import NotFitted

    missing = NotFitted(target=small_calibration.network_laws[0].target, reason="too few sizes", n_excluded={})
    made = small_calibration.model_copy(update={"not_fitted": [missing]})
    assert f"Not fitted: {missing.target.collective}: too few sizes" in summary_lines(made)
