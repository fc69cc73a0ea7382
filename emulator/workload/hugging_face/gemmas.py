"""Gemma 2 to 4."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.latents import shape_of
from inferometer.emulator.workload.hugging_face.parts import (
    FULL,
    SLIDING,
    every,
    heads_of_kind,
    read_dense,
    read_heads,
    windowed,
)
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.inputs import LayerInputs
from inferometer.emulator.workload.kinds.kind import FeedForward
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.weights import Weight, vector


def gemma2(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    return shape_of(f, [Layer(one, read_dense(f), 4) for one in windowed(f, heads, layers, every(2))])


def gemma3(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    step = f.maybe("sliding_window_pattern", "_sliding_window_pattern") or 6
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    attention = windowed(f, heads, layers, every(step))
    if f.flag("use_bidirectional_attention"):
        raise InputError("use_bidirectional_attention = true: an encoder, not a decoder")
    return shape_of(f, [Layer(one, read_dense(f), 4) for one in attention])


def _kinds(f: Fields, layers: int, step: int) -> list[str]:
    return f.words("layer_types", layers, (FULL, SLIDING)) or every(step)(f, layers)


def _shared(f: Fields, kinds: list[str]) -> int:
    """The first layer whose keys and values are those of an earlier one of its kind."""
    shared, layers = f.amount("num_kv_shared_layers"), len(kinds)
    if shared > layers:
        raise InputError(f"num_kv_shared_layers = {shared} are more than num_hidden_layers = {layers}")
    first = layers - shared
    alone = set(kinds[first:]) - set(kinds[:first])
    if shared and alone:
        raise InputError(f"num_kv_shared_layers = {shared}: no earlier layer of {alone.pop()} has keys and values")
    return first


def gemma3n(f: Fields) -> Shape:
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    kinds = _kinds(f, layers, 5)
    first = _shared(f, kinds)
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    widths = f.numbers("intermediate_size", layers) if isinstance(f.value("intermediate_size"), list) else None
    widths = widths or [f.count("intermediate_size")] * layers
    inputs, rank, streams = f.count("hidden_size_per_layer_input"), f.count("laurel_rank"), f.count("altup_num_inputs")
    extra = (
        vector("altup", "other", 2 * d + streams**2 + streams**3 + streams * d),
        Weight("laurel.linear_left", "other", d, rank),
        Weight("laurel.linear_right", "other", rank, d),
        vector("laurel.post_laurel_norm", "norms", d),
    )
    own = LayerInputs(inputs, f.count("vocab_size_per_layer_input"))
    stack = []
    for number, (kind, width) in enumerate(zip(kinds, widths)):
        one = heads_of_kind(f, heads, kind)
        one = replace(one, cache="own" if number < first else "shared")
        stack.append(Layer(one, Dense(width), 4, inputs=own, extra=extra))
    outside = (Weight("altup_projections", "other", d, d, copies=2 * (streams - 1)),)
    return replace(shape_of(f, stack), extra=outside)


def gemma4(f: Fields) -> Shape:
    """Wider heads where attention is full, whose values may be the keys; experts beside the feed-forward."""
    layers = f.count("num_hidden_layers")
    kinds = _kinds(f, layers, 6)
    kinds[-1] = FULL
    first = _shared(f, kinds)
    if f.value("use_bidirectional_attention") == "all":
        raise InputError("use_bidirectional_attention = 'all': an encoder, not a decoder")
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    same = f.flag("attention_k_eq_v")
    kv_heads = (f.maybe("num_global_key_value_heads") if same else None) or heads.kv_heads
    wide = f.maybe("global_head_dim") or 512
    full = Heads(heads.query_heads, kv_heads, wide, heads.bias, heads.out_bias, True, values=not same)
    width, vocab = f.amount("hidden_size_per_layer_input"), f.maybe("vocab_size_per_layer_input")
    inputs = LayerInputs(width, vocab or f.count("vocab_size")) if width else None
    stack = []
    for number, kind in enumerate(kinds):
        one = full if kind == FULL else heads_of_kind(f, heads, kind)
        one = replace(one, cache="own" if number < first else "shared")
        double = f.flag("use_double_wide_mlp") and number >= first
        norms = 7 if f.flag("enable_moe_block") else 4
        stack.append(Layer(one, _feed(f, double=double), norms, inputs=inputs, scalar=True))
    return shape_of(f, stack)


def _feed(f: Fields, *, double: bool) -> FeedForward:
    width = f.count("intermediate_size") * (2 if double else 1)
    if not f.flag("enable_moe_block"):
        return Dense(width)
    count, d = f.count("num_experts"), f.count("hidden_size")
    scales = (vector("router.scale", "router", d), vector("router.per_expert_scale", "router", count))
    names = ("top_k_experts", "num_experts_per_tok")
    return Experts(count, f.count(*names), f.count("moe_intermediate_size"), beside=width, module="experts", extra=scales)


READERS = {
    "gemma2": gemma2,
    "gemma3_text": gemma3,
    "gemma3n_text": gemma3n,
    "gemma4_text": gemma4,
    "gemma4_unified_text": gemma4,
}
