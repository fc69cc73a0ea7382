"""Parameter counts against published ones, to the last parameter; the cache; how both grow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.cache import (
    attention_flop_per_token,
    kv_bytes_per_token,
    kv_elements_per_token_per_layer,
    kv_tokens,
)
from inferometer.emulator.workload.catalogue import load_shape, model_names
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.parameters import count, multiplied_per_token
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute
from inferometer.emulator.workload.shape import Experts, Heads, Latent, uniform
from inferometer.emulator.workload.step import Step

# What the Hugging Face Hub states for each checkpoint's tensors, but for: DeepSeek-V3, the sum of the tensors of its
# model.safetensors.index.json without the multi-token prediction layer 61; GPT-J, its PyTorch checkpoint (its model card
# says 6053381344: more by 7·(29·8192 + 28·4096) + 8·4096, the copies of norms and biases on the 8 shards it trained on).
PUBLISHED = {
    "llama-2-7b": 6_738_415_616,
    "llama-2-70b": 68_976_648_192,
    "llama-3-8b": 8_030_261_248,
    "llama-3-70b": 70_553_706_496,
    "llama-3.1-405b": 405_853_388_800,
    "mistral-large-2": 122_610_069_504,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_620_634_112,
    "deepseek-v3": 671_026_419_200,
    "gpt-j-6b": 6_050_882_784,
}

# In billions, as printed, to the last printed digit.
PRINTED = {
    "palm-8b": (8.63, 0.005),  # Chowdhery et al. 2022, table 1
    "palm-62b": (62.50, 0.005),
    "palm-540b": (540.35, 0.007),  # 540.354 of matrices, 540.356 with the norms
    "gpt-3": (174.6, 0.05),  # Brown et al. 2020, table D.1: 174,600 million
    "falcon-180b": (180, 2),  # model card
    "gpt-4": (1797, 0.5),  # Erdil 2025, code: 1.797e12
}

# Billions that serve one token.
ACTIVE = {
    "mixtral-8x7b": (12.9, 0.05),  # Jiang et al. 2024: 13B; blog of December 2023: 12.9B
    "mixtral-8x22b": (39, 0.5),  # blog of April 2024: 39B active of 141B
    "deepseek-v3": (37, 0.6),  # DeepSeek-AI 2024: 37B activated of 671B
    "gpt-4": (274.8, 0.1),  # Erdil 2025, code: 2.748e11
}

# Bytes per token of a 16-bit cache.
KV_BYTES = {
    "llama-2-70b": 327_680,  # Anysphere 2023: 320 KB
    "llama-2-7b": 524_288,  # Baseten 2023
    "llama-3-8b": 131_072,
    "llama-3-70b": 327_680,
    "llama-3.1-405b": 516_096,  # 2·8·128·126·2
    "deepseek-v3": 70_272,  # (512 + 64)·61·2
    "mixtral-8x22b": 229_376,
    "gpt-3": 4_718_592,
    "falcon-180b": 163_840,  # 8 key-value heads
    "palm-540b": 120_832,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts_to_the_last_parameter(name):
    assert count(load_shape(name)).total == PUBLISHED[name]


@pytest.mark.parametrize("name", PRINTED)
def test_printed_counts(name):
    billions, tolerance = PRINTED[name]
    assert count(load_shape(name)).total / 1e9 == pytest.approx(billions, abs=tolerance)


@pytest.mark.parametrize("name", ACTIVE)
def test_active_parameters(name):
    billions, tolerance = ACTIVE[name]
    assert count(load_shape(name)).active / 1e9 == pytest.approx(billions, abs=tolerance)


@pytest.mark.parametrize("name", KV_BYTES)
def test_cache_per_token(name):
    assert kv_bytes_per_token(load_shape(name)) == KV_BYTES[name]
    assert kv_bytes_per_token(load_shape(name), bits=8) == KV_BYTES[name] / 2


def test_every_part_of_a_small_model_by_hand():
    shape = uniform(
        "small", 3, 10, 7, 100, Heads(4, 2, 5, bias=True, out_bias=True, qk_norm=True),
        experts=Experts(6, 2, 3, shared=2, router_bias=True), first_dense=1, norm_bias=True, linear_bias=True,
        head_bias=True, learned_positions=9,
    )  # fmt: skip
    parameters = count(shape)
    attention = 10 * 20 + 2 * 10 * 10 + 20 * 10 + (20 + 2 * 10 + 10) + 2 * 5
    expert, shared, router = 3 * 10 * 3 + 3 + 3 + 10, 3 * 10 * 6 + 6 + 6 + 10, 10 * 6 + 6
    assert parameters.parts == {
        "embedding": 1000 + 90, "head": 1000 + 100, "norms": 3 * 40 + 20, "attention": 3 * attention,
        "mlp": 3 * 10 * 7 + 7 + 7 + 10, "experts": 2 * 6 * expert, "shared": 2 * shared, "router": 2 * router,
    }  # fmt: skip
    assert parameters.biases == 100 + 3 * 50 + 24 + 2 * (6 * 16 + 22 + 6)
    assert parameters.total == sum(parameters.parts.values())
    assert parameters.active == parameters.total - 2 * 4 * expert


heads = st.builds(
    lambda kv, group, dim, bias, out, norm: Heads(kv * group, kv, dim, bias, out, norm),
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 16), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
latents = st.builds(
    Latent, st.integers(1, 8), st.none() | st.integers(1, 16), st.integers(1, 16), st.integers(1, 16), st.integers(0, 8),
    st.integers(1, 16),
)  # fmt: skip
experts = st.builds(
    lambda count, spare, d_ff, shared, bias: Experts(count + spare, count, d_ff, shared, bias),
    st.integers(1, 4), st.integers(0, 8), st.integers(1, 32), st.integers(0, 2), st.booleans(),
)  # fmt: skip
shapes = st.builds(
    lambda layers, *numbers, first_dense, **dials: uniform(
        "drawn", layers, *numbers, first_dense=min(layers, first_dense), **dials
    ),
    st.integers(2, 6), st.integers(1, 64), st.integers(1, 64), st.integers(0, 256), heads | latents, st.none() | experts,
    tied_embeddings=st.booleans(), gated=st.booleans(), norm_bias=st.booleans(), linear_bias=st.booleans(),
    head_bias=st.booleans(), learned_positions=st.integers(0, 16), first_dense=st.integers(0, 2),
    sliding_window=st.none() | st.integers(1, 64), full_attention_layers=st.integers(0, 2),
)  # fmt: skip


@given(shapes)
def test_more_of_anything_is_never_fewer_parameters(shape):
    parts = count(shape)
    assert parts.total >= parts.active >= multiplied_per_token(shape) >= 0
    assert 0 <= parts.biases <= parts.total
    fields = {field: getattr(shape, field) + 1 for field in ("d_model", "vocab", "learned_positions")}
    for field, value in [*fields.items(), ("stack", (*shape.stack, shape.stack[-1]))]:
        larger = replace(shape, **{field: value})
        assert count(larger).total >= parts.total
        assert multiplied_per_token(larger) >= multiplied_per_token(shape)
    assert count(replace(shape, tied_embeddings=False)).total >= count(replace(shape, tied_embeddings=True)).total
    assert multiplied_per_token(replace(shape, tied_embeddings=False)) == multiplied_per_token(
        replace(shape, tied_embeddings=True)
    )


@given(shapes, st.integers(0, 500))
def test_the_cache_is_bounded_by_its_windows(shape, context):
    one_by_one = [min(context, shape.window_of(layer) or context) for layer in range(shape.layers)]
    assert kv_tokens(shape, context) * shape.layers == pytest.approx(sum(one_by_one))
    assert kv_tokens(shape, context) <= context
    assert kv_bytes_per_token(shape) == 2 * shape.layers * kv_elements_per_token_per_layer(shape)


@given(shapes, st.integers(0, 200))
def test_the_program_does_what_the_shape_says(shape, context):
    """On one rank: the FLOP of one decoded token, the weights in memory, the cache, against counts made without it."""
    program = build(shape, Layout(), Step.decode(1, context), precision=Precision(8, 8, 8))
    flop = dict.fromkeys(("matmul", "attention", "stream"), 0.0)
    for times, op in program.stages[0].counted():
        if isinstance(op, Compute):
            flop[op.kind] += times * op.flop
    assert flop["matmul"] == pytest.approx(2 * multiplied_per_token(shape))
    memory = resident(program, 1, context)
    assert memory.kv_bytes == pytest.approx(kv_bytes_per_token(shape, 8) * kv_tokens(shape, context))
    # A decoded token sees itself too, where the window leaves room.
    pairs = attention_flop_per_token(shape, context + 1)
    if isinstance(shape.attention, Heads) or context > 0:
        assert flop["attention"] == pytest.approx(pairs)


@pytest.mark.parametrize("name", model_names())
def test_the_program_keeps_every_weight(name):
    """All but what costs nothing: the small vectors of inner norms, the router's and the head's biases."""
    shape = load_shape(name)
    kept = resident(build(shape, Layout(), Step.decode(1, 0), precision=Precision(8, 8, 8)), 1, 0).weights_bytes
    assert kept == pytest.approx(count(shape).total, rel=1e-4)


def small(**dials):
    return uniform("small", 2, 8, 8, 8, Heads(1, 1, 8), **dials)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Heads(30, 8, 128), "query_heads = 30 is no multiple of kv_heads = 8 (30 = 3·8 + 6)"),
        (lambda: Heads(0, 1, 128), "query_heads = 0 must be a whole number, at least 1"),
        (lambda: Heads(8, 8, 12.5), "head_dim = 12.5 must be a whole number"),
        (lambda: Heads(True, 1, 1), "query_heads = True must be a whole number"),
        (lambda: Experts(8, 9, 64), "active experts = 9 are more than the 8 there are"),
        (lambda: Latent(8, 0, 16, 16, 8, 16), "query_rank = 0 must be a whole number"),
        (
            lambda: uniform("few", 2, 8, 8, 8, Heads(1, 1, 8), Experts(8, 1, 8), first_dense=3),
            "first_dense = 3 dense layers are more than layers = 2",
        ),
        (
            lambda: small(sliding_window=0),
            "sliding_window = 0 must be a whole number",
        ),
        (
            lambda: small(full_attention_layers=33),
            "full_attention_layers = 33 are more than",
        ),
    ],
)
def test_contradictory_shapes_are_refused_with_the_arithmetic(make, said):
    with pytest.raises(InputError) as error:
        make()
    assert said in str(error.value)
