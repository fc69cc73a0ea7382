"""The processes that keep cores awake: one for each, of the idle class, gone with whoever wanted them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from inferometer.emulator.measure.awake import kept_awake
from inferometer.parallel.placement import this_host

pytestmark = pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="an idle class is Linux's")


def children(of):
    """Process ids by the core that they may run on, of those that compute."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(") ")[2].split()[1])
            pid = int(folder.name)
            if parent == of and os.sched_getscheduler(pid) == os.SCHED_IDLE and len(os.sched_getaffinity(pid)) == 1:
                found[min(os.sched_getaffinity(pid))] = pid
        except (OSError, ValueError):
            continue
    return found


def eventually(true):
    end = time.monotonic() + 20
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    return true()


def test_every_core_of_the_ranks_has_one_until_the_end():
    hosts = [this_host(), this_host()]
    with kept_awake(True, hosts, rank=0):
        assert eventually(lambda: sorted(children(os.getpid())) == list(hosts[0].cores))
        with kept_awake(True, hosts, rank=1):
            assert len(children(os.getpid())) == len(hosts[0].cores)  # the first rank has seen to it
    assert children(os.getpid()) == {}
    with kept_awake(False, hosts, rank=0):
        assert children(os.getpid()) == {}


def test_they_end_with_a_rank_that_is_killed():
    rank = os.fork()
    if rank == 0:
        with kept_awake(True, [this_host()], rank=0):
            time.sleep(60)
    try:
        assert eventually(lambda: len(children(rank)) == len(os.sched_getaffinity(0)))
        pids = children(rank).values()
    finally:
        os.kill(rank, signal.SIGKILL)
        os.waitpid(rank, 0)
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
