"""Seeing a launch through, with a small script in place of torchrun and its ranks; and what is left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.lack_of_memory import Kills
from inferometer.launch.ranks import local
from inferometer.launch.ranks.environment import rank_environment
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import Outcome, kill_all, mpiexec, processes_with, run_ranks
from inferometer.launch.ranks.logs import blamed_by_launcher

PREAMBLE = """
import json, os, signal, sys, time
pipe = os.open(os.environ["INFEROMETER_EVENTS"], os.O_WRONLY)
def say(event, **more): os.write(pipe, json.dumps({"event": event, **more}).encode() + b"\\n")
def started(): say("started", pids=[os.getpid()], cells=3)
"""


@pytest.fixture
def job(tmp_path, method):
    return Job(
        method=method(), samples=tmp_path / "x", launch=2, cells=None, deadline=None, logs=tmp_path / "x.logs",
    )  # fmt: skip


@pytest.fixture
def launch(job, monkeypatch):
    """``launch(script)``: run_ranks with the script as the launcher; the outcome and the events."""

    def run(script, listener=None, job=job):
        monkeypatch.setattr(local, "_command", lambda job, file: [sys.executable, "-S", "-c", PREAMBLE + script])
        events = []
        outcome = run_ranks(job, lambda event: (events.append(event), listener and listener(event)))
        return outcome, events

    return run


@pytest.mark.parametrize("reason", ["complete", "budget"])
def test_an_orderly_launch_ends_with_its_reason_and_leaves_no_log(launch, job, reason):
    outcome, events = launch(
        f"started(); say('cell', row=1); say('ended', reason='{reason}', dropped=0, wrong=0); print('chatter')"
    )
    assert outcome == Outcome(reason)
    assert [event["event"] for event in events] == ["started", "cell", "ended"]
    assert not job.logs.exists()


def test_the_first_word_of_a_fault_is_the_outcome(launch, job):
    outcome, _ = launch("started(); say('fault', text='rank 1 died'); say('fault', text='later'); sys.exit(1)")
    assert outcome == Outcome("failed", "rank 1 died")
    assert (job.logs / "launcher.log").exists()


def test_a_launcher_that_fails_without_a_word_is_quoted(launch, job):
    outcome, _ = launch("print('boom', file=sys.stderr); sys.exit(3)")
    assert outcome.reason == "failed"
    assert "status 3" in outcome.text and "(boom)" in outcome.text
    assert str(job.logs) in outcome.text


def test_wrong_data_are_told_from_a_rank_that_crashes_while_leaving(launch):
    wrong, _ = launch("started(); say('ended', reason='complete', wrong=3); sys.exit(1)")
    assert wrong == Outcome("wrong_data")
    crashed, _ = launch("started(); say('ended', reason='complete', wrong=0); sys.exit(1)")
    assert crashed.reason == "failed" and "status 1" in crashed.text


def test_a_process_that_the_kernel_killed_for_lack_of_memory_is_no_signal_from_outside(launch, monkeypatch):
    counts = iter([Kills(2, 5), Kills(3, 6)])
    monkeypatch.setattr(local.lack_of_memory, "kills", lambda: next(counts))
    outcome, _ = launch("started(); print('rank : 0 (local_rank: 0)\\nexitcode : -9'); sys.stdout.flush(); sys.exit(1)")
    assert outcome.reason == "failed" and "rank 0 died (exitcode : -9)" in outcome.text
    assert "out of memory: the kernel has killed a process that went beyond the cgroup's limit" in outcome.text


def test_before_the_ranks_have_met_the_launcher_says_whom_a_signal_has_ended(launch):
    """The others, whom it then ends, say that they were ended; they cannot know who was first."""
    said = "print('rank : 2 (local_rank: 2)\\nexitcode : -9 (pid: 7)'); sys.stdout.flush(); "
    wrong = "say('fault', text='rank 0, 1 was terminated from outside'); sys.exit(1)"
    outcome, _ = launch(said + wrong)
    assert outcome.text.startswith("rank 2 died (exitcode : -9) while the ranks were starting up")
    later, _ = launch("started(); " + said + wrong)
    assert later.text == "rank 0, 1 was terminated from outside"
    own, _ = launch(said.replace("-9", "1") + "say('fault', text='rank 2 failed: ValueError'); sys.exit(1)")
    assert own.text == "rank 2 failed: ValueError"


def test_ranks_that_fall_silent_are_killed_within_the_limit(launch, job, method, monkeypatch):
    monkeypatch.setattr(local, "START_S", 2.0)
    pids = []
    outcome, _ = launch(
        "started(); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)",
        lambda event: pids.extend(event["pids"]),
        job.model_copy(update={"method": method(timeout_s=0.3)}),
    )
    assert outcome.reason == "failed"
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


INTERRUPTIBLE = """
def end(signum, frame):
    say('ended', reason='interrupted', wrong=0); sys.exit(0)
