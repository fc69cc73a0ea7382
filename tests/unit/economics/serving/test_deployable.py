"""The deployable convention: hand-computed terms, and what must hold whatever the numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.economics.pricing.accelerator import Accelerator
from inferometer.emulator.economics.pricing.network import CollectiveTime
from inferometer.emulator.economics.pricing.prices import datasheet_prices
from inferometer.emulator.economics.serving.candidates import Target, candidates, pareto, preferred, rows_of, within
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.layouts import layouts
from inferometer.emulator.economics.serving.scenario import Scenario, Speculation
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.shape import Experts, Heads, uniform

LLAMA_70B = uniform("llama-3-70b", 80, 8192, 28672, 128256, Heads(64, 8, 128), max_context=8192)
LLAMA_8B = uniform("llama-3-8b", 32, 4096, 14336, 128256, Heads(32, 8, 128), max_context=8192)
MIXED = uniform("mixed", 16, 1024, 4096, 32000, Heads(16, 8, 64), experts=Experts(16, 2, 2048))
H100 = Accelerator("h100", {8: 2e15, 16: 1e15}, 0.7, 80e9, 3.3e12, 0.75, 450e9, 50e9, 8, 2.0, 4e-6)
SMALL = replace(H100, memory_bytes=40e9)
FP8 = Precision(8, 8, 8)


class Line:
    """latency + bytes/bandwidth, whatever the collective; one rank is free."""

    name = "a line"

    def __init__(self, latency_s=10e-6, bytes_per_s=100e9):
        self.latency_s, self.bytes_per_s = latency_s, bytes_per_s

    def time(self, collective, bytes, ranks, nodes):
        n, r, _ = np.broadcast_arrays(*(np.asarray(v, dtype=float) for v in (bytes, ranks, nodes)))
        return CollectiveTime(np.where(r > 1, self.latency_s, 0.0), np.where(r > 1, n / self.bytes_per_s, 0.0))


def scenario(shape=LLAMA_70B, *, context=2048.0, network=None, accelerator=H100, **changed):
    prices = datasheet_prices(accelerator, network or Line(), FP8)
    return Scenario(shape, prices, changed.pop("load", Load(context=context)), **changed)


def test_terms_by_hand():
    """Llama 3 70B, 8-bit, tp 8, 4 sequences at 1000 tokens, every number from the shape."""
    p = scenario(context=1000.0).predict(Layout(tp=8), 4)
    layer = 8192 * (10240 + 8192) + 3 * 8192 * 28672  # matrices of one layer
    weights = (80 * layer + 8192 * 128256) / 8 + 161 * 8192  # norms are on every rank
    cache = 80 * 4 * 1001 * 2 * 128
    moved = p.terms["memory_s"] * 3.3e12 * 0.75
    assert 0 < moved - weights - cache < 0.02 * weights  # what is left are activations
    flop = 2 * 4 * (80 * layer + 8192 * 128256) / 8
    attention = 80 * 4 * 4 * 1001 * 64 / 8 * 128
    assert p.terms["arithmetic_s"] == pytest.approx(flop / 1.4e15 + attention / 0.7e15)
    assert p.terms["kernel_s"] == pytest.approx((80 * 7 + 3) * 4e-6)
    assert p.terms["network_latency_s"] == pytest.approx((2 * 80 + 1 + 1) * 10e-6)
    reduced = (2 * 80 + 1) * 4 * 8192 * 2 + 4 * 128256 * 2
    assert p.terms["network_bandwidth_s"] == pytest.approx(reduced / 100e9)
    parts = sum(p.terms.values()) - p.terms["memory_s"] - p.terms["arithmetic_s"]
    assert p.token_latency_s == pytest.approx(parts)
    assert max(p.terms["memory_s"], p.terms["arithmetic_s"]) <= p.terms["roof_s"]
    assert p.usd_per_mtok == pytest.approx(8 * 2.0 / 3600 * p.token_latency_s / 4 * 1e6)
    assert p.memory["weights_bytes"] == pytest.approx((80 * layer + 2 * 8192 * 128256) / 8 + 161 * 8192)
    assert p.memory["kv_bytes"] == 80 * 4 * 1001 * 2 * 128


def test_replicas_change_neither_latency_nor_cost():
    one = scenario().predict(Layout(tp=8), 8)
    two = scenario().predict(Layout(tp=8, dp=2), 16)
    assert two.token_latency_s == one.token_latency_s
    assert two.usd_per_mtok == pytest.approx(one.usd_per_mtok)
    assert two.throughput_tokens_per_s == pytest.approx(2 * one.throughput_tokens_per_s)


def test_a_full_pipeline_yields_a_token_per_stage_time():
    """Four micro-batches on four stages: the time per token is the sum of the stages, or four times the slowest."""
    deployment = scenario().deployment(Layout(tp=2, pp=4))
    step = deployment.decode(64, Load(context=2048.0))
    alone = deployment.decode(16, Load(context=2048.0))  # sixteen sequences are four micro-batches of four
    assert step.total_s >= step.terms.total_s
    assert step.pipeline_s > 0  # the head makes the last stage the slowest
    assert alone.total_s < step.total_s


def test_prefill_pays_the_bubble():
    deployment = scenario().deployment(Layout(tp=2, pp=4))
    one, eight = (float(deployment.prefill(batch, 512).total_s) for batch in (1, 8))
    stages = 4
    assert one < eight < 8 * one
    assert eight == pytest.approx(one * (stages + 7) / stages, rel=0.1)


def test_interleaving_adds_the_prompts_to_every_step():
    plain = scenario(load=Load(prompt=1000.0, output=500.0)).time(Layout(tp=8), 64)
    mixed = scenario(load=Load(prompt=1000.0, output=500.0, interleave=True)).time(Layout(tp=8), 64)
    assert mixed.token_latency_s > plain.token_latency_s
    tokens = 1 + 1000 / 500
    arithmetic = mixed.step.terms["network_bandwidth_s"] / plain.step.terms["network_bandwidth_s"]
    assert arithmetic == pytest.approx(tokens, rel=0.15)  # logits are gathered for the decoded tokens only
    assert mixed.ttft_s < plain.ttft_s


def test_speculation_by_hand():
    drafted = scenario(speculation=Speculation(LLAMA_8B, 0.8, 3))
    verify = [float(drafted.deployment(Layout(tp=8)).decode(4, drafted.load, tokens=g).total_s) for g in (1, 2, 3)]
    draft = float(drafted.deployment(Layout(tp=8), LLAMA_8B).decode(4, drafted.load).total_s)
    times = [verify[0], *((verify[g - 1] + g * draft) * 0.2 / (1 - 0.8**g) for g in (2, 3))]
    timing = drafted.time(Layout(tp=8), 4)
    assert timing.token_latency_s == pytest.approx(min(times))
    assert timing.gamma == 1 + int(np.argmin(times))


BATCHES = st.integers(1, 300)
LAYOUTS = st.sampled_from([Layout(tp=8), Layout(tp=4, pp=2), Layout(tp=2, pp=4), Layout(tp=8, pp=2), Layout(tp=16)])


@given(batch=BATCHES, more=BATCHES, layout=LAYOUTS)
@settings(max_examples=60, deadline=None)
def test_latency_never_falls_with_the_batch(batch, more, layout):
    """But for the gathering of a pipeline's micro-batches, which is why only multiples of them are compared."""
    first, second = (layout.pp * n for n in sorted((batch, batch + more)))
    s = scenario()
    assert s.time(layout, first).token_latency_s <= s.time(layout, second).token_latency_s * (1 + 1e-12)


