"""When a real-time rank rests, and for how long; on which limits of the kernel."""

from __future__ import annotations

import pytest

from inferometer.emulator.measure import rests
from inferometer.emulator.measure.rests import Rests, rt_limits


class Clock:
    """Processor time that passes as told; sleeping passes none."""

    def __init__(self, monkeypatch):
        self.busy_s, self.slept = 0.0, []
        monkeypatch.setattr(rests.time, "process_time", lambda: self.busy_s)
        monkeypatch.setattr(rests.time, "sleep", self.slept.append)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_no_second_is_computed_through(clock):
    """Whatever a piece of work lasts, below the limit: rests take more of any second than the kernel would."""
    for piece_s in (0.001, 0.01, 0.033, 0.1, 0.3, 0.47, 0.49, 0.6, 0.9):
        own = Rests("rr", (0.95, 1.0))
        spans = []  # (begin, end) of each rest
        now = 0.0
        while now < 20:
            now, clock.busy_s = now + piece_s, clock.busy_s + piece_s
            slept = own.rest()
            if slept:
                spans.append((now, now + slept))
            now += slept
        for begin in (at / 50 for at in range(100, 800)):
            rested = sum(max(0.0, min(end, begin + 1) - max(start, begin)) for start, end in spans)
            assert rested > 0.05, (piece_s, begin, rested)


def test_a_rank_that_waits_much_rests_little(clock):
    own = Rests("rr", (0.95, 1.0))
    assert own.rest() == 0 and clock.slept == []
    clock.busy_s += 0.05
    assert own.rest() == 0
    clock.busy_s += 0.06
    assert own.rest() == pytest.approx(2.5 * 0.05 * 0.11)
    assert own.rest() == 0  # counted anew
    clock.busy_s += 1e6
    assert own.rest() == pytest.approx(0.06)


@pytest.mark.parametrize(("scheduler", "limits"), [("other", (0.95, 1.0)), ("batch", (0.95, 1.0)), ("rr", None)])
def test_nobody_rests_who_is_not_stopped(clock, scheduler, limits):
    own = Rests(scheduler, limits)
    clock.busy_s += 10
    assert own.rest() == 0 and clock.slept == []


@pytest.mark.parametrize(
    ("runtime", "period", "limits"),
    [("950000\n", "1000000\n", (0.95, 1.0)), ("-1", "1000000", None), ("1000000", "1000000", None), ("", "1000000", None)],
)
def test_the_kernels_limits(tmp_path, runtime, period, limits):
    (tmp_path / "sched_rt_runtime_us").write_text(runtime)
    (tmp_path / "sched_rt_period_us").write_text(period)
    assert rt_limits(tmp_path) == limits


def test_a_system_without_such_limits(tmp_path):
    assert rt_limits(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("ranks", "threads", "cores", "per_core"),
    [(1, 1, 8, 1.0), (8, 1, 8, 1.0), (4, 1, 1, 4.0), (4, 1, 2, 2.0), (2, 4, 8, 0.25), (2, 4, 4, 0.5), (1, 2, 1, 1.0)],
)
def test_what_ranks_that_share_a_core_had_counts_together(clock, monkeypatch, ranks, threads, cores, per_core):
    monkeypatch.setattr(rests, "rt_limits", lambda: (0.95, 1.0))
    own = Rests.here("rr", ranks, threads, cores)
    clock.busy_s += 0.11 / per_core
    assert own.rest() == pytest.approx(2.5 * 0.05 * 0.11)
