"""Ranks that were forked for a laboratory are seen through: their statuses, and an end where one or the wire fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferometer.launch.ranks import host_ranks
from inferometer.launch.ranks.host_ranks import see_through, show_failures


def forked(*lives: tuple[float, int]) -> list[int]:
    """Processes that live so many seconds and leave with that status."""
    pids = []
    for seconds, status in lives:
        pid = os.fork()
        if pid == 0:
            time.sleep(seconds)
            os._exit(status)
        pids.append(pid)
    return pids


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_statuses_come_in_the_order_of_the_ranks():
    pids = forked((0.3, 0), (0.0, 0), (0.1, 0))
    assert see_through(pids) == [0, 0, 0] and gone(pids)


def test_one_that_fails_takes_the_others_with_it_after_a_while(monkeypatch):
    monkeypatch.setattr(host_ranks, "PATIENCE_S", 0.5)
    pids = forked((60.0, 0), (0.0, 3), (0.2, 1))
    began = time.monotonic()
    assert see_through(pids) == [-signal.SIGKILL, 3, 1] and gone(pids)
    assert time.monotonic() - began < 10


def test_without_the_wire_no_rank_goes_on(capsys):
    wire = subprocess.Popen([sys.executable, "-c", ""])
    pids = forked((60.0, 0))
    assert see_through(pids, wire) == [-signal.SIGKILL] and gone(pids)
    assert "the process that delays the frames has ended" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statuses", "shown"), [([0, 0, 0, 0], ""), ([0, 0, -9, 0], "host 1 failed (status of rank 2: -9)")]
)
def test_of_hosts_that_failed_the_end_of_their_output_is_shown(tmp_path, capsys, statuses, shown):
    logs = [tmp_path / "host0", tmp_path / "host1"]
    for log in logs:
        log.write_text("\n".join(f"line {number} of {log.name}" for number in range(50)))
    show_failures(statuses, 2, logs)
    said = capsys.readouterr().err
    assert shown in said and ("line 49 of host1" in said) == bool(shown) and "host0" not in said