@given(batch=BATCHES, context=st.integers(0, 8000), layout=LAYOUTS, factor=st.floats(1.01, 10))
@settings(max_examples=60, deadline=None)
def test_latency_is_monotone_in_context_and_rates(batch, context, layout, factor):
    base = scenario(context=float(context)).time(layout, batch).token_latency_s

    def at(**changed):
        return scenario(**({"context": float(context)} | changed)).time(layout, batch).token_latency_s

    slack = 1 + 1e-12
    assert base <= at(context=float(context) + 100) * slack
    assert base <= at(network=Line(latency_s=10e-6 * factor)) * slack
    assert base >= at(network=Line(bytes_per_s=100e9 * factor)) / slack
    assert base >= at(accelerator=replace(H100, memory_bytes_per_s=3.3e12 * factor)) / slack
    assert base >= at(accelerator=replace(H100, flop_per_s={8: 2e15 * factor, 16: 1e15 * factor})) / slack


@pytest.mark.parametrize("shape", [LLAMA_70B, MIXED], ids=lambda s: s.name)
def test_the_frontier_lies_right_of_every_limit(shape):
    """No point is faster than its weights can be read, its FLOP be done, its reductions cross the links."""
    s = scenario(shape)
    found = candidates(s, 32, 512)
    edge = pareto(found)
    attention = shape.d_model * (shape.attention.query_heads * 2 + shape.attention.kv_heads * 2) * shape.attention.head_dim
    experts = shape.experts
    d_ff = shape.d_ff if experts is None else experts.active * experts.d_ff
    active = shape.layers * (attention + 3 * shape.d_model * d_ff) + shape.d_model * shape.vocab
    gpus, batch, latency = (edge[c] for c in ("gpus", "batch", "token_latency_s"))
    assert (latency >= active / gpus / (3.3e12 * 0.75)).all()
    assert (latency >= 2 * active * batch / gpus / 1.4e15).all()
    several = edge["tp"] > 1
    assert (latency[several] >= (2 * shape.layers * (10e-6 + 2 * shape.d_model / 100e9))).all() or experts is not None
    assert (edge["memory_bytes"] <= 72e9).all()
    assert len(edge["tp"]) > 3


