"""Scaled-down shapes keep the proportions, or say that they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape, model_names
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.scaled import scaled
from inferometer.emulator.workload.shape import Heads
from inferometer.emulator.workload.step import Step


def test_llama_3_70b_by_hand():
    """8192 · 1/16 = 512; 8 of 64 heads to a key-value head, of which half a one would be left; 28672/8192 = 3.5."""
    small = scaled(load_shape("llama-3-70b"), 1 / 16, layers=4)
    shape = small.shape
    assert (shape.layers, shape.d_model, shape.d_ff, shape.vocab) == (4, 512, 1792, 8016)
    assert shape.attention == Heads(query_heads=8, kv_heads=1, head_dim=64)
    assert "query heads: 8 instead of 4" in small.not_kept
    assert "head_dim: 64 instead of 128" in small.not_kept
    assert not any(line.startswith(("d_ff", "heads·head_dim")) for line in small.not_kept)


def test_deepseek_v3_keeps_top_k_and_experts_per_rank():
    """256 experts on 16 times the ranks are 16 on one."""
    shape = scaled(load_shape("deepseek-v3"), 1 / 16, layers=4).shape
    assert (shape.experts.count, shape.experts.active) == (16, 8)
    assert [shape.has_experts(layer) for layer in range(4)] == [False, True, True, True]
    assert shape.experts.d_ff / shape.d_model == 2048 / 7168


@pytest.mark.parametrize("name", model_names())
def test_scale_one_is_the_model_itself(name):
    shape = load_shape(name)
    assert scaled(shape, 1).shape == shape
    assert scaled(shape, 1).not_kept == ()


@given(st.sampled_from(model_names()), st.floats(1 / 256, 1), st.integers(1, 8))
def test_every_scale_gives_a_model_and_names_every_change(name, scale, layers):
    whole = load_shape(name)
    small = scaled(whole, scale, layers)
    shape = small.shape
    build(shape, Layout(), Step.prefill(1, 4))
    if isinstance(whole.attention, Heads):
        group = whole.attention.query_heads // whole.attention.kv_heads
        assert shape.attention.query_heads == group * shape.attention.kv_heads
    if whole.experts:
        assert shape.experts.active == whole.experts.active
    named = {line.split(": ")[0] for line in small.not_kept}
    if whole.d_ff and shape.d_ff:
        assert ("d_ff/d_model" in named) == (
            abs(shape.d_ff * whole.d_model - whole.d_ff * shape.d_model) > 1e-6 * whole.d_ff
        )
    assert ("layers" in named) == (abs(layers - whole.layers * scale) > 1e-9 * whole.layers)


@pytest.mark.parametrize(
    ("scale", "layers", "words"), [(0, None, "scale = 0"), (2, None, "scale = 2"), (1, 99, "layers = 99")]
)
def test_what_is_no_scale(scale, layers, words):
    with pytest.raises(InputError, match=words):
        scaled(load_shape("llama-2-7b"), scale, layers)
