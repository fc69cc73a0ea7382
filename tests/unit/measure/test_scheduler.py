"""Which scheduler class ``auto`` means, for every backend and permission."""

from __future__ import annotations

import os

import pytest

from inferometer.emulator.measure import scheduler


@pytest.mark.parametrize(
    ("backend", "allowed", "against", "busy", "chosen"),
    [
        ("gloo", {"rr", "batch"}, None, 0.9, "rr-awake"),
        ("gloo", {"rr", "batch"}, "a quota", 0.9, "rr"),
        ("gloo", {"batch"}, None, 0.02, "batch"),
        ("gloo", {"batch"}, None, 0.5, "other"),
        ("gloo", {"batch"}, None, None, "other"),
        ("gloo", set(), None, 0.0, "other"),
        ("mpi", {"rr", "batch"}, None, 0.0, "other"),
        ("nccl", {"rr", "batch"}, None, 0.0, "other"),
    ],
)
def test_auto_is_the_least_noisy_class_that_is_permitted_and_wise(monkeypatch, backend, allowed, against, busy, chosen):
    monkeypatch.setattr(scheduler, "reason_against", lambda: against)
    monkeypatch.setattr(scheduler, "permitted", lambda name: name in allowed)
    monkeypatch.setattr(scheduler, "busy_fraction", lambda look_s: busy)
    name, why = scheduler.choose(backend)
    assert name == chosen
    assert why and (chosen != "rr" or against in why)


def test_the_reason_tells_how_busy_the_machine_is(monkeypatch):
    monkeypatch.setattr(scheduler, "permitted", lambda name: name == "batch")
    monkeypatch.setattr(scheduler, "busy_fraction", lambda look_s: 0.5)
    assert "50% busy" in scheduler.choose("gloo")[1]
    monkeypatch.setattr(scheduler, "busy_fraction", lambda look_s: None)
    assert "unknown load" in scheduler.choose("gloo")[1]


class Kernel:
    """Takes the place of the scheduler calls; refuses the policies in ``forbidden``."""

    def __init__(self, monkeypatch, forbidden=()):
        self.now, self.tried = (os.SCHED_OTHER, 0), []
        self.forbidden = forbidden
        monkeypatch.setattr(os, "sched_getscheduler", lambda pid: self.now[0])
        monkeypatch.setattr(os, "sched_getparam", lambda pid: os.sched_param(self.now[1]))
        monkeypatch.setattr(os, "sched_setscheduler", self._set)

    def _set(self, pid, policy, param):
        if policy in self.forbidden:
            raise PermissionError
        self.tried.append(policy)
        self.now = (policy, param.sched_priority)


@pytest.mark.parametrize(
    ("name", "policy"), [("rr", "SCHED_RR"), ("rr-awake", "SCHED_RR"), ("batch", "SCHED_BATCH"), ("other", "SCHED_OTHER")]
)
def test_a_class_is_set_by_its_name(monkeypatch, name, policy):
    kernel = Kernel(monkeypatch)
    scheduler.set_class(name)
    assert kernel.now == (getattr(os, policy), scheduler.RR_PRIORITY if policy == "SCHED_RR" else 0)


def test_an_unknown_class_is_refused_by_name():
    with pytest.raises(ValueError, match="'fifo'"):
        scheduler.set_class("fifo")


def test_permission_is_tried_and_put_back(monkeypatch):
    kernel = Kernel(monkeypatch)
    assert scheduler.permitted("rr")
    assert kernel.tried == [os.SCHED_RR, os.SCHED_OTHER]
    refusing = Kernel(monkeypatch, forbidden=(os.SCHED_RR,))
    assert not scheduler.permitted("rr")
    assert refusing.now == (os.SCHED_OTHER, 0)


def test_without_scheduler_calls_only_the_default_class_is_permitted(monkeypatch):
    monkeypatch.delattr(os, "sched_setscheduler")
    assert scheduler.permitted("other")
    assert not scheduler.permitted("rr")


@pytest.mark.parametrize(
    ("first", "last", "busy"),
    [((100, 50), (200, 125), 0.25), ((100, 50), (200, 150), 0.0), ((100, 50), (100, 50), None), (None, (200, 1), None)],
)
def test_busy_is_what_was_not_idle(monkeypatch, first, last, busy):
    looks = iter([pair and {"total": pair[0], "idle": pair[1], "steal": 0} for pair in (first, last)])
    monkeypatch.setattr(scheduler, "cpu_times", lambda: next(looks))
    assert scheduler.busy_fraction(0) == busy
