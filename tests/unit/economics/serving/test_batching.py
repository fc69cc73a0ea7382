"""Continuous batching: the event simulation by hand, the closed form against it, limits that need no simulation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Scheduler, Trace, Workload
from inferometer.emulator.economics.serving.batching.first_token import served
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.batching.simulation import simulate
from inferometer.emulator.economics.serving.batching.steady import steady
from inferometer.emulator.economics.serving.batching.trace import read_trace
from inferometer.emulator.errors import InputError


@dataclass
class Line:
    """A step whose time is linear in what is in it."""

    floor: float
    each: float
    token: float

    def step_s(self, decoding, entering):
        return self.floor + self.each * decoding + self.token * entering


COSTS = Line(10e-3, 0.1e-3, 10e-6)
ONE = Workload(Lengths.fixed(1000), Lengths.fixed(11), ClosedLoop(1, 3))


def test_one_user_by_hand():
    """A prompt's step takes 10 + 10 ms, then ten steps of 10.1 ms."""
    found = simulate(ONE, Scheduler(), COSTS, requests=3)
    assert found.ttft_s == pytest.approx(20e-3)
    assert found.tpot_s == pytest.approx(10.1e-3)
    assert found.requests_per_s == pytest.approx(1 / (20e-3 + 10 * 10.1e-3))


@pytest.mark.parametrize("prompts", ["mixed", "separate"])
def test_two_requests_by_hand(prompts):
    """The second request arrives at 35 ms, in the first one's second decode step, which ends at 40.2 ms."""
    work = replace(ONE, output=Lengths.fixed(5), arrivals=Trace((0.0, 0.035)))
    found = simulate(work, Scheduler(prompts), COSTS, requests=2)
    own = 20.1 if prompts == "mixed" else 20.0
    assert found.ttft_s == pytest.approx((20.0 + 40.2 + own - 35.0) / 2 * 1e-3)


def test_a_prompt_beyond_the_budget_takes_several_steps():
    found = simulate(replace(ONE, prompt=Lengths.fixed(2500)), Scheduler(budget=1000), COSTS, requests=3)
    assert found.ttft_s == pytest.approx((3 * 10 + 25) * 1e-3)


def test_nobody_decodes_beyond_the_batch():
    work = Workload(Lengths.fixed(100), Lengths.fixed(50), ClosedLoop(16, 64))
    assert simulate(work, Scheduler(sequences_max=4), COSTS, requests=64).decoding <= 4


@pytest.mark.parametrize("prompts", ["mixed", "separate"])
@pytest.mark.parametrize("users", [1, 4, 32])
@pytest.mark.parametrize("prompt", [300, 3000])
def test_the_closed_form_is_near_the_simulation(prompts, users, prompt):
    work = Workload(Lengths(0.6 * prompt, prompt), Lengths(120, 240), ClosedLoop(users, 20 * users), 1e-3)
    exact = simulate(work, Scheduler(prompts), COSTS, requests=20 * users)
    found = served(work, Scheduler(prompts), COSTS)
    assert found.tpot_s == pytest.approx(exact.tpot_s, rel=0.05)
    assert found.ttft_p50_s == pytest.approx(exact.ttft_p50_s, rel=0.15)


@pytest.mark.parametrize("prompts", ["mixed", "separate"])
def test_poisson_arrivals_are_near_the_simulation(prompts):
    work = Workload(Lengths(500, 1000), Lengths(100, 200), Poisson(4.0))
    exact = simulate(work, Scheduler(prompts), COSTS, requests=4000)
    found = served(work, Scheduler(prompts), COSTS)
    assert found.tpot_s == pytest.approx(exact.tpot_s, rel=0.03)
    assert found.ttft_p90_s == pytest.approx(exact.ttft_p90_s, rel=0.15)


def test_sequences_follow_from_the_rate():
    work = Workload(Lengths.fixed(500), Lengths.fixed(100), Poisson(3.0))
    found = steady(work, Scheduler(), COSTS)
    assert float(found.decoding) == pytest.approx(3.0 * 99 * float(found.tpot_s), rel=1e-3)


def test_a_rate_beyond_the_capacity_is_saturated():
    work = Workload(Lengths.fixed(1000), Lengths.fixed(100), Poisson(150.0))
    assert bool(steady(work, Scheduler(), COSTS).saturated)


def test_users_may_be_an_array():
    work = Workload(Lengths(500, 1000), Lengths(100, 200), ClosedLoop(1, 10))
    users = np.array([1.0, 8.0, 64.0])
    together = np.asarray(steady(work, Scheduler(), COSTS, users).tpot_s)
    alone = [float(np.asarray(steady(work, Scheduler(), COSTS, users[at : at + 1]).tpot_s)[0]) for at in range(3)]
    assert together == pytest.approx(alone, rel=1e-2)
    assert (np.diff(together) > 0).all()


def test_a_trace_has_no_steady_state():
    with pytest.raises(InputError, match="simulate"):
        steady(replace(ONE, arrivals=Trace((0.0,))), Scheduler(), COSTS)


def test_a_trace_has_the_lengths_of_its_requests():
    """The first prompt takes 10 + 20 ms, the second, long after, 10 + 5 ms."""
    trace = Trace((0.0, 10.0), (2000.0, 500.0), (3.0, 5.0))
    found = simulate(replace(ONE, arrivals=trace), Scheduler(), COSTS, requests=2)
    assert found.ttft_s == pytest.approx((30.0 + 15.0) / 2 * 1e-3) and found.tpot_p99_s == pytest.approx(10.1e-3)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["arrival_s,input_tokens", "0,5"], "column 'output_tokens' is missing"),
        (["arrival_s,input_tokens,output_tokens"], "no requests"),
        (["arrival_s,input_tokens,output_tokens", "0,many,5"], "row 2: input_tokens = 'many' is not a number"),
        (["arrival_s,input_tokens,output_tokens", "-1,5,5"], "row 2: arrival_s = -1 must be at least 0"),
    ],
)
def test_a_damaged_trace_is_refused_in_one_line(tmp_path, rows, words):
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match=words) as caught:
        read_trace(path)
    assert "trace.csv" in str(caught.value)


def test_a_trace_is_read_in_order_from_its_first_request(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,input_tokens,output_tokens\n7,10,20\n5,30,40\n6,50,60\n")
    trace = read_trace(path)
    assert trace == Trace((0.0, 1.0, 2.0), (30.0, 50.0, 10.0), (40.0, 60.0, 20.0))
    assert trace.part(2) == Trace((0.0, 2.0), (30.0, 10.0), (40.0, 20.0))


@pytest.mark.parametrize("arrivals", [ClosedLoop(32, 960), Poisson(8.0)])
def test_quantiles_of_tpot_are_near_the_simulation(arrivals):
    work = Workload(Lengths(600, 1000), Lengths(300, 500), arrivals)
    exact = simulate(work, Scheduler(), COSTS, requests=960)
    found = served(work, Scheduler(), COSTS)
    for statistic in ("p50", "p90", "p99"):
        assert found.of("tpot", statistic) == pytest.approx(exact.of("tpot", statistic), rel=0.05)
    assert found.of("tpot", "p50") < found.of("tpot", "p90") < found.of("tpot", "p99")


def test_lengths_must_make_sense():
    with pytest.raises(InputError, match="1 ≤ low ≤ high"):
        Lengths(20, 10)
