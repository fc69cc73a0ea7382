"""Deployments within a target: the cheapest, its margin, its probability; what nobody can meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.choosing.search import choices, probability
from inferometer.emulator.economics.serving.engines.profile import Misfit
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.economics.serving.engines.serve import Engine, serve
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.errors import InputError

WORK = Workload(Lengths(900, 1100), Lengths(400, 600), ClosedLoop(1, 10), 2e-3)


def engines(weights="bf16"):
    shape, precision = stored_as("qwen3-32b", weights, None)
    return [(weights, Engine(load_profile("vllm"), shape, load_accelerator("h100-sxm"), precision))]


def test_every_choice_meets_the_target_and_the_rate():
    found = choices(engines(), WORK, Target(None, 0.02), gpus_max=16, rate_per_s=5.0)
    assert all(row.tpot_s <= 0.02 and row.requests_per_s >= 5.0 and row.gpus <= 16 for row in found)
    assert [row.gpus for row in found] == sorted(row.gpus for row in found)
    assert found[0].margin == pytest.approx(0.02 / found[0].tpot_s - 1)


def test_a_choice_is_what_predict_says_of_it():
    row = next(row for row in choices(engines(), WORK, Target(None, 0.03), gpus_max=8) if row.users > 4)
    work = replace(WORK, arrivals=ClosedLoop(row.users, 10 * row.users))
    assert serve(engines()[0][1], row.layout, work).served.tpot_s == pytest.approx(row.tpot_s, rel=0.02)


def test_targets_nobody_can_meet_say_by_what_factor():
    with pytest.raises(InputError, match=r"TPOT 1 ms: the least is [\d.]+ ms on \d × h100-sxm .*, [\d.]+ times as long"):
        choices(engines(), WORK, Target(None, 1e-3), gpus_max=8)


def test_targets_nobody_can_meet_name_what_takes_longest():
    with pytest.raises(InputError, match=r"reading weights and cache takes [\d.]+ ms of one user's; TTFT 1 ms: .* takes"):
        choices(engines(), WORK, Target(1e-3, 1e-3), gpus_max=8)


def test_a_target_of_a_quantile_leaves_fewer_deployments():
    mean, p90 = (choices(engines(), WORK, Target(0.2, 0.03), gpus_max=4, statistic=of) for of in ("mean", "p90"))
    assert p90 and len(p90) < len(mean)
    with pytest.raises(InputError, match="--pools has means only"):
        choices(engines(), WORK, Target(0.2, 0.03), gpus_max=4, statistic="p90", pools=True)


def test_rates_beyond_the_gpus_say_how_many_are_needed():
    with pytest.raises(InputError, match=r"1000 requests/s within the target need \d+ GPUs, 8 are allowed"):
        choices(engines(), WORK, Target(None, 0.03), gpus_max=8, rate_per_s=1000.0)


def test_pools_of_their_own_are_among_the_choices():
    found = choices(engines(), WORK, Target(1.0, 0.03), gpus_max=8, rate_per_s=2.0, pools=True)
    divided = [row for row in found if row.prompts is not None]
    assert divided and all(
        row.gpus == row.layout.gpus * row.replicas + row.prompts.gpus * row.prompt_replicas for row in divided
    )


def test_the_probability_is_half_at_the_target_and_grows_with_the_margin():
    profile = replace(load_profile("vllm"), misfit={"tpot": Misfit("tp", 100, 0.05, 0.1, -0.2, 0.2)})
    near, far = (probability(profile, Target(None, limit), 0.01, 0.1) for limit in (0.01, 0.012))
    assert near == pytest.approx(0.5) and 0.95 < far < 1
