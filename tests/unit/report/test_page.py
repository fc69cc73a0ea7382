"""The HTML page: what stands in it, from files of known content."""

from __future__ import annotations

import csv
import html
import io
import json
import re

import pytest

from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.page.elements import csv_of, table
from inferometer.emulator.report.page.page import report
from inferometer.emulator.report.page.plot import Axis, Linear, Plot, Series
from inferometer.launch.cli import main
from tests.unit.exporters.known_calibrations import ONE_NODE, cells_of, made_from


@pytest.fixture(scope="module")
def calibration():
    return made_from([cells_of("all_reduce", ONE_NODE), cells_of("all_gather", ONE_NODE)])


@pytest.fixture(scope="module")
def page(calibration):
    return report(calibration, questions=[Question("llama-3-8b", "h100-sxm", Target(tpot_max_s=0.02), gpus_max=8)])


def test_the_page_needs_nothing_from_outside(page):
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)", page)
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert len(page) < 4e6


def test_a_figures_data_are_the_cells(page, calibration):
    text = html.unescape(re.search(r'<pre class="csv" id="all_reduce-time">(.*?)</pre>', page, re.DOTALL)[1])
    rows = list(csv.DictReader(io.StringIO(text)))
    cells = [cell for cell in calibration.cells if cell.target.collective == "all_reduce"]
    assert {(row["series"], float(row["bytes"]), float(row["µs"])) for row in rows} == {
        (f"{cell.ranks} ranks", cell.bytes, cell.us.median) for cell in cells
    }


def test_the_best_deployment_stands_there(page):
    assert "<b>tp" in page and "P(best) %" in page and "The paper" in page
    assert 'class="chooser"' in page


def test_what_comes_from_outside_is_escaped(calibration):
    hostile = calibration.model_copy(update={"created": "2026<script>alert(1)</script>", "id": "a<b>c" + "0" * 20})
    found = report(hostile)
    assert "<script>alert" not in found and "a&lt;b&gt;c" in found
    assert "&lt;i&gt;" in table(["<i>"], [["<i>"]]) and csv_of(["a"], [[None], [float("nan")]]) == 'a\n""\n""\n'


def test_axes_place_values_and_tick_round_numbers():
    axis = Axis.of([1, 1000], 0, 100, 10)
    assert axis.place(10**1.5) == pytest.approx(50) and [f"{tick:g}" for tick in axis.ticks()] == ["1", "10", "100", "1000"]
    near = Axis.of([0.8, 1.3], 0, 100, 10)
    assert 3 <= len(near.ticks()) <= 7 and 1.0 in [round(tick, 9) for tick in near.ticks()]
    assert Linear(4.0, 100, 0).ticks() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_an_empty_figure_is_none():
    assert Plot("x", "x", "x", "y", [Series("a", "points", [], [])]).html() == ""


def test_the_command_writes_one_file(tmp_path, capsys, calibration):
    from inferometer.emulator.calibrate.evaluate.file import write_calibration

    path, out = tmp_path / "c.json", tmp_path / "page.html"
    write_calibration(calibration, path)
    assert main(["report", str(path), "-o", str(out)]) == 0
    assert out.read_text().startswith("<!doctype html>") and "page:" in capsys.readouterr().out
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"schema": "inferometer/doctor/1"}))
    for arguments, words in (
        ([str(path), "-o", str(path)], "is read by this command"),
        ([str(path), str(other), "-o", str(out)], "expected samples, calibration"),
        ([str(path), "h100-nccl", "-o", str(out)], "a page is of one calibration"),
        ([str(path), "--accelerator", "h100-sxm", "-o", str(out)], "is of a --model"),
        (["nowhere", "-o", str(out)], "nowhere"),
    ):
        assert main(["report", *arguments]) == 2
        err = capsys.readouterr().err
        assert words in err and err.count("\n") == 1


def test_a_model_that_fits_nowhere_is_said_in_the_page(calibration):
    found = report(calibration, questions=[Question("deepseek-v3", "h100-sxm", gpus_max=2)])
    assert "fits on no layout" in found


def test_a_validation_without_cells_is_refused(tmp_path, calibration):
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"schema": "inferometer/validation/1", "overall": {}}))
    with pytest.raises(InputError, match="cells: missing"):
        report(calibration, path)
