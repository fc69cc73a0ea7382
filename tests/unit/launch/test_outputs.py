"""What a command writes is never what it reads, nor another of its outputs, nor a device."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferometer.emulator.errors import InputError
from inferometer.launch.cli import main
from inferometer.launch.runs.outputs import keep_apart, output_path, write_text

TABLE = "collective,ranks,nodes,bytes,us\n" + "".join(f"all_reduce,4,1,{2**k},{k + 1}\n" for k in range(8, 12))
PREDICT = ["predict", "llama-3-8b", "--accelerator", "h100-sxm", "--tp", "4"]
FRONTIER = ["frontier", "llama-3-8b", "--accelerator", "h100-sxm", "--gpus-max", "4"]

CLASHES = {
    "the table": ["import", "csv", "good.csv", "-J", "good.csv"],
    "the samples and the report": ["import", "csv", "good.csv", "-o", "x", "-J", "./x"],
    "a link to the table": ["import", "csv", "good.csv", "-J", "link"],
    "another name of the table": ["import", "csv", "good.csv", "-J", "hard"],
    "the calibration exported": ["export", "h1.json", "--to", "paper", "-o", "x.json", "-J", "h1.json"],
    "the calibration as the export": ["export", "h1.json", "--to", "paper", "-o", "h1.json"],
    "the export and its statement": ["export", "h1.json", "--to", "paper", "-o", "x.json", "-J", "x.json"],
    "what is lost": ["export", "h1.json", "--to", "paper", "-o", "x.json", "-J", "x.json.loss.txt"],
    "the calibration of a prediction": [*PREDICT, "--calibration", "h1.json", "-J", "h1.json"],
    "a model's folder": ["predict", "model", "--accelerator", "h100-sxm", "-J", "model/config.json"],
    "a model with its bits": ["frontier", "model:8", "--accelerator", "h100-sxm", "--csv", "model/config.json"],
    "a table and its JSON": [*FRONTIER, "--csv", "x.png", "--json", "x.png"],
    "a table and its figure": [*FRONTIER, "--csv", "x.png", "--figure", "x.png"],
    "a fit and its JSON": ["fit", "s.txt", "-o", "x.json", "-J", "x.json"],
    "the samples fitted": ["fit", "s.txt", "-o", "s.txt"],
    "a sweep": ["measure", "--sweep", "s.txt", "-J", "s.txt"],
    "measured samples and their summary": ["measure", "-o", "x", "-J", "x"],
    "a calibration's figure": ["calibrate", "-o", "x.json", "-J", "x.png"],
}

NO_FILES = {
    "a device": (["fit", "s.txt", "-o", "/dev/full"], "/dev/full: is not a regular file"),
    "a device for JSON": ([*PREDICT, "-J", "/dev/full"], "/dev/full: is not a regular file"),
    "stdout": (["import", "csv", "good.csv", "-o", "-"], "'-' is not the name of a file"),
    "no name": (["import", "csv", "good.csv", "-o", ""], "'' is not the name of a file"),
    "no name for JSON": ([*PREDICT, "-J", ""], "'' is not the name of a file"),
    "a number": (["doctor", "--json", "-1"], "-1: a file to write may not have a name that begins with -"),
    "a flag's name": (["fit", "s.txt", "-o", "./--seed"], "--seed: a file to write may not have a name that begins with -"),
    "a number for samples": (["measure", "-o", "-2"], "-2: a file to write may not have a name that begins with -"),
    "an escape": (["doctor", "--json", "\x1b[31m"], "'\\x1b[31m' is not the name of a file"),
    "a line end": (["import", "csv", "good.csv", "-o", "a\nb"], "'a\\nb' is not the name of a file"),
    "what is there": (["import", "csv", "good.csv", "-o", "good.csv"], "good.csv: exists"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of inputs, and a function that reads all that is in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    for name, text in (("good.csv", TABLE), ("h1.json", "{}"), ("s.txt", "a line\n"), ("model/config.json", "{}")):
        (tmp_path / name).write_text(text)
    (tmp_path / "link").symlink_to("good.csv")
    os.link("good.csv", "hard")
    return lambda: {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def refused(capsys, args):
    assert main(args) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize("args", CLASHES.values(), ids=CLASHES)
def test_an_output_is_neither_an_input_nor_another_output(args, folder, capsys):
    if args[0] == "export":
        write_text("h1.json", _calibration())
    before = folder()
    assert "by this command" in refused(capsys, args)
    assert folder() == before


@pytest.mark.parametrize(("args", "words"), NO_FILES.values(), ids=NO_FILES)
def test_an_output_is_a_regular_file_with_a_name(args, words, folder, capsys):
    before = folder()
    assert words in refused(capsys, args)
    assert folder() == before and not Path("/dev/full").is_file()


def test_names_of_what_comes_along_are_no_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep_apart(["llama-3-8b", None], ["llama-3-8b", "-", "-", None])


def test_a_full_disk_is_one_line(folder):
    with pytest.raises(InputError, match="/dev/full: cannot be written: No space left on device"):
        write_text("/dev/full", "text")


def test_a_file_may_be_replaced(folder):
    assert output_path("h1.json").name == "h1.json"


FIFOS = {
    "fit": ["fit", "fifo"],
    "export": ["export", "fifo", "--to", "paper", "-o", "x.json"],
    "predict": [*PREDICT, "--calibration", "fifo"],
    "import": ["import", "csv", "fifo"],
    "measure": ["measure", "--sweep", "fifo.toml"],
}


@pytest.mark.parametrize("args", FIFOS.values(), ids=FIFOS)
def test_a_fifo_is_refused_and_never_waited_for(args, folder, capsys):
    os.mkfifo("fifo")
    os.mkfifo("fifo.toml")
    assert "cannot be read: is no regular file" in refused(capsys, args)


@pytest.mark.parametrize("seed", ["-1", "1.5", "x"])
def test_a_seed_is_a_whole_number_from_0(seed, folder, capsys):
    assert f"{seed!r} is not a whole number from 0" in refused(capsys, ["fit", "s.txt", "--seed", seed])


def _calibration():
    from importlib.resources import files

    return files("inferometer.configs.calibrations").joinpath("paper-2025.json").read_text(encoding="utf-8")
