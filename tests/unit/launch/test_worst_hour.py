"""What must not break a command: streams that fail, names of any length, files of others, two processes at once."""

from __future__ import annotations

import json
import os
import sys

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.documents import json_of, read_text, toml_of
from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.measure.plan import GroupMesh, candidate_cells, shuffled
from inferometer.emulator.names import visible
from inferometer.launch.cli import main
from inferometer.launch.ranks.environment import with_program
from inferometer.launch.runs.alone import alone_with
from inferometer.launch.runs.measure import check_asked_for
from inferometer.parallel.placement import Placement
from tests.places import ROOT

PREDICT = ("predict", "llama-3-8b", "--accelerator", "h100-sxm")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "{}", "--accelerator", "h100-sxm"],
        ["predict", "llama-3-8b", "--accelerator", "{}"],
        ["predict", "llama-3-8b", "--calibration", "{}"],
        ["fit", "{}"],
        ["fit", "x", "-o", "{}"],
        ["fit", "x", "--figure", "{}"],
        ["measure", "-o", "{}"],
        ["measure", "--sweep", "{}.toml"],
        ["calibrate", "-o", "{}"],
        ["emulate", "{}"],
        ["validate", "--matrix", "{}.toml"],
        ["export", "{}", "--to", "paper", "-o", "x"],
        ["frontier", "{}", "--accelerator", "h100-sxm"],
    ],
)
@pytest.mark.parametrize("name", ["x" * 300, "{}/x" * 3, "a\0b"])
def test_a_name_that_no_file_can_have_is_one_line(capsys, monkeypatch, tmp_path, arguments, name):
    monkeypatch.chdir(tmp_path)
    refused(capsys, *(text.replace("{}", name) for text in arguments))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ('{"a": 1e999}', "1e999 is too large"),
        (f'{{"a": {"9" * 400}}}', "a number of 400 digits"),
        ("[" * 100_000, "brackets too deep"),
        ('{"a": "\\ud800"}', "half a surrogate pair"),
        ('{"a": NaN}', "NaN is not a JSON number"),
    ],
)
def test_json_that_no_record_can_hold_is_refused(text, words):
    with pytest.raises(InputError, match="x: not JSON: ") as why:
        json_of(text, "x")
    assert words in str(why.value)


@pytest.mark.parametrize("text", [f"a = {'[' * 100_000}", f"a = {'9' * 400}", "a = 1\na = 2"])
def test_toml_that_no_record_can_hold_is_refused(text):
    with pytest.raises(InputError, match="x: not TOML: "):
        toml_of(text, "x")


@pytest.mark.parametrize("tool", ["gzip", "xz", "bzip2"])
def test_packed_text_is_unpacked(tmp_path, tool):
    import bz2
    import gzip
    import lzma

    path = tmp_path / "x"
    path.write_bytes({"gzip": gzip, "xz": lzma, "bzip2": bz2}[tool].compress("µ = 1".encode()))
    assert read_text(path) == "µ = 1"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError, match="cannot be read"):
        read_text(path)


@pytest.mark.parametrize("value", ['"0.4"', "true"])
def test_text_and_truth_are_no_numbers(tmp_path, value):
    text = (ROOT / "configs/accelerators/h100-sxm.toml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("memory_bytes "))
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(line, f"memory_bytes = {value}"))
    from inferometer.emulator.economics.pricing.accelerators import load_accelerator

    with pytest.raises(InputError, match="memory_bytes"):
        load_accelerator(path)


def test_an_edited_calibration_is_refused(tmp_path):
    document = json.loads((ROOT / "configs/calibrations/paper-2025.json").read_text())
    parameters = next(iter(document["network_laws"][0]["params"].values()))
    parameters["value"] *= 2
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"id = .*a value was changed.*set id to ([0-9a-f]{64})") as why:
        load_calibration(path)
    path.write_text(json.dumps(document | {"id": str(why.value).split()[-1]}))
    assert load_calibration(path).network_laws


def test_two_processes_cannot_measure_into_one_file(tmp_path):
    path = tmp_path / "x.samples.jsonl"
    with alone_with(path):
        with pytest.raises(InputError, match=f"in use by process {os.getpid()} since "), alone_with(path):
            pass
        (tmp_path / "link").symlink_to(path)
        with pytest.raises(InputError, match="in use"), alone_with(tmp_path / "link"):
            pass
    with alone_with(path):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["link"]


def test_control_characters_are_shown():
    assert visible("a\x1b[31mred\x9b\r\n\tb") == "a\\x1b[31mred\\x9b\\x0d\n\tb"


def test_escapes_of_a_file_do_not_reach_the_terminal(capsys, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model_type": "\x1b[31mred"}))
    assert "\x1b" not in refused(capsys, "predict", str(path), "--accelerator", "h100-sxm")


def test_a_command_without_ranks_runs_once_under_a_launcher(capsys, monkeypatch):
    for rank, said in (("1", False), ("0", True)):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", "2")
        assert main(PREDICT) == 0
        assert bool(capsys.readouterr().out) is said


def test_ranks_find_the_program_where_the_shell_has_led_to_it(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path[1:]])
    assert with_program({}) == {}
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path[1:]])
    assert with_program({}) == {"PYTHONPATH": str(ROOT)}
    assert with_program({"PYTHONPATH": "/x"}) == {"PYTHONPATH": f"/x:{ROOT}"}


def test_sizes_are_counted_before_they_are_listed(capsys):
    assert "1099511627713 sizes, more than" in refused(capsys, "measure", "-i", "1", "-e", "1T")


@pytest.mark.parametrize("command", ["calibrate", "fit x"])
def test_a_calibration_is_not_called_as_samples_are(capsys, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    assert "-o x.samples.jsonl" in refused(capsys, *command.split(), "-o", "x.samples.jsonl")


@pytest.mark.parametrize(("ranks", "held"), [((2, 4), None), ((2,), "only cells of 2 ranks"), ((), "no cell")])
def test_a_measurement_without_the_ranks_asked_for_has_failed(cell, method, write_samples, ranks, held):
    path = write_samples(*(cell(cell=f"all_reduce/float32/64/{count}x1/alone/isolated") for count in ranks))
    if held is None:
        check_asked_for(path, method(world_size=4))
    else:
        with pytest.raises(RunFailed, match=f"holds {held}, none of the 4 .* --budget"):
            check_asked_for(path, method(world_size=4))


def test_the_ranks_asked_for_are_measured_first(method):
    meshes = [GroupMesh(mesh, 1) for mesh in Placement((0, 0, 0, 0), True).group_meshes()]
    cells = candidate_cells(method(), meshes)
    order = [cell.ranks for cell in shuffled(cells, 0, 0, by_tier=True)]
    assert len(set(order)) > 1 and order[: order.count(4)] == [4] * order.count(4)
