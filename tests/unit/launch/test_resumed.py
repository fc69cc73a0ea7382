"""Going on with a measurement: its file says how it is made, and what somebody asks for besides must agree with it."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import scheduler
from inferometer.launch.cli import main
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.runs import measure as measure_run
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.launch.runs.resumed import SETTLED, resumed_method
from inferometer.launch.runs.samples_file import open_samples

RESUME = ["measure", "--resume", "-o", "x.jsonl"]


@pytest.fixture
def taken(monkeypatch, tmp_path, method):
    """Methods of the measurements that would have run; x.jsonl is there."""
    found = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scheduler, "choose", lambda backend: ("other", "test"))
    monkeypatch.setattr(measure_run, "take_samples", lambda method, *others: found.append(method))
    open_samples(tmp_path / "x.jsonl", method(world_size=3, seed=7, budget_s=None, warmup=5), "new")
    return found


@pytest.mark.parametrize("mode", ["--resume", "--append"])
def test_all_flags_come_from_the_file(taken, method, mode):
    assert main(["measure", mode, "-o", "x.jsonl"]) == 0
    assert taken == [method(world_size=3, seed=7, budget_s=None, warmup=5)]


def test_what_is_given_besides_is_taken(taken):
    assert main([*RESUME, "--budget", "30", "--launches", "5", "-T", "9", "-w", "6"]) == 0
    (found,) = taken
    assert (found.budget_s, found.launches, found.timeout_s, found.warmup) == (30, 5, 9, 6)
    assert (found.world_size, found.seed) == (3, 7)


def test_what_is_given_besides_must_agree_with_the_file(capsys, monkeypatch, tmp_path, method):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scheduler, "choose", lambda backend: ("other", "test"))
    open_samples(tmp_path / "x.jsonl", method(world_size=3), "new")
    for flags, words in (
        (["-w", "6"], "method.warmup is 3 in the file and 6 here"),
        (["-n", "2"], "method.world_size is 3"),
    ):
        assert main([*RESUME, *flags]) == 2
        assert f"x.jsonl: cannot resume: {words}" in capsys.readouterr().err


def test_every_setting_settles_a_field_of_the_method(method):
    names = set(MeasureSettings.__dataclass_fields__)
    assert names == set(SETTLED)
    assert set(SETTLED.values()) == set(type(method()).model_fields)


def test_a_launcher_settles_how_many_ranks_there_are(taken, tmp_path):
    here = Identity("torchrun", 0, 2, 0)
    found, words = resumed_method(tmp_path / "x.jsonl", "append", MeasureSettings(), (), here)
    assert (found.world_size, found.launches, found.seed) == (2, 1, 7) and "as in" in words
    elsewhere = Identity("torchrun", 1, 2, 0)
    found, _ = resumed_method(tmp_path / "nowhere", "append", MeasureSettings(seed=3), (), elsewhere)
    assert (found.world_size, found.seed) == (2, 3)
    with pytest.raises(InputError, match="there is no such file to append"):
        resumed_method(tmp_path / "nowhere", "append", MeasureSettings(), (), here)


def test_imported_samples_are_not_resumed(taken, capsys, tmp_path):
    (tmp_path / "t.csv").write_text("collective,ranks,nodes,bytes,us\nall_reduce,2,1,1024,5\nall_reduce,2,1,2048,6\n")
    assert main(["import", "csv", "t.csv", "-o", "t.jsonl"]) == 0
    capsys.readouterr()
    assert main(["measure", "--resume", "-o", "t.jsonl"]) == 2
    assert "t.jsonl: cannot resume: its header holds no method of a measurement" in capsys.readouterr().err


def test_a_scheduler_that_this_user_may_not_use_is_named(taken, capsys, monkeypatch, tmp_path, method):
    open_samples(tmp_path / "x.jsonl", method(scheduler="rr"), "new")
    monkeypatch.setattr(scheduler, "permitted", lambda name: False)
    assert main(RESUME) == 2
    assert "--scheduler rr: this user may not use that class" in capsys.readouterr().err
