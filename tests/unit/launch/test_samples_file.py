"""A samples file made ready: new, appended to, resumed, or refused."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.samples import SamplesFile, read_header, read_records
from inferometer.launch.runs.samples_file import HeldLaunch, keep_aside, open_samples


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.samples.jsonl"


def add_cell(path, name="a"):
    samples = SamplesFile.reopen(path)
    samples.append({"record": "launch", "launch": 0})
    samples.append({"record": "cell", "launch": 0, "cell": name})
    samples.close()


def test_a_new_file_has_a_header_and_holds_nothing(path, method):
    assert open_samples(path, method(seed=5), "new") == ({}, None)
    assert read_header(path)["method"]["seed"] == 5
    assert len(list(read_records(path))) == 1


def test_an_older_file_is_kept_under_the_first_free_name(path, method):
    path.write_text("first")
    assert open_samples(path, method(), "new")[1] == path.with_name("x.samples.jsonl.1")
    assert open_samples(path, method(), "new")[1] == path.with_name("x.samples.jsonl.2")
    assert path.with_name("x.samples.jsonl.1").read_text() == "first"
    assert read_header(path)["schema"]


def test_nothing_is_kept_where_nothing_was_and_a_folder_is_refused(tmp_path):
    assert keep_aside(tmp_path / "nothing") is None
    with pytest.raises(InputError, match="is a directory"):
        keep_aside(tmp_path)


@pytest.mark.parametrize("mode", ["append", "resume"])
def test_a_file_of_the_same_measurement_is_continued(path, method, mode):
    open_samples(path, method(), "new")
    add_cell(path)
    with path.open("a") as file:
        file.write('{"record": "cell", "la')
    held, kept = open_samples(path, method(launches=9, budget_s=None, timeout_s=5), mode)
    assert held == {0: HeldLaunch(["a"], None)}
    assert kept is None
    assert [record["record"] for record in read_records(path)] == ["header", "launch", "cell"]


@pytest.mark.parametrize("mode", ["append", "resume"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "method.seed is 0 in the file and 1 here"),
        ({"dtypes": ["float16"]}, r"method.dtypes is \['float32'\] in the file and \['float16'\] here"),
        ({"world_size": 2}, "method.world_size is 4 in the file and 2 here"),
    ],
)
def test_another_method_is_refused_by_the_field(path, method, mode, change, words):
    open_samples(path, method(), "new")
    before = path.read_text()
    with pytest.raises(InputError, match=f"{path}: cannot {mode}: {words}"):
        open_samples(path, method(**change), mode)
    assert path.read_text() == before


def test_another_environment_is_refused_by_the_variable(path, method, monkeypatch):
    monkeypatch.delenv("NCCL_ALGO", raising=False)
    open_samples(path, method(), "new")
    monkeypatch.setenv("NCCL_ALGO", "Ring")
    with pytest.raises(InputError, match=r"variables\.NCCL_ALGO is None in the file and 'Ring' here"):
        open_samples(path, method(), "resume")


def test_the_header_records_the_threads_that_ranks_get(path, method, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    open_samples(path, method(threads=3), "new")
    assert read_header(path)["environment"]["variables"]["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("mode", ["append", "resume"])
def test_a_file_that_is_not_there_cannot_be_continued(path, method, mode):
    with pytest.raises(InputError, match=f"there is no such file to {mode}"):
        open_samples(path, method(), mode)


def test_a_path_that_cannot_be_written_is_refused(tmp_path, method):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_samples(tmp_path / "file" / "x", method(), "new")
