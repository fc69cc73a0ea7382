"""Who is to blame when a launch fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch.distributed as dist

from inferometer.launch.ranks import failure
from inferometer.launch.ranks.failure import (
    NoProgress,
    Terminated,
    explain,
    first_line,
    kind_of,
    process_state,
    report_failure,
)
from inferometer.parallel.control import Control, Disagreement, Fault, MissingRanks, PeerFault
from inferometer.parallel.placement import HostReport, this_host

IN = "in all_reduce of 64 bytes"
LOGS = {rank: Path(f"/logs/rank-{rank}.log") for rank in range(4)}


def fault(rank, kind="lost", doing=IN, message="RuntimeError: gone"):
    return Fault(rank, kind, message, doing)


def faults(*items):
    return {item.rank: item for item in items}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("timeout"), "raised"),
        (ZeroDivisionError(), "raised"),
        (Disagreement("rank 1 disagrees"), "raised"),
        (RuntimeError("shape mismatch"), "raised"),
        (RuntimeError("[gloo] Connection closed by peer [127.0.0.1]:3"), "lost"),
        (RuntimeError("Timed out waiting 5000ms for recv"), "lost"),
        (RuntimeError("Broken pipe"), "lost"),
        (MissingRanks([1], "x", 1), "lost"),
        (PeerFault("x"), "lost"),
        (Terminated("x"), "terminated"),
        (NoProgress("x"), "lost"),
        (dist.DistNetworkError("x"), "lost"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_whether_an_error_is_ones_own_or_a_sign_of_others(error, kind):
    assert kind_of(error) == kind


def test_a_rank_that_raised_is_blamed_before_a_silent_one():
    text = explain(4, faults(fault(0), fault(2, "raised", message="ValueError: odd")), {1: "gone", 3: "stopped"}, LOGS)
    assert text == f"rank 2 failed {IN}: ValueError: odd; its log: /logs/rank-2.log"


def test_several_that_raised_are_all_named_the_first_with_its_message():
    text = explain(3, faults(fault(2, "raised", message="b"), fault(1, "raised", message="a"), fault(0)), {}, LOGS)
    assert text.startswith(f"rank 1 failed {IN}: a (and so did rank 2)")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("gone", "died"),
        ("stopped", "is stopped"),
        ("running", "does not answer"),
        ("unknown", "does not answer"),
        (None, "does not answer"),
    ],
)
def test_a_silent_rank_is_named_with_what_became_of_it(state, words):
    states = {} if state is None else {1: state}
    text = explain(3, faults(fault(0), fault(2)), states, LOGS)
    assert text == f"rank 1 {words}; the others were {IN}; its log: /logs/rank-1.log"


def test_several_silent_ranks_are_all_named():
    assert explain(4, faults(fault(3)), {0: "gone"}, {}).startswith("rank 0 (and rank 1, 2) died; ")


def test_where_nobody_is_silent_the_first_speaks():
    text = explain(2, faults(fault(1, message="late"), fault(0, message="early")), {}, {})
    assert text == f"the ranks lost each other {IN}: rank 0 says early"


def test_a_rank_that_was_told_to_go_is_no_sign_of_a_silent_one():
    """The launcher ends everybody when one has died: only who is known to be dead or stopped is then to blame."""
    told = faults(fault(0, "terminated"), fault(2, "terminated"))
    assert explain(3, told, {1: "running"}, LOGS).startswith("rank 0, 2 was terminated from outside")
    assert explain(3, told, {1: "gone"}, LOGS) == f"rank 1 died; the others were {IN}; its log: /logs/rank-1.log"


def test_what_the_busy_ranks_did_counts_before_what_the_waiting_ones_did():
    lost = [fault(rank, doing=f"waiting for {IN}") for rank in (0, 1)] + [fault(2)]
    assert f"; the others were {IN}" in explain(4, faults(*lost), {3: "gone"}, {})


def test_an_errors_first_line():
    assert first_line(ValueError("\none\ntwo")) == "one"
    assert first_line(ValueError()) == "no message"


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def until(state, report):
    """The state of a process, waited for: signals take a moment."""
    deadline = time.monotonic() + 20
    while process_state(report) != state and time.monotonic() < deadline:
        time.sleep(0.01)
    return process_state(report)


def report_of(pid, boot_id=None):
    here = this_host()
    return HostReport(here.hostname, boot_id or here.boot_id, here.network, pid)


def test_the_state_of_a_process_through_its_life(sleeper):
    report = report_of(sleeper.pid)
    assert process_state(report) == "running"
    sleeper.send_signal(signal.SIGSTOP)
    assert until("stopped", report) == "stopped"
    sleeper.kill()
    assert until("gone", report) == "gone"  # a zombie: nobody has asked for its status yet
    sleeper.wait()
    assert process_state(report) == "gone"


def test_a_process_of_another_machine_is_unknown():
    assert process_state(report_of(os.getpid(), boot_id="another")) == "unknown"


@pytest.fixture
def planes():
    store = dist.HashStore()
    return [Control(store, rank, 3, 5.0) for rank in range(3)]


def test_one_rank_alone_shows_the_failure(planes, monkeypatch, tmp_path):
    monkeypatch.setattr(failure, "GRACE_S", 0.0)
    here = [report_of(os.getpid())] * 3
    logs = {rank: tmp_path / "logs" / f"rank-{rank}.log" for rank in range(3)}
    first = report_failure(planes[1], ValueError("odd\nshape"), IN, here, logs)
    second = report_failure(planes[0], PeerFault("another rank failed"), IN, here, logs)
    assert first == f"rank 1 failed {IN}: ValueError: odd; its log: {logs[1]}"
    assert second is None
    assert planes[2].faults()[0].kind == "lost"
    assert "ValueError: odd\nshape" in logs[1].read_text()  # the whole error stands in the rank's log


def test_who_lost_somebody_waits_for_the_others_words(planes, monkeypatch):
    """Rank 2's word is there already, rank 1 is gone: nothing to wait for, whatever the grace."""
    monkeypatch.setattr(failure, "GRACE_S", 60.0)
    monkeypatch.setattr(failure, "process_state", lambda host: "gone" if host.pid == 1 else "running")
    planes[2].post_fault("lost", "RuntimeError: gone", IN)
    began = time.monotonic()
    text = report_failure(planes[0], MissingRanks([1], "x", 5), IN, [report_of(pid) for pid in (0, 1, 2)], {})
    assert text.startswith(f"rank 1 died; the others were {IN}")
    assert time.monotonic() - began < 60 / 4


def test_a_stopped_rank_is_ended(planes, monkeypatch, sleeper):
    monkeypatch.setattr(failure, "GRACE_S", 60.0)
    sleeper.send_signal(signal.SIGSTOP)
    until("stopped", report_of(sleeper.pid))
    planes[2].post_fault("lost", "RuntimeError: gone", IN)
    hosts = [report_of(os.getpid()), report_of(sleeper.pid), report_of(os.getpid())]
    assert report_failure(planes[0], MissingRanks([1], "x", 5), IN, hosts, {}).startswith("rank 1 is stopped; ")
    assert sleeper.wait(timeout=20) == -signal.SIGKILL
