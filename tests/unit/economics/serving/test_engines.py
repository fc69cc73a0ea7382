"""Engine profiles: files, versions, and that what is fitted is what is priced."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.engines.executed import as_engine
from inferometer.emulator.economics.serving.engines.launching import launch_command
from inferometer.emulator.economics.serving.engines.prices import engine_network, engine_prices
from inferometer.emulator.economics.serving.engines.profile_file import toml_of, within
from inferometer.emulator.economics.serving.engines.profiles import engine_names, load_profile
from inferometer.emulator.economics.serving.engines.serve import Engine, serve
from inferometer.emulator.economics.serving.fitting.bills import _steps, bills_of
from inferometer.emulator.economics.serving.fitting.fit import fit
from inferometer.emulator.economics.serving.fitting.served_times import served_times
from inferometer.emulator.economics.serving.points.record import Client, Deployed, ServedPoint
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import hub_id
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Collective
from inferometer.emulator.workload.step import Step

VLLM = load_profile("vllm")
LAYOUTS = [Layout(), Layout(tp=4), Layout(tp=2, ep=4), Layout(tp=1, ep=8, attention="data")]


FOUR = Layout(tp=4)


def point(layout=FOUR, model="gpt-oss-120b", users=32.0, tpot_ms=8.0, **deployed):
    client = Client(Lengths.fixed(1024), Lengths.fixed(512), users, arrival="closed", requests=320)
    times = {"tpot_mean": tpot_ms, "ttft_mean": 60.0}
    return ServedPoint(Deployed("vllm", model, "h200", layout, "0.18.0", **deployed), client, times)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda one: one.describe())
def test_what_is_fitted_is_what_is_priced(layout):
    """A fit's sum over operations is pricing.step's, for every step behind a point."""
    bills = bills_of([point(layout)], VLLM)
    shape, precision = stored_as("gpt-oss-120b", "checkpoint", None)
    prices = engine_prices(VLLM, load_accelerator("h200"), precision)
    decoding = bills.decoding[0]
    step = Step(decoding, 1, 1024 + 256)
    program = as_engine(build(shape, layout, step, precision=precision, routing="random"))
    assert bills.step_s(VLLM.values)[0, 0] == pytest.approx(float(step_time(program, prices).total_s), rel=1e-9)


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_step_with_prompts_that_is_fitted_is_what_is_priced(engine):
    """By the datasheet's rates and by measured laws, with a fast host and with one that the device waits for."""
    profile = load_profile(engine)
    bills = bills_of([replace(point(), deployed=replace(point().deployed, engine=engine))], profile)
    shape, precision = stored_as("gpt-oss-120b", "checkpoint", None)
    (_, step, _, _) = _steps([point()], bills.decoding, profile.scheduler, 1)
    program = as_engine(build(shape, FOUR, step, precision=precision, routing="random"))
    found = {}
    for eager_s in (1e-9, 1e-3):
        values = profile.values | {"eager_s": eager_s}
        prices = engine_prices(profile, load_accelerator("h200"), precision, values=values)
        found[eager_s] = float(np.squeeze(step_time(program, prices).total_s))
        assert bills.step_s(values)[0, 1] == pytest.approx(found[eager_s], rel=1e-9)
    assert found[1e-3] > 10 * found[1e-9]


def test_a_model_is_launched_by_its_name_on_the_hub():
    assert hub_id("gpt-oss-120b") == "openai/gpt-oss-120b" and hub_id("Qwen/Qwen3-32B") == "Qwen/Qwen3-32B"
    assert hub_id("gpt-4") is None and hub_id("/models/mine") is None


def test_a_large_all_reduce_is_made_by_nccl():
    """The engine's own implementation ends at its workspace."""
    precision = stored_as("qwen3-32b", "bf16", None)[1]
    device = load_accelerator("h100-sxm")
    small = replace(VLLM, own_bytes={"h100-sxm": {8: 2.0**18}})
    own, capped = (engine_network(one, device, precision, one.values) for one in (replace(VLLM, own_bytes={}), small))
    seconds = [
        float(network.time("all_reduce", [2.0**18, 2.0**20], 8, 1).total_s[at]) for network in (own, capped) for at in (0, 1)
    ]
    assert seconds[0] == seconds[2] and seconds[3] > 1.3 * seconds[1]


def test_experts_over_tensor_ranks_exchange_by_one_all_reduce():
    shape, precision = stored_as("gpt-oss-120b", "checkpoint", None)
    program = as_engine(build(shape, Layout(tp=2, ep=4), Step.decode(8, 100), precision=precision))
    sent = {op.name: op for op in program.stages[0] if isinstance(op, Collective)}
    assert not {"moe.dispatch", "moe.combine", "moe.counts", "moe.gather"} & set(sent)
    assert sent["moe.reduce"].collective == "all_reduce" and sent["moe.reduce"].ranks == 8


