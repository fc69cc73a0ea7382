"""Model types with layers that keep a state: delta rule, state-space, short convolutions, beside attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.latents import gate_weights, read_latent, shape_of
from inferometer.emulator.workload.hugging_face.parts import (
    FULL,
    LINEAR,
    SLIDING,
    after_first,
    by_layer,
    every,
    heads_of_kind,
    read_dense,
    read_experts,
    read_heads,
    stepped,
)
from inferometer.emulator.workload.kinds.convolution import ShortConvolution
from inferometer.emulator.workload.kinds.delta import GatedDelta, KimiDelta
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import Attention, FeedForward
from inferometer.emulator.workload.kinds.mamba import Mamba1, Mamba2
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.weights import vector


def linear_pattern(f: Fields, layers: int) -> list[str]:
    """Each full_attention_interval-th layer attends."""
    listed = f.words("layer_types", layers, (FULL, LINEAR))
    return listed or every(f.maybe("full_attention_interval") or 4, LINEAR)(f, layers)


def gated_delta(f: Fields) -> GatedDelta:
    return GatedDelta(
        f.count("linear_num_value_heads"), f.count("linear_num_key_heads"), f.count("linear_key_head_dim"),
        f.count("linear_value_head_dim"), f.count("linear_conv_kernel_dim"),
    )  # fmt: skip


def gated_heads(f: Fields) -> Heads:
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    return replace(heads, gate="query")


def one_of(kinds: Sequence[str], by_kind: dict[str, Attention], feed: Sequence[FeedForward | None]) -> list[Layer]:
    return [Layer(by_kind[kind], part) for kind, part in zip(kinds, feed)]


def qwen3_next(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    kinds = linear_pattern(f, layers)
    sparse, width = stepped(f, layers), "shared_expert_intermediate_size"
    experts = read_experts(f, count=("num_experts",), shared_width=width, shared_gate=True) if any(sparse) else None
    feed = by_layer(lambda: read_dense(f), experts, sparse)
    return shape_of(f, one_of(kinds, {FULL: gated_heads(f), LINEAR: gated_delta(f)}, feed))


def qwen3_5(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    by_kind: dict[str, Attention] = {FULL: gated_heads(f), LINEAR: gated_delta(f)}
    return shape_of(f, one_of(linear_pattern(f, layers), by_kind, [read_dense(f)] * layers))


def qwen3_5_moe(f: Fields) -> Shape:
    layers, width = f.count("num_hidden_layers"), "shared_expert_intermediate_size"
    experts = read_experts(f, count=("num_experts",), shared_width=width, shared_gate=True)
    by_kind: dict[str, Attention] = {FULL: gated_heads(f), LINEAR: gated_delta(f)}
    return shape_of(f, one_of(linear_pattern(f, layers), by_kind, [experts] * layers))


def olmo_hybrid(f: Fields) -> Shape:
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    kinds = f.words("layer_types", layers, (FULL, LINEAR))
    if kinds is None:
        kinds = every(4, LINEAR)(f, layers)
        kinds = kinds if FULL in kinds else [*kinds[:-1], FULL]
    query_heads = f.count("num_attention_heads")
    key_heads = f.maybe("linear_num_key_heads") or query_heads
    key_dim = f.maybe("linear_key_head_dim") or int(0.75 * d / key_heads)
    value_dim = f.maybe("linear_value_head_dim") or 2 * key_dim
    kernel = f.count("linear_conv_kernel_dim")
    delta = GatedDelta(f.maybe("linear_num_value_heads") or query_heads, key_heads, key_dim, value_dim, kernel)
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    widths = heads.query_heads * heads.head_dim, heads.kv_heads * heads.head_dim
    norms = tuple(vector(f"self_attn.{letter}_norm", "attention", width) for letter, width in zip("qk", widths))
    by_kind: dict[str, Attention] = {FULL: replace(heads, extra=norms), LINEAR: delta}
    return shape_of(f, one_of(kinds, by_kind, [read_dense(f)] * layers))


LETTERS = {"M": LINEAR, "E": "moe", "*": FULL, "-": "mlp"}


def nemotron_h(f: Fields) -> Shape:
    """One part per layer: Mamba-2, attention, a feed-forward or experts."""
    kinds = _nemotron_kinds(f)
    f.flag("use_bias"), f.maybe("expand"), f.value("chunk_size")
    parts: dict[str, Attention | FeedForward] = {}
    if LINEAR in kinds:
        parts[LINEAR] = Mamba2(
            f.count("mamba_num_heads"), f.count("mamba_head_dim"), f.count("mamba_n_groups", "n_groups"),
            f.count("ssm_state_size"), f.count("mamba_d_conv", "conv_kernel"), f.flag("use_conv_bias"), f.flag("use_bias"),
        )  # fmt: skip
    if FULL in kinds:
        parts[FULL] = read_heads(f)
    if "mlp" in kinds:
        parts["mlp"] = Dense(f.count("intermediate_size"), gated=False, bias=f.flag("mlp_bias"))
    if "moe" in kinds:
        shared = f.count("moe_shared_expert_intermediate_size") if f.amount("n_shared_experts") else None
        parts["moe"] = Experts(
            f.count("n_routed_experts"), f.count("num_experts_per_tok"), f.count("moe_intermediate_size"), shared=1,
            router_bias=True, shared_d_ff=shared or f.count("moe_shared_expert_intermediate_size"), gated=False,
            shared_bias=f.flag("mlp_bias"), latent=f.maybe("moe_latent_size"),
        )  # fmt: skip
    mixing = (LINEAR, FULL)
    stack = [Layer(parts[k], None, 1) if k in mixing else Layer(None, parts[k], 1) for k in kinds]  # type: ignore[arg-type]
    return replace(shape_of(f, stack), tied_embeddings=False)


def _nemotron_kinds(f: Fields) -> list[str]:
    listed = f.words("layers_block_type", None, tuple(LETTERS.values())) or f.words(
        "layer_types", None, tuple(LETTERS.values())
    )
    pattern, layers = f.word("hybrid_override_pattern"), f.maybe("num_hidden_layers")
    if listed is None:
        if not pattern or set(pattern) - set(LETTERS):
            raise InputError(f"hybrid_override_pattern = {pattern!r:.60}: a letter of {''.join(LETTERS)} per layer")
        listed = [LETTERS[letter] for letter in pattern]
    if layers is not None and layers != len(listed):
        raise InputError(f"hybrid_override_pattern: {len(listed)} of num_hidden_layers = {layers}")
    return listed


def read_mamba2(f: Fields, *, norm: bool = True) -> Mamba2:
    """Under the names of Bamba, Granite 4 and Falcon-H1."""
    d, heads = f.count("hidden_size"), f.count("mamba_n_heads")
    inner = f.maybe("mamba_d_ssm") or int(f.number("mamba_expand") * d)
    head_dim = f.value("mamba_d_head")
    if inner % heads:
        raise InputError(f"mamba_expand·hidden_size = {inner} does not divide by mamba_n_heads = {heads}")
    dim = inner // heads if head_dim in (None, "auto") else f.count("mamba_d_head")
    if dim * heads != inner:
        raise InputError(f"mamba_d_head·mamba_n_heads = {dim}·{heads} is not mamba_expand·hidden_size = {inner}")
    return Mamba2(
        heads, dim, f.count("mamba_n_groups"), f.count("mamba_d_state"), f.count("mamba_d_conv"),
        f.flag("mamba_conv_bias"), f.flag("mamba_proj_bias"), norm, "mamba",
    )  # fmt: skip


def bamba(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    kinds = f.words("layers_block_type", layers, (FULL, LINEAR)) or f.words("layer_types", layers, (FULL, LINEAR))
    if kinds is None:
        attends = f.numbers("attn_layer_indices") or []
        kinds = [FULL if number in attends else LINEAR for number in range(layers)]
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    by_kind: dict[str, Attention] = {FULL: heads, LINEAR: read_mamba2(f)}
    return shape_of(f, one_of(kinds, by_kind, [read_dense(f, bias="mlp_bias")] * layers))


def granite_hybrid(f: Fields) -> Shape:
    """Granite 4: Mamba-2 or attention, experts beside a shared feed-forward, or that alone."""
    layers = f.count("num_hidden_layers")
    kinds = f.words("layer_types", layers, (FULL, LINEAR)) or f.words("layers_block_type", layers, (FULL, LINEAR))
    kinds = kinds or [LINEAR] * layers
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    shared = f.amount("shared_intermediate_size")
    feed: FeedForward
    if f.amount("num_local_experts"):
        feed = Experts(
            f.count("num_local_experts"), f.count("num_experts_per_tok"), f.count("intermediate_size"), shared=1,
            shared_d_ff=shared,
        )  # fmt: skip
    else:
        feed = Dense(f.count("shared_intermediate_size"))
    by_kind: dict[str, Attention] = {FULL: heads, LINEAR: read_mamba2(f)}
    return shape_of(f, one_of(kinds, by_kind, [feed] * layers))


def jamba(f: Fields) -> Shape:
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    rank = ceil(d / 16) if f.value("mamba_dt_rank") in (None, "auto") else f.count("mamba_dt_rank")
    inner = int(f.number("mamba_expand") * d)
    state = Mamba1(
        inner, f.count("mamba_d_state"), f.count("mamba_d_conv"), rank, f.flag("mamba_conv_bias"),
        f.flag("mamba_proj_bias"), True, "mamba",
    )  # fmt: skip
    attends, first = f.count("attn_layer_period"), f.amount("attn_layer_offset")
    routes, start = f.count("expert_layer_period"), f.amount("expert_layer_offset")
    kinds = [FULL if number % attends == first else LINEAR for number in range(layers)]
    sparse = [f.amount("num_experts") > 1 and number % routes == start for number in range(layers)]
    experts = read_experts(f, count=("num_experts",), width="intermediate_size") if any(sparse) else None
    return shape_of(f, one_of(kinds, {FULL: read_heads(f), LINEAR: state}, by_layer(lambda: read_dense(f), experts, sparse)))


def mamba(f: Fields) -> Shape:
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    rank = ceil(d / 16) if f.value("time_step_rank") == "auto" else f.count("time_step_rank")
    inner = int(f.number("expand") * d)
    if f.maybe("intermediate_size") not in (None, inner):
        raise InputError(f"intermediate_size = {f.value('intermediate_size')} is not expand·hidden_size = {inner}")
    bias = f.flag("use_bias")
    state = Mamba1(inner, f.count("state_size"), f.count("conv_kernel"), rank, f.flag("use_conv_bias"), bias)
    return shape_of(f, [Layer(state, None, 1)] * layers)


def mamba2(f: Fields) -> Shape:
    state = Mamba2(
        f.count("num_heads"), f.count("head_dim"), f.count("n_groups"), f.count("state_size"), f.count("conv_kernel"),
        f.flag("use_conv_bias"), f.flag("use_bias"),
    )  # fmt: skip
    d = f.count("hidden_size")
    if int(f.number("expand") * d) != state.inner:
        raise InputError(f"num_heads·head_dim = {state.inner} is not expand·hidden_size = {f.number('expand') * d:g}")
    return shape_of(f, [Layer(state, None, 1)] * f.count("num_hidden_layers"))


def lfm2(f: Fields) -> Shape:
    """Short convolutions and attention; the feed-forward's width is two thirds of what is said, in whole steps."""
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    kinds = f.words("layer_types", layers, (FULL, "conv"))
    if kinds is None:
        attends = f.numbers("full_attn_idxs")
        kinds = [FULL if attends is None or number in attends else "conv" for number in range(layers)]
    for key in ("block_dim", "conv_dim", "conv_dim_out"):
        if f.maybe(key) not in (None, d):
            raise InputError(f"{key} = {f.value(key)}: only hidden_size = {d} is supported")
    f.maybe("num_heads")  # said twice
    width = f.count("block_ff_dim") if f.has("block_ff_dim") else f.count("intermediate_size")
    if f.flag("block_auto_adjust_ff_dim"):
        width = int(2 * width / 3)
        multiple = f.count("block_multiple_of")
        width = multiple * ((int(f.number("block_ffn_dim_multiplier") * width) + multiple - 1) // multiple)
    heads = read_heads(f, qk_norm=True)
    convolution = ShortConvolution(d, f.count("conv_L_cache"), f.flag("conv_bias"))
    shape = shape_of(f, one_of(kinds, {FULL: heads, "conv": convolution}, [Dense(width)] * layers))
    return replace(shape, tied_embeddings=f.flag("tie_embedding") if f.has("tie_embedding") else shape.tied_embeddings)


def kimi_linear(f: Fields) -> Shape:
    """Kimi Linear and K3: the delta rule with a decay per channel, latent attention between."""
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    linear = f.inner("linear_attn_config")
    kinds = _kimi_kinds(f, linear, layers)
    dim, heads = linear.get("head_dim") or f.count("linear_head_dim"), linear.get("num_heads") or f.count("linear_num_heads")
    kernel = linear.get("short_conv_kernel_size") or f.count("linear_conv_kernel_dim")
    delta = KimiDelta(heads, dim, kernel, dim, None if linear.get("use_full_rank_gate") else dim)
    latent = read_latent(f, bias="attention_bias")
    if f.flag("mla_use_output_gate"):
        latent = replace(latent, extra=gate_weights(d, latent.query_heads * latent.value_dim))
    names = {"count": ("num_experts",), "active": ("num_experts_per_token", "num_experts_per_tok")}
    experts = read_experts(f, shared=("num_shared_experts",), router_bias=True, **names)  # type: ignore[arg-type]
    width = f.maybe("routed_expert_hidden_size")
    if width is not None:
        norm = (vector("mlp.latent_norm", "experts", width),) if f.flag("latent_moe_use_norm") else ()
        experts = replace(experts, latent=width, extra=norm)
    if not f.has("first_k_dense_replace"):
        f.given["first_k_dense_replace"] = 1
    feed = by_layer(lambda: read_dense(f), experts, after_first(f, layers))
    shape = shape_of(f, one_of(kinds, {FULL: latent, LINEAR: delta}, feed))
    return replace(shape, tied_embeddings=False)


def bailing_hybrid(f: Fields) -> Shape:
    """Ling: the delta rule with decays and gates of full rank; each layer_group_size-th layer has gated latent attention."""
    layers, d, heads = f.count("num_hidden_layers"), f.count("hidden_size"), f.count("num_attention_heads")
    kinds = f.words("layer_types", layers, (FULL, LINEAR)) or every(f.count("layer_group_size"), LINEAR)(f, layers)
    dim = f.maybe("linear_head_dim") or f.count("head_dim")
    delta = KimiDelta(heads, dim, f.count("short_conv_kernel_size", "linear_conv_kernel_dim"), None, None)
    latent = replace(read_latent(f, bias="attention_bias"), extra=gate_weights(d, heads))
    names = {"count": ("num_experts",), "active": ("num_experts_per_tok", "num_experts_per_token")}
    shared = ("num_shared_experts", "n_shared_experts")
    experts = read_experts(f, shared=shared, router_bias=True, **names)  # type: ignore[arg-type]
    feed = by_layer(lambda: read_dense(f), experts, after_first(f, layers))
    return replace(shape_of(f, one_of(kinds, {FULL: latent, LINEAR: delta}, feed)), tied_embeddings=False)


def lfm3(f: Fields) -> Shape:
    """Short convolutions and gated attention, full or in a window."""
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    kinds = f.words("layer_types", layers, (FULL, SLIDING, "conv"))
    kinds = kinds or ["conv" if n % 2 or not n else FULL if n % 4 == 2 else SLIDING for n in range(layers)]
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    heads = replace(heads, gate="head" if f.flag("use_attention_gate") else "none")
    convolution = ShortConvolution(d, f.count("conv_L_cache"), f.flag("conv_bias"))
    norms = 4 if f.flag("use_sandwich_norm") else 2
    mixers = [convolution if kind == "conv" else heads_of_kind(f, heads, kind) for kind in kinds]
    return shape_of(f, [Layer(one, read_dense(f), norms) for one in mixers])


def _kimi_kinds(f: Fields, linear: object, layers: int) -> list[str]:
    listed = f.words("layer_types", layers, (FULL, LINEAR))
    if listed is not None:
        return listed
    if not isinstance(linear, dict) or "kda_layers" not in linear or "full_attn_layers" not in linear:
        return [FULL if number and number % 4 == 0 else LINEAR for number in range(layers)]
    full, delta = linear["full_attn_layers"], linear["kda_layers"]
    if sorted([*full, *delta]) != list(range(1, layers + 1)):
        raise InputError(f"linear_attn_config: full_attn_layers and kda_layers do not name layers 1 to {layers} once each")
    return [FULL if number + 1 in full else LINEAR for number in range(layers)]


READERS = {
    "qwen3_next": qwen3_next,
    "qwen3_5_text": qwen3_5,
    "qwen3_5_moe_text": qwen3_5_moe,
    "olmo_hybrid": olmo_hybrid,
    "nemotron_h": nemotron_h,
    "bamba": bamba,
    "granitemoehybrid": granite_hybrid,
    "jamba": jamba,
    "mamba": mamba,
    "falcon_mamba": mamba,
    "mamba2": mamba2,
    "lfm2": lfm2,
    "kimi_linear": kimi_linear,
    "bailing_hybrid": bailing_hybrid,
    "lfm3": lfm3,
}
