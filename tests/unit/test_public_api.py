"""The Python calls: each gives what the command of its name gives, from the same settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import inferometer
from inferometer.emulator.calibrate.evaluate.file import to_json
from inferometer.emulator.measure import scheduler
from inferometer.emulator.samples.samples import read_records
from inferometer.launch.cli import COMMANDS, main
from inferometer.launch.runs import emulate as emulate_run
from inferometer.launch.runs import measure as measure_run
from inferometer.launch.runs.samples_file import open_samples

TABLE = "collective,ranks,nodes,bytes,us\n" + "".join(
    f"all_reduce,{ranks},1,{2**k},{5 + ranks + 2**k * ranks / 4e5}\n" for ranks in (2, 4, 8) for k in range(8, 22)
)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.setattr(scheduler, "choose", lambda backend: ("other", "test"))
    monkeypatch.chdir(tmp_path)


def answer(capsys, *arguments):
    """The JSON of a command that succeeds."""
    assert main([*arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def samples(tmp_path):
    (tmp_path / "table.csv").write_text(TABLE)
    assert main(["import", "csv", "table.csv", "-o", "x.samples.jsonl"]) == 0
    return tmp_path / "x.samples.jsonl"


def test_there_is_a_call_for_every_command_and_every_name_leads_somewhere():
    calls = {name: f"paper_{answer}" for name, answer in (("paper", "predict"),)} | {
        "import": "import_files",
        "list": "catalogue",
    }
    assert {calls.get(name, name) for name in COMMANDS} <= set(inferometer.__all__)
    for name in inferometer.__all__:
        assert getattr(inferometer, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'calbrate'"):
        _ = inferometer.calbrate


def test_doctor(capsys):
    found = [(one.level, one.subject) for one in inferometer.doctor(ranks=2) if one.subject != "load"]
    said = answer(capsys, "doctor", "-n", "2")["findings"]
    assert found == [(one["level"], one["subject"]) for one in said if one["subject"] != "load"]
    with pytest.raises(inferometer.InputError, match="-n 0 --threads 1: both"):
        inferometer.doctor(ranks=0)


def test_import_files(samples, tmp_path):
    found = inferometer.import_files("csv", ["table.csv"])
    found.write(tmp_path / "y.jsonl")
    mine, theirs = (list(read_records(path)) for path in (tmp_path / "y.jsonl", samples))
    assert mine[1:] == theirs[1:] and len(mine) == 1 + 42


def test_fit_and_export(samples, capsys):
    calibration = inferometer.fit([samples], seed=3)
    assert main(["fit", "x.samples.jsonl", "-o", "c.json", "--seed", "3"]) == 0
    kept = json.loads(Path("c.json").read_text())
    assert {**json.loads(to_json(calibration)), "created": ""} == {**kept, "created": ""}
    made = inferometer.export("c.json", "paper", "mine.json")
    assert main(["export", "c.json", "--to", "paper", "-o", "theirs.json"]) == 0
    assert [path.name for path in made.contents] == ["mine.json", "mine.json.loss.txt"]
    for name in ("{}.json", "{}.json.loss.txt"):
        assert Path(name.format("mine")).read_bytes() == Path(name.format("theirs")).read_bytes()


def test_predict_and_frontier(capsys):
    row = inferometer.predict("llama-3-8b", "h100-sxm", layout=inferometer.Layout(tp=4), batch=8).iloc[0]
    said = answer(capsys, "predict", "llama-3-8b", "--accelerator", "h100-sxm", "--tp", "4", "--batch", "8")
    assert (row["token_latency_s"], row["usd_per_mtok"]) == (said["token_latency_s"], said["usd_per_mtok"])
    table = inferometer.frontier("llama-3-8b", "h100-sxm", search=inferometer.Search(gpus_max=4))
    rows = answer(capsys, "frontier", "llama-3-8b", "--accelerator", "h100-sxm", "--gpus-max", "4")["rows"]
    assert list(table["token_latency_s"]) == [one["token_latency_s"] for one in rows]


def test_reproduce(capsys):
    rows = answer(capsys, "reproduce", "--only", "baseten")["rows"]
    assert inferometer.reproduce(["baseten"])["ours"].tolist() == [row["ours"] for row in rows]


def test_measure_and_calibrate_settle_the_same_method_as_their_flags(monkeypatch):
    taken = []

    def refuse(method, path, mode, identity, out, words, shown):
        taken.append((method, path.name, mode))

    monkeypatch.setattr(measure_run, "take_samples", refuse)
    settings = inferometer.MeasureSettings(
        ranks=2, backend="gloo", collectives=["all_reduce"], max_bytes=4096, factor=2, launches=2, budget_s=None, seed=7
    )
    flags = "-n 2 --backend gloo --collectives all_reduce -e 4K -f 2 --launches 2 --budget none --seed 7".split()
    assert inferometer.measure(settings, "a.jsonl") is None
    assert main(["measure", *flags, "-o", "a.jsonl"]) == 0
    open_samples(Path("b.samples.jsonl"), taken[0][0], "new")
    assert inferometer.calibrate(settings, "b.json", resume=True) is None
    assert main(["calibrate", *flags, "-o", "b.json", "--resume"]) == 0
    assert main(["calibrate", "-o", "b.json", "--resume"]) == 0  # the file holds all of it
    assert inferometer.calibrate(output="b.json", resume=True) is None
    assert taken[0] == taken[1] and taken[2] == taken[3] == taken[4] == taken[5]
    assert taken[0][0] == taken[2][0] and taken[2][1:] == ("b.samples.jsonl", "resume")
    inferometer.measure(inferometer.MeasureSettings(ranks=4, backend="gloo"))
    assert main(["measure", "-n", "4", "--backend", "gloo"]) == 0
    assert taken[6] == taken[7]


def test_emulate_settles_the_same_emulation_as_its_flags(monkeypatch):
    started = []

    def refuse(matrix, path):
        started.append((matrix, path.name))
        raise inferometer.RunFailed("enough")

    monkeypatch.setattr(emulate_run, "emulate_here", refuse)
    settings = inferometer.EmulateSettings(model="llama-3-8b", scale=1 / 16, layers=1, tp=2, batch=4, steps=8, seed=3)
    with pytest.raises(inferometer.RunFailed, match="enough"):
        inferometer.emulate(settings, "e.jsonl")
    flags = "--scale 1/16 --layers 1 --tp 2 --batch 4 --steps 8 --seed 3 -o e.jsonl".split()
    assert main(["emulate", "llama-3-8b", *flags]) == 1
    assert started[0] == started[1]


def test_bad_settings_are_refused_before_any_rank_starts():
    with pytest.raises(inferometer.InputError, match="--collectives all_reduse: unknown"):
        inferometer.measure(inferometer.MeasureSettings(collectives=["all_reduse"]))
    with pytest.raises(
        inferometer.InputError, match="--scheduler fifo: unknown; known are auto, rr-awake, rr, batch, other"
    ):
        inferometer.measure(inferometer.MeasureSettings(scheduler="fifo", backend="gloo"))
    with pytest.raises(inferometer.InputError, match="backend = 'ucc'"):
        inferometer.measure(inferometer.MeasureSettings(backend="ucc"))
    with pytest.raises(inferometer.InputError, match=r"tp·ep·pp·dp = 2·1·1·1 = 2 but 3 ranks asked for"):
        inferometer.emulate(inferometer.EmulateSettings(model="llama-3-8b", tp=2, ranks=3))
    with pytest.raises(inferometer.InputError, match="did you mean default"):
        inferometer.validate(inferometer.ValidateSettings(matrix="defualt"), calibration="paper-2025")
    with pytest.raises(inferometer.InputError, match="the folder no does not exist"):
        inferometer.calibrate(output="no/where.json")
