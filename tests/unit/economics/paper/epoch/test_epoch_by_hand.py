"""Points whose terms one can compute by hand, and what must hold at any point."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model
from inferometer.emulator.economics.paper.epoch.breakdown import breakdown
from inferometer.emulator.economics.paper.epoch.catalogue import model_names
from inferometer.emulator.economics.paper.epoch.collectives import network_of
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.predict import predict
from inferometer.emulator.economics.paper.epoch.stage import Candidate
from inferometer.emulator.economics.pricing.paper_accelerators import accelerator_names
from inferometer.emulator.errors import InputError

FLAT = Candidate(two_d=False, pipeline_step=0, scale_step=0)
SQUARE = Candidate(two_d=True, pipeline_step=0, scale_step=0)


def exactly(value):
    return pytest.approx(value, rel=1e-12)


def test_one_gpu_reads_the_weights_once(h100):
    """Llama 3 70B, 8-bit, batch 1: every matrix and its two activations, the unembedding, no network."""
    found = predict(load_model("llama-3-70b", 8), h100, 1, 1)
    feed_forward = 3 * (8192 * 28672 + 2 * (8192 + 28672))
    attention = (10240 * 8192 + 2 * (10240 + 8192)) + (8192 * 8192 + 2 * (8192 + 8192))
    moved = 80 * (feed_forward + attention) + 128256 * 8192
    assert moved == 69_524_979_712
    assert found.terms["memory_s"] == exactly(moved / (0.75 * 3.3e12))
    assert found.terms["arithmetic_s"] == exactly(2 * 70_552_387_584 / (0.7 * 2e15))
    assert found.token_latency_s == exactly(4 * 80 * 4e-6 + moved / 2.475e12)
    assert found.binds == "memory" and found.gamma is None
    assert found.usd_per_mtok == exactly(found.token_latency_s * 2.1 / 3600 * 1e6)


def test_two_reduces_per_layer_on_one_node(h100):
    """1D on 8 GPUs: LL, 6.8 + 2·0.6·7 µs; 2·(7/8) X/(225 GB/s) with X = 8192 activations."""
    model = load_model("llama-3-70b", 8)
    terms = breakdown(ForwardPass(model, h100, network_of(h100)), 8, 1, FLAT).terms
    assert terms["network_latency_s"] == exactly(2 * 80 * 15.2e-6)
    assert terms["network_bandwidth_s"] == exactly(2 * 80 * 2 * 7 / 8 * 16384 / 225e9)


def test_four_reduces_per_layer_in_two_dimensions(h100):
    """2D on 16 GPUs: 4 ranks on √2 nodes; the gated feed-forward reduces 2·28672 hidden activations over 4 ranks."""
    model = load_model("llama-3-70b", 8)
    found = breakdown(ForwardPass(model, h100, network_of(h100)), 16, 1, SQUARE)
    reduces = {c["name"]: c for c in found.collectives}
    assert {name: c["bytes"] for name, c in reduces.items() if c["collective"] == "all_reduce"} == {
        "qkv": 10240 * 2 / 4,
        "attention_output": 8192 * 2 / 4,
        "ff_hidden": 2 * 28672 * 2 * 4 / 16,
        "ff_output": 8192 * 2 * 4 / 16,
    }
    assert all(c["ranks"] == 4 and c["nodes"] == exactly(math.sqrt(2)) for c in list(reduces.values())[:4])
    latency_s = 6.8e-6 + 2 * (0.6e-6 * (4 / math.sqrt(2) - 1) + 5e-6 * 0.5)
    assert found.terms["network_latency_s"] == exactly(4 * 80 * latency_s)


def test_experts_spread_once_a_micro_batch_has_twice_the_sparsity(h100):
    model = load_model("mixtral-8x22b")
    few, many = (predict(model, h100, 4, batch) for batch in (7.99, 8.0))
    assert few.layout["ep"] == 1 and many.layout["ep"] == 4
    exchange = next(c for c in many.collectives if c["collective"] == "all_to_all")
    assert exchange["ranks"] == 2 and exchange["nodes"] == 1 and exchange["count"] == 2 * 56
    assert exchange["bytes"] == exactly(2 * 6144 * 8 * 2 / 4)


def test_what_does_not_fit_says_by_how_much(h100):
    with pytest.raises(InputError, match=r"weights 141\.1 GB \+ KV cache 0\.0 GB are 61\.1 GB more than 1 × 80 GB"):
        predict(load_model("llama-3-70b"), h100, 1, 1)
    # At 100k tokens eight pipeline stages hold an eighth of the batch's cache: the paper's code asks for no more.
    assert predict(load_model("llama-3-70b"), h100, 8, 64, context=100_000).layout["pp"] > 4
    with pytest.raises(InputError, match="more than 2 × 80 GB"):
        predict(load_model("llama-3-70b"), h100, 2, 64, context=100_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gpus": 0.5}, "gpus = 0.5 must be at least 1"),
        ({"gpus": -3}, "gpus = -3 must be at least 1"),
        ({"batch": 0}, "batch = 0 must be at least 1"),
        ({"batch": math.nan}, "batch = nan must be at least 1"),
        ({"context": -1}, "context = -1 must be at least 0"),
        ({"tokens": 0}, "tokens = 0"),
        ({"speculator": load_model("llama-3-8b"), "acceptance": 1.0}, "acceptance = 1 must be at least 0 and below 1"),
        ({"speculator": load_model("llama-3-8b"), "tokens": 2}, "speculation sets the tokens"),
        ({"accelerator": replace(load_accelerator("h100-sxm"), usd_per_hour=0.0)}, "usd_per_hour = 0 must be above 0"),
    ],
)
def test_bad_input_is_one_line(h100, change, words):
    question = {"model": load_model("llama-3-8b"), "accelerator": h100, "gpus": 8, "batch": 8} | change
    with pytest.raises(InputError, match=words) as caught:
        predict(**question)
    assert "\n" not in str(caught.value)


def test_names(h100):
    assert load_accelerator("h100-sxm@epoch-2025") == h100
    assert load_model("deepseek-v3@epoch-2025") == load_model("deepseek-v3")
    assert load_model("deepseek-v3").weight_bits == 8 and load_model("gpt-4").weight_bits == 16
    assert {"palm-540b", "gpt-3.5", "llama-3.1-405b", "falcon-180b", "gpt-j-6b"} <= set(model_names())
    assert {"h100-sxm", "h800", "h20", "h200", "a100-sxm", "v100-sxm", "tpu-v4", "groq-lpu"} == set(accelerator_names())
    with pytest.raises(InputError, match=r"llama-2-7b.*it has .*llama-3-8b"):
        load_model("llama-2-7b")
    with pytest.raises(InputError, match="did you mean h100-sxm"):
        load_accelerator("h100")
    with pytest.raises(InputError, match="weight bits = 3"):
        load_model("gpt-4", 3)


@pytest.mark.parametrize("name", ["tpu-v4", "groq-lpu"])
def test_rings(name):
    """One hop per further rank and pass, whatever the nodes."""
    ring = load_accelerator(name)
    time = network_of(ring).time("all_reduce", 1e6, 5, 5)
    assert float(time.latency_s) == exactly(8e-6)
    assert float(time.bandwidth_s) == exactly(4 / 5 * 1e6 / ring.all_reduce_bytes_per_s)
    gpus = 64 if name == "tpu-v4" else 1024
    assert 0 < predict(load_model("llama-3-8b"), ring, gpus, 4).token_latency_s < 1


POINT = st.tuples(
    st.sampled_from(["llama-3-8b", "llama-3-70b", "mixtral-8x22b", "deepseek-v3", "gpt-4"]),
    st.floats(60, 5000),
    st.floats(1, 5000),
    st.sampled_from([0.0, 1000.0]),
)


@settings(deadline=None, max_examples=25)
@given(POINT)
def test_faster_parts_are_never_slower(point):
    name, gpus, batch, context = point
    model, h100 = load_model(name), load_accelerator("h100-sxm")

    def latency_s(accelerator=h100, at=context):
        return predict(model, accelerator, gpus, batch, context=at).token_latency_s

    before = latency_s()
    better = {"memory_bytes_per_s": 4e12, "intra_bytes_per_s": 9e11, "inter_bytes_per_s": 1e11, "kernel_s": 1e-6}
    for field, value in better.items():
        assert latency_s(replace(h100, **{field: value})) <= before * (1 + 1e-12)
    assert latency_s(at=context + 100) >= before * (1 - 1e-12)


@settings(deadline=None, max_examples=25)
@given(POINT)
def test_the_terms_are_the_latency_and_nothing_beats_the_roof(point):
    name, gpus, batch, context = point
    model, h100 = load_model(name), load_accelerator("h100-sxm")
    found = predict(model, h100, gpus, batch, context=context)
    t = found.terms
    network = t["network_latency_s"] + t["network_bandwidth_s"]
    assert found.token_latency_s == exactly(t["kernel_s"] + network + max(t["memory_s"], t["arithmetic_s"]))
    assert network == exactly(sum(c["count"] * (c["latency_s"] + c["bandwidth_s"]) for c in found.collectives))
    cache = model.kv_bytes_per_token * context * batch
    assert t["memory_s"] >= cache / (gpus * 2.475e12) * (1 - 1e-12)
    assert t["arithmetic_s"] >= 2 * model.active_parameters * batch / (gpus * 1.4e15) * (1 - 1e-12)
    assert 0 < found.mfu < 0.7 and np.isfinite(found.usd_per_mtok)
