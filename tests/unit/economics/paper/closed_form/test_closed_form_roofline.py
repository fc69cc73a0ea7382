"""One device: where reads and arithmetic cross, what that costs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from inferometer.emulator.economics.paper.closed_form import attention, generation, kv_cache, roofline, serving_price

rates = st.floats(1e9, 1e16)
params = st.floats(1e6, 1e13)
widths = st.sampled_from([0.5, 1, 2, 4])


@given(params, widths, rates, rates)
def test_at_the_critical_batch_reads_and_arithmetic_take_equally_long(n, width, flop_per_s, memory):
    batch = roofline.critical_batch(width, flop_per_s, memory)
    read_s = roofline.read_s(roofline.weights_bytes(n, width), memory)
    assert roofline.flop_per_token(n) * batch / flop_per_s == approx(read_s)
    assert roofline.token_latency_s(n, width, batch, flop_per_s, memory) == approx(read_s)
    assert roofline.token_latency_s(n, width, 2 * batch, flop_per_s, memory) == approx(2 * read_s)
    assert roofline.token_latency_s(n, width, batch / 2, flop_per_s, memory) == approx(read_s)


@given(params, widths, rates, rates)
def test_a_token_never_costs_less_than_its_arithmetic(n, width, flop_per_s, memory):
    batches = np.logspace(0, 6, 50)
    costs = roofline.gpu_seconds_per_token(n, width, batches, flop_per_s, memory)
    assert np.all(np.diff(costs) <= 1e-12 * costs[:-1]), "a larger batch is never dearer"
    floor = serving_price.arithmetic_usd_per_mtok(n, flop_per_s, 2.0)
    beyond = roofline.gpu_seconds_per_token(
        n, width, 2 * roofline.critical_batch(width, flop_per_s, memory), flop_per_s, memory
    )
    assert serving_price.usd_per_mtok(beyond, 2.0) == approx(floor)
    assert np.all(serving_price.usd_per_mtok(costs, 2.0) >= floor * (1 - 1e-12))


def test_a_prompt_is_arithmetic_and_a_token_is_reading():
    assert generation.prefill_s(100, 1e9, 1e12) == approx(0.2)
    assert generation.prefill_s(100, 1e9, 1e12, devices=2, batch=4) == approx(0.4)
    assert generation.decode_s(1e9, 2, 1e12, devices=2) == approx(1e-3)
    assert generation.generation_s(0.2, 10, 1e-3) == approx(0.21)


def test_prices_per_thousand_and_per_million_agree():
    per_1k = serving_price.usd_per_1k_tokens(serving_price.usd_per_s(3.6), tokens_per_s=500)
    assert per_1k == approx(1000 * 0.001 / 500)
    # 4 GPUs at 0.9 an hour each, a batch of 5 at 100 tokens/s are those 500 tokens/s at 3.6 an hour
    assert serving_price.instance_usd_per_mtok(4, 5, 100, 0.9) == approx(1000 * per_1k)


def test_unfused_attention_is_the_sum_of_its_three_kernels():
    N, d, element = 96, 16, 2
    scores = element * (2 * N * d) + element * N * N
    softmax = element * N * N + element * N * N
    values = element * (N * N + N * d) + element * N * d
    assert attention.unfused_bytes(N, d) == scores + softmax + values
    assert attention.unfused_flop(N, d) == 2 * N * N * d + 3 * N * N + 2 * N * N * d


def test_decode_intensity_is_that_of_one_query_per_head():
    context, head_dim, group = 1000, 128, 8
    flop = attention.attention_flop_per_token(group * head_dim, 1, context)
    read = kv_cache.cache_bytes(kv_cache.kv_bytes_per_token(1, head_dim, 1), context)
    assert attention.decode_intensity(group, 2) == approx(flop / read)


def test_what_fits_fills_the_memory():
    per_token = kv_cache.kv_bytes_per_token(8, 128, 80)
    free = kv_cache.free_bytes(2, 80e9, 140e9)
    sequences = kv_cache.sequences_that_fit(free, per_token, 4096)
    assert kv_cache.cache_bytes(per_token, 4096, sequences) == approx(free)
    assert kv_cache.latent_kv_bytes_per_token(512, 61, rope_dim=64) == 70272
    batch = kv_cache.batch_of_equal_reads(140e9, per_token, 1e5)
    assert kv_cache.cache_bytes(per_token, 1e5, batch) == approx(140e9)
