"""llm-analysis' closed form: its errors on demand, mended by default."""

from dataclasses import fields, replace

import numpy as np
import pytest
from pytest import approx

from inferometer.emulator.economics.paper.closed_form.llm_analysis import Estimate, Rates, estimate
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.catalogue import load_shape

RATES = Rates(312e12 * 0.7, 2039e9 * 0.9, 300e9, 8e-6)
BUG = "llm-analysis-2024-01"


@pytest.fixture
def shape():
    return load_shape("llama-2-70b")


def ask(shape, rates=RATES, **changes):
    asked = {"tp": 2, "batch": 4, "prompt": 1024, "output": 512, "usd_per_gpu_hour": 2.21, "compat": None}
    return estimate(shape, rates, **(asked | changes))


def test_a_prompt_bound_by_arithmetic_pays_the_third_matrix(shape):
    """Of 2·d_model·d_ff per matrix and token; nothing else differs where arithmetic binds."""
    missing = 2 * 4 * 1024 * shape.d_model * shape.d_ff * shape.layers / 2 / RATES.flop_per_s
    assert ask(shape).ttft_s - ask(shape, compat=BUG).ttft_s == approx(missing)


def test_the_cache_is_read_once_at_the_mean_context(shape):
    fast = replace(RATES, flop_per_s=1e30)  # reading is all that is left
    kept = 2 * 2 * 4 * 4 * 128 * 80  # key and value, 2 bytes, batch 4, 4 heads per device, head_dim, layers
    difference = ask(shape, fast, compat=BUG).completion_s - ask(shape, fast).completion_s
    final, mean = 1024 + 512, 1024 + 513 / 2
    assert difference == approx(512 * kept * (2 * final - mean) / fast.memory_bytes_per_s)


def test_the_mean_context_is_the_mean_over_the_tokens(shape):
    rates = replace(RATES, flop_per_s=1e30)
    one_by_one = [ask(shape, rates, prompt=1024 + i, output=1).completion_s for i in range(64)]
    assert ask(shape, rates, output=64).completion_s == approx(sum(one_by_one))


def test_requests_are_priced_at_once(shape):
    batches = np.array([1, 2, 32])
    together = ask(shape, batch=batches, compat=BUG)
    for field in fields(Estimate):
        alone = [getattr(ask(shape, batch=int(b), compat=BUG), field.name) for b in batches]
        assert getattr(together, field.name) == approx(np.array(alone))


def test_one_device_reduces_nothing(shape):
    slow_link = replace(RATES, link_bytes_per_s=1.0, link_latency_s=1.0)
    assert ask(shape, slow_link, tp=1) == ask(shape, tp=1)
    assert ask(shape, slow_link, tp=2).ttft_s > 100


def test_a_price_is_the_rent_over_the_tokens(shape):
    row = ask(shape)
    assert row.usd_per_1k_prompt * 4 * 1.024 == approx(row.ttft_s * 2 * 2.21 / 3600)
    assert row.usd_per_1k_completion * 4 * 0.512 == approx(row.completion_s * 2 * 2.21 / 3600)
    assert row.tokens_per_s * (row.ttft_s + row.completion_s) == approx(4 * 512)


@pytest.mark.parametrize("model", ["mixtral-8x7b", "deepseek-v3", "gpt-3"])
def test_other_architectures_are_refused(model):
    with pytest.raises(InputError, match=model):
        ask(load_shape(model))
