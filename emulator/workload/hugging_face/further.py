"""Further model types: a state beside attention, linear attention with fixed decays, and decoders of names of their own."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.decoders import Family
from inferometer.emulator.workload.hugging_face.fields import Fields, whole
from inferometer.emulator.workload.hugging_face.gemmas import gemma2
from inferometer.emulator.workload.hugging_face.hybrids import lfm2, one_of, read_mamba2
from inferometer.emulator.workload.hugging_face.latents import deepseek_v3, read_latent, read_routed, shape_of
from inferometer.emulator.workload.hugging_face.parts import (
    FULL,
    LINEAR,
    after_first,
    by_layer,
    head_width,
    read_dense,
    read_experts,
    read_heads,
)
from inferometer.emulator.workload.kinds.beside import Beside
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import Attention
from inferometer.emulator.workload.kinds.lightning import Lightning
from inferometer.emulator.workload.shape import Layer, Shape, uniform
from inferometer.emulator.workload.weights import vector


def falcon_h1(f: Fields) -> Shape:
    """Attention and Mamba-2 read the same input in every layer."""
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    mamba = replace(read_mamba2(f, norm=f.flag("mamba_rms_norm")), out_bias=f.flag("projectors_bias"))
    layer = Layer(Beside(heads, mamba), read_dense(f, bias="mlp_bias"))
    return shape_of(f, [layer] * f.count("num_hidden_layers"))


def minimax(f: Fields) -> Shape:
    """MiniMax-01 and M1: linear attention, full attention in some layers, experts in all."""
    layers = f.count("num_hidden_layers")
    kinds = f.words("layer_types", layers, (FULL, LINEAR))
    marks = f.numbers("attn_type_list", layers)
    if kinds is None and marks is not None:
        kinds = [FULL if mark else LINEAR for mark in marks]
    kinds = kinds or [LINEAR if number % 2 else FULL for number in range(layers)]
    heads = read_heads(f)
    lightning = Lightning(heads.query_heads, heads.head_dim, f.count("block_size"))
    experts = read_experts(f, count=("num_local_experts",), width="intermediate_size")
    by_kind: dict[str, Attention] = {FULL: heads, LINEAR: lightning}
    return shape_of(f, one_of(kinds, by_kind, [experts] * layers))


def opt(f: Fields) -> Shape:
    """Learned positions, two of them for padding; biases everywhere but in the head."""
    d, query_heads = f.count("hidden_size"), f.count("num_attention_heads")
    narrow = f.maybe("word_embed_proj_dim")
    if narrow not in (None, d):
        raise InputError(f"word_embed_proj_dim = {narrow}: an embedding of another width than hidden_size = {d}")
    bias = f.flag("enable_bias")
    shape = uniform(
        "", f.count("num_hidden_layers"), d, f.count("ffn_dim"), f.count("vocab_size"),
        Heads(query_heads, query_heads, head_width(d, query_heads), bias, bias), gated=False, linear_bias=bias,
        tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=True,
        learned_positions=f.count("max_position_embeddings") + 2,
    )  # fmt: skip
    last = f.flag("do_layer_norm_before") and not f.flag("_remove_final_layer_norm")
    return replace(shape, final_norm=last, norm_scales=f.flag("layer_norm_elementwise_affine"))


def dbrx(f: Fields) -> Shape:
    """Experts in every layer; what attention and the experts differ in stands in objects of their own."""
    d, query_heads = f.count("d_model"), f.count("n_heads")
    attention, feed = f.inner("attn_config"), f.inner("ffn_config")
    kv_heads = whole("attn_config.kv_n_heads", attention.get("kv_n_heads", 1), 1)
    count, active, width = (
        whole(f"ffn_config.{key}", feed.get(key, default), 1)
        for key, default in (("moe_num_experts", 4), ("moe_top_k", 1), ("ffn_hidden_size", 3584))
    )
    layer = Layer(Heads(query_heads, kv_heads, head_width(d, query_heads)), Experts(count, active, width))
    return Shape("", d, f.count("vocab_size"), (layer,) * f.count("n_layers"), f.flag("tie_word_embeddings"))


def persimmon(f: Fields) -> Shape:
    heads = read_heads(f, bias=True, out_bias=True)
    if heads.kv_heads != heads.query_heads:
        raise InputError(f"num_key_value_heads = {heads.kv_heads}: every query head has keys of its own")
    if f.flag("qk_layernorm"):
        norms = tuple(vector(f"self_attn.{letter}_layernorm", "attention", 2 * heads.head_dim) for letter in "qk")
        heads = replace(heads, extra=norms)
    return uniform(
        "", f.count("num_hidden_layers"), f.count("hidden_size"), f.count("intermediate_size"), f.count("vocab_size"), heads,
        gated=False, tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=True, linear_bias=True,
    )  # fmt: skip


APERTUS = Family(bias="attention_bias", qk_norm=True, gated=False)


def apertus(f: Fields) -> Shape:
    """An activation with four numbers of its own in every layer (xIELU)."""
    shape = APERTUS(f)
    if f.word("hidden_act") not in (None, "xielu"):
        return shape
    numbers = (vector("mlp.act_fn", "mlp", 4),)
    stack = tuple(replace(layer, feed_forward=replace(layer.feed_forward, extra=numbers)) for layer in shape.stack)  # type: ignore[type-var]
    return replace(shape, stack=stack)


PERI, PRE = (Family(bias="attention_bias", ff_bias="mlp_bias", norms=norms) for norms in (4, 2))


def hyperclovax(f: Fields) -> Shape:
    return PERI(f) if f.flag("use_post_norm") else PRE(f)


def vaultgemma(f: Fields) -> Shape:
    """Gemma 2 without norms of what each part puts out."""
    shape = gemma2(f)
    return replace(shape, stack=tuple(replace(layer, norms=2) for layer in shape.stack))


def axk1(f: Fields) -> Shape:
    """DeepSeek V3 with a norm of what the experts put out."""
    if not f.has("first_k_dense_replace"):
        f.given["first_k_dense_replace"] = 1
    shape, norm = deepseek_v3(f), (vector("post_mlp_layernorm", "norms", f.count("hidden_size")),)
    routed = {id(part): replace(part, extra=norm) for part in map(_routed, shape.stack) if part is not None}
    stack = (replace(layer, feed_forward=routed.get(id(layer.feed_forward), layer.feed_forward)) for layer in shape.stack)
    return replace(shape, stack=tuple(stack))


def _routed(layer: Layer) -> Experts | None:
    return layer.feed_forward if isinstance(layer.feed_forward, Experts) else None


def mistral4(f: Fields) -> Shape:
    """DeepSeek V3 whose router has no bias."""
    layers = f.count("num_hidden_layers")
    latent = read_latent(f, bias="attention_bias")
    feed = by_layer(lambda: read_dense(f), read_routed(f, router_bias=False), after_first(f, layers))
    return shape_of(f, [Layer(latent, part) for part in feed])


def lfm2_moe(f: Fields) -> Shape:
    """LFM2 with experts behind the first layers."""
    layers, first = f.count("num_hidden_layers"), f.amount("num_dense_layers")
    shape = lfm2(f)
    routed = read_experts(f, count=("num_experts",), router_bias=f.flag("use_expert_bias"))
    stack = (layer if number < first else replace(layer, feed_forward=routed) for number, layer in enumerate(shape.stack))
    assert len(shape.stack) == layers
    return replace(shape, stack=tuple(stack))


READERS = {
    "falcon_h1": falcon_h1,
    "minimax": minimax,
    "minimax_text_01": minimax,
    "minimax_m1": minimax,
    "opt": opt,
    "dbrx": dbrx,
    "persimmon": persimmon,
    "apertus": apertus,
    "hyperclovax": hyperclovax,
    "vaultgemma": vaultgemma,
    "axk1": axk1,
    "mistral4": mistral4,
    "lfm2_moe": lfm2_moe,
}