def test_planted_parameters_are_found():
    """Points made with known parameters: the fit predicts other loads of theirs within 2 %."""
    truth = VLLM.values | {"step_s": 2e-3, "kernel_s": 4e-6, "kv_rate": 0.5, "reduce_s": 12e-6}
    asked = [
        point(Layout(tp=tp), model, users)
        for tp in (1, 2, 4, 8) for model in ("qwen3-32b", "llama-3.1-8b") for users in (4.0, 16.0, 64.0)
    ]  # fmt: skip
    bills = bills_of(asked, VLLM)
    made = served_times(bills, VLLM.scheduler, truth)
    rng = np.random.default_rng(0)
    noisy = [
        replace(one, times_ms={"tpot_mean": 1e3 * t * float(np.exp(rng.normal(0, 0.02))), "ttft_mean": 60.0})
        for one, t in zip(bills.points, made.tpot_s)
    ]
    found = fit(replace(bills, points=noisy), VLLM.scheduler)
    again = served_times(bills, VLLM.scheduler, found.values)
    assert np.median(np.abs(np.log(again.tpot_s / made.tpot_s))) < 0.02
    assert found.determined["step_s"] and not found.determined["expert_rate"]


def test_every_built_in_profile_survives_being_written(tmp_path):
    for name in engine_names():
        profile = load_profile(name)
        path = tmp_path / f"{name}.toml"
        path.write_text(toml_of([profile]))
        assert load_profile(path).values == pytest.approx(profile.values, rel=1e-3)


@pytest.mark.parametrize(
    ("version", "text", "inside"),
    [
        ("0.18.0", ">=0.18,<0.19", True),
        ("0.19.0", ">=0.18,<0.19", False),
        ("1.2.0rc6.post2", "<1.2.0", True),
        ("1.2.0rc6.post2", "==1.2.0rc6.post2", True),
        ("nightly-dev", ">=0.1", False),
        ("nightly-dev", "*", True),
    ],
)
def test_version_ranges(version, text, inside):
    assert within(version, text) is inside


def test_another_version_than_the_profiles_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toml_of([replace(VLLM, versions="==0.18.0")]))
    with pytest.raises(InputError, match=r"vllm 0.15.1 is in none of the profile's version ranges \(==0.18.0\)"):
        load_profile(path, "0.15.1")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [("value = ", "value = -", "above|greater"), ("[scheduler]", "[schedule]", "unknown key|missing")],
)
def test_a_damaged_profile_is_refused_in_one_line(tmp_path, old, new, words):
    path = tmp_path / "mine.toml"
    path.write_text(toml_of([VLLM]).replace(old, new, 1))
    with pytest.raises(InputError, match=words) as caught:
        load_profile(path)
    assert "\n" not in str(caught.value)


def engine(model="llama-3.1-8b", device="h100-sxm", profile=VLLM):
    shape, precision = stored_as(model, "bf16", None)
    return Engine(profile, shape, load_accelerator(device), precision)


def test_more_users_wait_longer_and_get_more_together():
    work = Workload(Lengths(900, 1100), Lengths(200, 300), ClosedLoop(4, 40), 2e-3)
    few = serve(engine(), Layout(tp=2), work)
    many = serve(engine(), Layout(tp=2), replace(work, arrivals=ClosedLoop(64, 640)), simulation=True)
    assert many.served.tpot_s > few.served.tpot_s and many.served.requests_per_s > few.served.requests_per_s
    assert many.simulated is not None
    assert many.served.tpot_s == pytest.approx(many.simulated.tpot_s, rel=0.05)


def test_a_rate_beyond_the_capacity_is_refused_with_the_capacity():
    work = Workload(Lengths(900, 1100), Lengths(200, 300), Poisson(1e4), 2e-3)
    with pytest.raises(InputError, match=r"10000 requests/s exceed .* can serve: [\d.]+ requests/s"):
        serve(engine(), Layout(tp=2), work)


def test_a_model_beyond_the_memory_is_refused():
    work = Workload(Lengths.fixed(1000), Lengths.fixed(100), ClosedLoop(1, 10))
    with pytest.raises(InputError, match="does not fit on 1 × h100-sxm"):
        serve(engine("llama-3-70b"), Layout(), work)


def test_the_launch_command_has_the_options_of_the_version():
    work = Workload(Lengths.fixed(1000), Lengths.fixed(100), ClosedLoop(16, 160))
    lines = launch_command(engine(), Layout(tp=2), work, "meta-llama/Llama-3.1-8B")
    assert "vllm serve meta-llama/Llama-3.1-8B" in lines[1] and any("--tensor-parallel-size 2" in line for line in lines)
    with pytest.raises(InputError, match=r"vllm 0\.1 has no .*came with"):
        launch_command(engine(profile=replace(VLLM, version="0.1")), Layout(tp=2), work, "m")
