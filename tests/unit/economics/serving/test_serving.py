"""Prompts, drafts, expert shares under the deployable convention, against closed forms and limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.calibrate.laws.paper import PAPER_PROTOCOLS
from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.prices import datasheet_prices
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.scenario import Scenario, Speculation, scenario_of
from inferometer.emulator.economics.serving.uncertainty import shares, uncertainty
from inferometer.emulator.units import format_bytes
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Experts, Heads, uniform

DENSE = uniform("dense", 16, 2048, 8192, 32000, Heads(16, 8, 128))
MIXED = uniform("mixed", 16, 1024, 4096, 32000, Heads(16, 8, 64), experts=Experts(16, 2, 2048))
H100 = Accelerator("h100", {8: 2e15, 16: 1e15}, 0.7, 80e9, 3.3e12, 0.75, 450e9, 50e9, 8, 2.0, 4e-6)


def scenario(shape=DENSE, load=None, **changed):
    prices = datasheet_prices(H100, ConstantNetwork(H100))
    return Scenario(shape, prices, load or Load(prompt=512.0, output=128.0), **changed)


def active_matrices(shape):
    """Weights that a token passes in all layers."""
    a = shape.attention
    attention = shape.d_model * a.head_dim * (2 * a.query_heads + 2 * a.kv_heads)
    experts = shape.experts
    into = shape.d_ff if experts is None else experts.active * experts.d_ff
    return shape.layers * (attention + 3 * shape.d_model * into)


def test_what_prompts_cost_is_in_the_price():
    s = scenario()
    timing = s.time(Layout(tp=4), 16)
    assert timing.seconds_per_token == pytest.approx((timing.ttft_s + 128 * timing.token_latency_s) / (16 * 128))
    p = s.predict(Layout(tp=4), 16)
    assert p.usd_per_mtok == pytest.approx(4 * 2.0 / 3600 * float(timing.seconds_per_token) * 1e6)
    assert p.throughput_tokens_per_s == pytest.approx(1 / float(timing.seconds_per_token))


def test_the_cache_has_room_for_prompt_and_output():
    kv = scenario().memory(Layout(tp=4), 16).kv_bytes
    assert kv == 16 * (512 + 128) * 2 * (8 // 4) * 128 * 2 * 16


def test_endless_outputs_make_interleaving_plain_decoding():
    plain = scenario(load=Load(context=512.0 + (1e6 - 1) / 2)).time(Layout(tp=4), 16)
    mixed = scenario(load=Load(prompt=512.0, output=1e6, interleave=True)).time(Layout(tp=4), 16)
    assert mixed.token_latency_s == pytest.approx(plain.token_latency_s, rel=1e-3)


def test_interleaved_prompts_do_the_work_of_a_prefill():
    """Over the P/O prompt tokens per sequence and step: their matrices, their attention to half of the prompt."""
    load = Load(prompt=1000.0, output=250.0, interleave=True)
    mixed = scenario(load=load).time(Layout(), 8).step.terms["arithmetic_s"]
    plain = scenario(load=Load(context=load.mean_context)).time(Layout(), 8).step.terms["arithmetic_s"]
    tokens = 8 * 1000 / 250
    flop = tokens * (2 * active_matrices(DENSE) + 4 * 16 * 128 * 16 * (500 + 1))
    assert (mixed - plain) * 0.7e15 == pytest.approx(flop, rel=1e-6)


@given(
    shape=st.sampled_from([DENSE, MIXED]),
    tp=st.sampled_from([1, 2, 4]),
    pp=st.sampled_from([1, 2, 4]),
    ep=st.sampled_from([1, 2, 4]),
    data=st.booleans(),
    batch=st.integers(1, 64),
    prompt=st.sampled_from([16.0, 300.0, 4096.0]),
    interleave=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_first_token_before_its_flop_is_done(shape, tp, pp, ep, data, batch, prompt, interleave):
    """All GPUs share a batch's matrices; one share of the sequences does the attention of one prompt."""
    if shape.experts is None:
        ep = 1
    if (tp * ep * pp > 8 and (tp * ep * pp) % 8) or tp * ep > 16:
        return
    layout = Layout(tp=tp, ep=ep, pp=pp, attention="data" if data and ep > 1 else "tensor")
    timing = scenario(shape, Load(prompt=prompt, output=64.0, interleave=interleave)).time(layout, batch)
    prompts = 1 if interleave else batch
    rate = 0.7e15
    a = shape.attention
    attention = 2 * shape.layers * a.query_heads * a.head_dim * prompt * (prompt + 1)
    assert timing.ttft_s >= 2 * active_matrices(shape) * prompts * prompt / layout.gpus / rate * (1 - 1e-9)
    ranks = tp if layout.attention == "data" else tp * ep
    assert timing.ttft_s >= attention / ranks / rate * (1 - 1e-9)