signal.signal(signal.SIGINT, end)
started()
time.sleep(60)
"""


def test_ctrl_c_goes_to_rank_0_which_ends_in_order(launch):
    before = signal.getsignal(signal.SIGINT)

    def press(event):
        if event["event"] == "started":
            os.kill(os.getpid(), signal.SIGINT)

    outcome, events = launch(INTERRUPTIBLE, press)
    assert outcome == Outcome("interrupted")
    assert events[-1] == {"event": "ended", "reason": "interrupted", "wrong": 0}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait(launch):
    def press_twice(event):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    outcome, _ = launch("signal.signal(signal.SIGINT, signal.SIG_IGN); started(); time.sleep(60)", press_twice)
    assert outcome.reason == "interrupted"


def test_ranks_get_the_job_the_pipe_and_their_parent(launch, job, monkeypatch):
    events = []
    names = ("INFEROMETER_PARENT", "OMP_NUM_THREADS", "INFEROMETER_RUN")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launch(
        f"say('seen', values=[os.environ[name] for name in {names!r}]); say('ended', reason='complete', wrong=0)",
        events.append,
    )
    parent, threads, token = events[0]["values"]
    assert (parent, threads) == (str(os.getpid()), "1")
    assert len(token) >= 16


def test_threads_default_to_the_methods_pages_are_huge_and_the_users_word_counts():
    assert rank_environment({"PATH": "x"}, 2) == {"PATH": "x", "OMP_NUM_THREADS": "2", "THP_MEM_ALLOC_ENABLE": "1"}
    said = {"OMP_NUM_THREADS": "7", "THP_MEM_ALLOC_ENABLE": "0"}
    assert rank_environment(said, 2) == said


def test_torch_backends_start_forked(job):
    assert local._command(job, Path("/j.json")) == [sys.executable, "-P", "-m", "inferometer.launch.ranks.forked", "/j.json"]


def test_mpi_starts_through_mpiexec(job, method, monkeypatch):
    monkeypatch.setattr(local, "mpiexec", lambda: "/x/mpiexec")
    command = local._command(job.model_copy(update={"method": method(backend="mpi", world_size=3)}), Path("/j.json"))
    assert command == ["/x/mpiexec", "-n", "3", sys.executable, "-P", "-m", "inferometer.launch.ranks.worker", "/j.json"]


def test_the_mpiexec_beside_this_python_comes_first(monkeypatch):
    here = str(Path(sys.executable).parent)
    monkeypatch.setattr(local.shutil, "which", lambda name, path=None: f"{path}/{name}" if path else f"/bin/{name}")
    assert mpiexec() == f"{here}/mpiexec"
    monkeypatch.setattr(local.shutil, "which", lambda name, path=None: None if path else f"/bin/{name}")
    assert mpiexec() == "/bin/mpiexec"
    monkeypatch.setattr(local.shutil, "which", lambda name, path=None: None)
    with pytest.raises(InputError, match="--backend mpi: no mpiexec found; install"):
        mpiexec()


def test_processes_are_found_by_their_environment():
    child = subprocess.Popen(
        [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(60)"],
        env={"MARK": "one-7"}, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        child.stdout.readline()
        assert list(processes_with("MARK", "one-7")) == [child.pid]
        assert list(processes_with("MARK", "one")) == []
    finally:
        child.kill()
        child.communicate()
    assert list(processes_with("MARK", "one-7")) == []


def test_nothing_is_left_of_a_stopped_launcher_and_a_child_in_a_session_of_its_own():
    token = f"test-{os.getpid()}-{time.monotonic_ns()}"
    script = (
        "import subprocess, time; subprocess.Popen(['sleep', '60'], start_new_session=True);"
        "print(flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen(
        [sys.executable, "-S", "-c", script],
        env={**os.environ, local.RUN_VARIABLE: token}, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    launcher.stdout.readline()
    deadline = time.monotonic() + 20
    while len(list(processes_with(local.RUN_VARIABLE, token))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(list(processes_with(local.RUN_VARIABLE, token))) == 2
    launcher.send_signal(signal.SIGSTOP)
    kill_all(launcher, token)
    assert launcher.returncode == -signal.SIGKILL
    assert list(processes_with(local.RUN_VARIABLE, token)) == []
    launcher.stdout.close()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("=   BAD TERMINATION\n=   PID 41 RUNNING AT host\n=   EXIT CODE: 9\n", "rank 1 died (exit code: 9)"),
        (
            "Root Cause (first observed failure):\n  rank      : 3 (local_rank: 3)\n  exitcode  : -11 (pid: 9)\n",
            "rank 3 died",
        ),
        ("PID 99 RUNNING AT host", None),
        ("nothing of use", None),
        ("", None),
    ],
)
def test_a_launchers_last_words_name_the_rank(said, words):
    """Texts as hydra and torchrun print them; process 41 is rank 1."""
    found = blamed_by_launcher(said, [40, 41, 42])
    assert found is None if words is None else found.startswith(words)
