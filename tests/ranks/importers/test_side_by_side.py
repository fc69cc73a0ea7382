"""Many files are read by several processes: in their order, with the same records and refusals as by one."""

from __future__ import annotations

import os

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers import side_by_side
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.importers.side_by_side import read_each

HEAD = "#  size count type redop root time algbw busbw #wrong time algbw busbw #wrong\n"
FOOT = "# Out of bounds values : 0 OK\n# Avg bus bandwidth    : {0}\n"


@pytest.fixture
def logs(tmp_path):
    """Logs of 20 broadcasts, each a little slower than the one before."""
    paths = []
    for at in range(20):
        bandwidth = f"{1048576 / (10 + at) / 1e3:.2f}"
        group = f"{10 + at}.00 {bandwidth} {bandwidth} 0"
        paths.append(tmp_path / f"broadcast-{at:02d}.log")
        paths[-1].write_text(f"{HEAD}1048576 262144 float none 0 {group} {group}\n{FOOT.format(bandwidth)}")
    return paths


@pytest.fixture
def three_processes(monkeypatch):
    monkeypatch.setattr(side_by_side, "MANY_FILES", 2)
    monkeypatch.setattr(side_by_side, "usable_cores", lambda: 3)
    monkeypatch.setattr(side_by_side.threading, "active_count", lambda: 1)  # a test runner's own threads


def who_reads(path):
    return os.getpid(), path


@pytest.mark.usefixtures("three_processes")
def test_other_processes_read_in_the_order_of_the_paths(logs):
    read = read_each(who_reads, logs)
    assert [path for _, path in read] == logs
    assert os.getpid() not in {process for process, _ in read}


def test_few_and_small_files_are_read_here(logs):
    assert {process for process, _ in read_each(who_reads, logs)} == {os.getpid()}


def test_large_files_are_read_side_by_side_too(logs, monkeypatch, three_processes):
    monkeypatch.setattr(side_by_side, "MANY_FILES", 1000)
    monkeypatch.setattr(side_by_side, "LARGE_BYTES", 1000)
    assert os.getpid() not in {process for process, _ in read_each(who_reads, logs)}


def test_same_records(logs, three_processes, monkeypatch):
    several = import_files("nccl-tests", logs)
    monkeypatch.setattr(side_by_side, "MANY_FILES", 1000)
    alone = import_files("nccl-tests", logs)
    assert several.files == alone.files and several.cells == alone.cells
    assert [cell["us"] for cell in several.cells] == [10.0 + at for at in range(20)]
    assert [cell["launch"] for cell in several.cells] == list(range(20))
    assert several.header["provenance"] == alone.header["provenance"]


def test_first_refused_file_is_named(logs, three_processes):
    logs[7].write_text("no table\n")
    logs[13].write_text("none here\n")
    with pytest.raises(InputError, match=r"broadcast-07\.log: no table"):
        import_files("nccl-tests", logs)


def test_same_contents_in_two_processes(logs, three_processes):
    logs[19].write_bytes(logs[0].read_bytes())
    with pytest.raises(InputError, match=r"broadcast-19\.log: has the same contents as .*broadcast-00\.log"):
        import_files("nccl-tests", logs)


def test_beside_threads_it_does_not_fork(logs, three_processes, monkeypatch):
    monkeypatch.setattr(side_by_side.threading, "active_count", lambda: 2)
    assert {process for process, _ in read_each(who_reads, logs)} == {os.getpid()}