def test_pareto_has_no_beaten_point_and_leaves_none_out():
    found = candidates(scenario(MIXED), 16, 128)
    edge = pareto(found)
    cost, latency = found["gpu_s_per_token"], found["token_latency_s"]
    for row in rows_of(edge):
        assert not ((cost < row["gpu_s_per_token"]) & (latency <= row["token_latency_s"])).any()
    reached = [(edge["gpu_s_per_token"][edge["token_latency_s"] <= t].min(), cost[latency <= t].min()) for t in latency]
    assert all(a == b for a, b in reached)
    values = edge["tokens_per_s"] ** 3 / edge["gpu_s_per_token"]
    assert preferred(rows_of(edge), 3.0) == int(np.argmax(values))


def test_demand_cap_and_service_targets():
    found = candidates(scenario(load=Load(prompt=512.0, output=128.0)), 16, 256)
    capped = pareto(found, 2000.0)
    assert (capped["throughput_tokens_per_s"] <= 2000).all()
    kept = within(found, Target(ttft_max_s=1.0, tpot_max_s=0.02))
    assert (kept["ttft_s"] <= 1.0).all() and (kept["token_latency_s"] <= 0.02).all()
    assert (np.diff(kept["gpu_s_per_token"]) >= 0).all()
    with pytest.raises(InputError, match="no layout reaches TPOT 1e-06 s: the least is"):
        within(found, Target(tpot_max_s=1e-6))
    with pytest.raises(InputError, match=r"demand cap 0\.1"):
        pareto(found, 0.1)


def test_every_layout_divides_and_fills_nodes():
    for layout in layouts(MIXED, H100, 32):
        assert layout.gpus <= 8 or layout.gpus % 8 == 0
        assert MIXED.layers % layout.pp == 0 and MIXED.experts.count % layout.ep == 0
    assert {layout.gpus for layout in layouts(LLAMA_70B, H100, 16)} == {1, 2, 4, 5, 8, 16}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: scenario().predict(Layout(tp=1), 64), r"31\.\d GB more than 80 GB less 10% reserve|GB more than"),
        (lambda: scenario().predict(Layout(tp=4, pp=4), 0), "batch = 0 must be a whole number"),
        (lambda: scenario().deployment(Layout(tp=4, pp=5)), "20 GPUs are 2.5 nodes of 8"),
        (lambda: Load(context=-1.0), "context = -1"),
        (lambda: Load(prompt=10.0), "belong together"),
        (lambda: Load(context=10.0, interleave=True), "interleaving needs"),
        (lambda: scenario(memory_reserve=1.0).deployment(Layout()), "memory reserve = 1"),
        (
            lambda: candidates(scenario(accelerator=replace(H100, memory_bytes=40e9)), 1),
            "fits on no layout of at most 1 × h100",
        ),
    ],
)
def test_what_cannot_be_started(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_stages_of_unequal_length_are_tried():
    """94 layers over 4, 8 and 16 stages, as vLLM cuts them; over 2 they divide."""
    found = {layout.pp for layout in layouts(load_shape("qwen3-235b-a22b"), H100, 64)}
    assert {1, 2, 4, 8, 16} <= found
