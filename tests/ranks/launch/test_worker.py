"""What a rank does beside measuring: its events, its signals, its surroundings."""

from __future__ import annotations

import json
import os
import signal

import pytest

from inferometer.emulator.errors import InputError
from inferometer.launch.ranks import worker
from inferometer.launch.ranks.failure import Terminated
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.recorder import cell_event


def test_a_cells_event_has_its_numbers_and_not_its_readings(cell):
    event = cell_event(cell())
    assert event["event"] == "cell"
    row = event["row"]
    assert (row["median"], row["mean"], row["min"], row["n"]) == (4, 5, 2, 3)
    assert row["collective"] == "all_reduce"
    assert not {"start_ns", "stop_ns", "groups_ranks", "participants"} & set(row)
    assert json.loads(json.dumps(event)) == event


def test_an_unmeasured_cells_event_says_why(cell):
    record = {key: value for key, value in cell(unmeasured="cannot").items() if key not in ("start_ns", "stop_ns")}
    row = cell_event(record)["row"]
    assert row["unmeasured"] == "cannot"
    assert "median" not in row


@pytest.fixture
def signals():
    """The handlers of this process, put back afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("rank", "wish"), [(0, True), (1, False)])
def test_ctrl_c_is_rank_0s_wish_alone(signals, rank, wish):
    asked = worker._catch_signals(rank)
    assert asked() is False
    os.kill(os.getpid(), signal.SIGINT)
    assert asked() is wish


def test_the_launchers_word_to_end_is_an_exception(signals):
    worker._catch_signals(0)
    with pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_users_thread_count_is_left_alone(monkeypatch):
    monkeypatch.setenv("TORCH_CPP_LOG_LEVEL", "INFO")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    worker._quiet_libraries(2, "gloo")
    assert (os.environ["OMP_NUM_THREADS"], os.environ["TORCH_CPP_LOG_LEVEL"]) == ("5", "INFO")
    monkeypatch.delenv("OMP_NUM_THREADS")
    worker._quiet_libraries(2, "gloo")
    assert os.environ["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_a_rank_that_nobody_launched_refuses(monkeypatch, tmp_path, method):
    job = Job(method=method(), samples=tmp_path / "x", launch=0, cells=None, deadline=None, logs=tmp_path)
    (tmp_path / "job.json").write_text(job.model_dump_json())
    with pytest.raises(InputError, match="no launcher"):
        worker.main(str(tmp_path / "job.json"))


def test_a_job_survives_its_file_and_names_the_logs(tmp_path, method):
    job = Job(method=method(budget_s=None), samples=tmp_path / "x", launch=3, cells=["a"], deadline=1.5, logs=tmp_path)
    assert Job.model_validate_json(job.model_dump_json()) == job
    assert job.log_of(2) == tmp_path / "rank-2.log"
