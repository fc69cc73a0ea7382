"""Where cores may be kept awake, told from what the machine says of itself."""

from __future__ import annotations

import os

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import awake
from inferometer.launch.runs.rank_settings import scheduler_class
from inferometer.parallel.placement import HostReport


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Of two cores with a thread each, without a quota. Sets what a test wants otherwise."""

    def is_like(siblings=("0", "1"), limit=None):
        for core, text in enumerate(siblings):
            (tmp_path / f"{core}").write_text(f"{text}\n")
        monkeypatch.setattr(awake, "SIBLINGS", str(tmp_path / "{}"))
        monkeypatch.setattr(awake, "affinity", lambda: list(range(max(2, len(siblings)))))
        monkeypatch.setattr(awake, "cgroup_cpu_limit", lambda: limit)

    return is_like


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="an idle class is Linux's")
@pytest.mark.parametrize(
    ("says", "reason"),
    [
        ({}, None),
        ({"siblings": ()}, None),
        ({"limit": 1.5}, "a cgroup limits this to 1.5 CPUs"),
        ({"siblings": ("0,2", "1,3")}, "cores 0,2 are threads of one"),
        ({"siblings": ("0-1", "0-1")}, "cores 0-1 are threads of one"),
    ],
)
def test_it_is_refused_where_it_would_take_from_the_ranks(machine, says, reason):
    machine(**says)
    found = awake.reason_against()
    assert found is None if reason is None else found.startswith(reason)


def test_asked_for_where_it_cannot_be_the_reason_is_named(machine, monkeypatch):
    machine(limit=1.5)
    monkeypatch.setattr("inferometer.emulator.measure.scheduler.permitted", lambda name: True)
    with pytest.raises(InputError, match=r"--scheduler rr-awake: .*1\.5 CPUs"):
        scheduler_class("rr-awake", "gloo")
    assert scheduler_class("rr", "gloo") == ("rr", "as asked")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="binding is Linux's")
@pytest.mark.parametrize(
    ("cores", "ranks", "bound"),
    [
        ((0, 1), 2, [{0}, {1}]),
        ((4, 6), 4, [{4}, {6}, {4}, {6}]),
        ((0, 1, 2, 3), 2, [{0, 1}, {2, 3}]),
        ((0, 1, 2), 2, [{0}, {1}]),
    ],
)
def test_ranks_get_equal_shares_of_the_cores(monkeypatch, cores, ranks, bound):
    found = []
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, of: found.append(of))
    elsewhere = [HostReport("b", "other boot", "net", 0, (0,))]
    hosts = elsewhere + [HostReport("a", "boot", "net", 0, cores)] * ranks
    for rank in range(1, ranks + 1):
        awake.bind(hosts, rank)
    assert found == bound
    awake.bind([*hosts, HostReport("a", "boot", "net", 0, (cores[0],))], 1)  # a launcher's own binding
    assert found == bound
