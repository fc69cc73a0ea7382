"""What `validate` refuses before any rank starts: one line that names both sides, status 2."""

from __future__ import annotations

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration, write_calibration
from inferometer.launch import cli


def as_if_measured(path, launches=3, **settings):
    """The paper's constants, as a calibration that gloo ranks would have given."""
    paper = load_calibration("paper-2025")
    kept = {"backend": "gloo", "scheduler": "other", "threads": 1} | settings
    of = {"backend": kept["backend"], "scheduler": kept["scheduler"]}
    models = [model.model_copy(update={"target": model.target.model_copy(update=of)}) for model in paper.network_laws]
    method = {"settings": [kept], "launches": launches}
    write_calibration(paper.model_copy(update={"network_laws": models, "method": method}), path)
    return path.name


@pytest.mark.parametrize(
    ("settings", "flags", "words"),
    [
        ({"scheduler": "batch"}, "", "cal.json: method.settings.scheduler: measured with scheduler batch, this run has sch"),
        ({"backend": "mpi"}, "", "cal.json: method.settings.backend: measured with backend mpi, this run has backend gloo"),
        ({}, "--threads 2", "cal.json: method.settings.threads: measured with threads 1, this run has threads 2"),
        ({"launches": 1}, "", "cal.json: method.launches: fitted from 1 launches, but 3 needed"),
        ({}, "--launches 2", "--launches 2: how far launches differ needs at least 3"),
        ({}, "--threads 0", "threads = 0: input should be greater than 0"),
        ({}, "-o cal.json", "cal.json: cannot be written: the file is read by this command"),
        ({}, "-J validation.json", "validation.json: cannot be written: the file is written by this command already"),
        ({}, "--calibration paper-2025", "paper-2025: method.settings.backend: measured with backend unknown, this run h"),
        ({}, "--matrix defualt", "did you mean default?"),
    ],
)  # fmt: skip
def test_refused_with_one_line(settings, flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    as_if_measured(tmp_path / "cal.json", **settings)
    assert cli.main(["validate", "--calibration", "cal.json", "--scheduler", "other", *flags.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["cal.json"]


def test_a_cell_beyond_memory_is_refused_with_the_arithmetic(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big.toml").write_text('name = "big"\n[[cell]]\nmodel = "llama-3.1-405b"\n')
    assert cli.main("validate --matrix big.toml --scheduler other".split()) == 2
    err = capsys.readouterr().err
    assert "big.toml: cell.0: llama-3.1-405b: " in err and "GiB are free; use a smaller --scale" in err


def test_validate_starts_its_ranks_itself(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert cli.main(["validate"]) == 2
    assert "leave torchrun out" in capsys.readouterr().err