@pytest.mark.parametrize("prompt", [16.0, 256.0, 4096.0])
def test_a_pipeline_is_no_disaster_for_any_prompt(prompt):
    """Short prompts go in few micro-batches, long ones in many: within twice the time of one stage on as many GPUs."""
    times = [
        float(scenario(load=Load(prompt=prompt, output=64.0)).time(layout, 256).ttft_s)
        for layout in (Layout(tp=8), Layout(tp=4, pp=2))
    ]
    assert times[1] < 2 * times[0]


def test_shares_of_sequences_split_the_cache_whatever_the_pipeline():
    """Eight sequences on eight shares are one each, with one stage or two."""
    load = Load(context=1000.0)
    one = scenario(MIXED, load).memory(Layout(ep=8, attention="data"), 8).kv_bytes
    two = scenario(MIXED, load).memory(Layout(ep=8, pp=2, attention="data"), 8).kv_bytes
    assert two == one / 2


def test_a_draft_is_kept_once_per_replica_and_reads_the_prompt():
    draft = replace(DENSE, name="draft", stack=DENSE.stack[:4])
    layout = Layout(tp=4, dp=2)
    plain, drafted = scenario(), scenario(speculation=Speculation(draft))
    extra = drafted.memory(layout, 16).kv_bytes - plain.memory(layout, 16).kv_bytes
    assert extra == 8 * (512 + 128) * 2 * (8 // 4) * 128 * 2 * 4
    assert drafted.memory(layout, 16).weights_bytes > plain.memory(layout, 16).weights_bytes
    late = float(drafted.time(layout, 16).ttft_s) - float(plain.time(layout, 16).ttft_s)
    alone = drafted.deployment(Layout(tp=4), draft).prefill(8, 512.0).total_s
    assert late == pytest.approx(float(alone))


def test_constants_are_the_fastest_protocol_on_the_links():
    """An all_reduce over a node by hand: LL for few bytes, Simple for many."""
    network = ConstantNetwork(H100)
    small = network.time("all_reduce", 1024, 8, 1)
    assert float(small.latency_s) == pytest.approx((6.8 + 2 * 0.6 * 7) * 1e-6)
    assert float(small.bandwidth_s) == pytest.approx(2 * 7 / 8 * 1024 / (450e9 * 0.5))
    large = network.time("all_reduce", 1e9, 2, 1)
    assert float(large.latency_s) == pytest.approx(2 * 28e-6)  # Simple has no base, only the hop to the other rank


def test_bytes_between_nodes_are_priced_by_the_slower_link():
    network = ConstantNetwork(H100)
    across = network.time("all_to_all", 1e9, 16, 2)
    wire = max((8 - 1) / 16 / 450e9, (16 - 8) / 16 / 50e9)
    options = [p.latency_s(1, np.array(16.0), np.array(2.0)) + 1e9 * wire / p.link_fraction for p in PAPER_PROTOCOLS]
    assert float(across.total_s) == pytest.approx(float(min(options)))


def test_what_would_narrow_an_interval_is_said_of_the_use_that_errs_most():
    asked = scenario_of("deepseek-v3", "b200", Load(context=2048.0), Precision(8, 16, 16), calibration="b200-nccl")
    step = asked.time(Layout(ep=8), 32).step
    (use,) = shares(step)[0]["all_to_all"].uses
    sent = {one.bytes for one in step.sent if one.collective == "all_to_all"}
    assert len(sent) > 1 and use.bytes == max(sent)  # the tokens, not the counts of them that go ahead
    assert f"all_to_all near {format_bytes(use.bytes)} on 8 ranks" in uncertainty(step, step.total_s).narrowed_by
