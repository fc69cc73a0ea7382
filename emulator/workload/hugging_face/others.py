"""Model types with attention or experts of their own: gpt-oss, Llama 4, MiniMax M3, MiMo V2, Nemotron NAS, Step 3.7."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields, whole
from inferometer.emulator.workload.hugging_face.latents import shape_of
from inferometer.emulator.workload.hugging_face.parts import (
    CHUNKED,
    FULL,
    SLIDING,
    after_first,
    all_full,
    by_layer,
    every,
    heads_of_kind,
    read_dense,
    read_experts,
    read_heads,
    windowed,
)
from inferometer.emulator.workload.kinds.dense import Dense
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.shape import Layer, Shape


def gpt_oss(f: Fields) -> Shape:
    """Sinks, a window in every other layer, biases everywhere, the router's included."""
    layers = f.count("num_hidden_layers")
    heads = replace(read_heads(f, bias="attention_bias", out_bias="attention_bias"), sinks=True)
    active = ("experts_per_token", "num_experts_per_tok") if f.has("experts_per_token") else ("num_experts_per_tok",)
    active = ("num_experts_per_tok",) if f.has("num_experts_per_tok") else active
    experts = Experts(
        f.count("num_local_experts", "num_experts"), f.count(*active), f.count("intermediate_size"), bias=True,
        router_bias=True,
    )  # fmt: skip
    return shape_of(f, [Layer(one, experts) for one in windowed(f, heads, layers, every(2))])


def llama4(f: Fields) -> Shape:
    """Chunks where positions are rotated, experts in each interleave_moe_layer_step-th layer beside one that all pass."""
    layers = f.count("num_hidden_layers")
    no_rope = f.numbers("no_rope_layers")
    rotated = no_rope if no_rope else [int((n + 1) % f.count("no_rope_layer_interval") != 0) for n in range(layers)]
    if len(rotated) != layers:
        raise InputError(f"no_rope_layers: {len(rotated)} of num_hidden_layers = {layers}")
    chunk = f.maybe("attention_chunk_size")
    kinds = f.words("layer_types", layers, (FULL, CHUNKED))
    kinds = kinds or [CHUNKED if one and chunk is not None else FULL for one in rotated]
    routed = f.numbers("moe_layers")
    step = f.count("interleave_moe_layer_step", least=0) if routed is None else 1
    if routed is None:
        routed = list(range(step - 1, layers, step)) if step else []
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    experts = read_experts(f, count=("num_local_experts", "num_experts"), width="intermediate_size")
    experts = replace(experts, shared=1)
    feed = by_layer(lambda: read_dense(f, key="intermediate_size_mlp"), experts, [n in set(routed) for n in range(layers)])
    attention = [replace(heads_of_kind(f, heads, kind), rotary=bool(one)) for kind, one in zip(kinds, rotated)]
    return shape_of(f, [Layer(one, part) for one, part in zip(attention, feed)])


def minimax_m3(f: Fields) -> Shape:
    """Full attention in front, then layers in which an index chooses blocks of tokens."""
    layers = f.count("num_hidden_layers")
    sparse = f.inner("sparse_attention_config")
    marks = sparse.get("sparse_attention_freq")
    kinds = f.words("layer_types", layers, (FULL, "minimax_m3_sparse"))
    if kinds is None and marks is not None:
        if not isinstance(marks, list) or len(marks) != layers:
            raise InputError(f"sparse_attention_freq: {len(marks)} of num_hidden_layers = {layers}")
        kinds = ["minimax_m3_sparse" if mark else FULL for mark in marks]
    kinds = kinds or [FULL] * layers
    heads = read_heads(f, qk_norm=True)
    number = sparse.get("sparse_num_index_heads") or f.count("index_n_heads")
    dim = sparse.get("sparse_index_dim") or f.count("index_head_dim")
    block = sparse.get("sparse_block_size") or f.count("index_block_size")
    blocks = sparse.get("sparse_topk_blocks") or f.count("index_topk_blocks")
    index = Index(number, dim, block * blocks, weighted=False, query_norm=True)
    experts = read_experts(
        f, count=("num_local_experts",), width="intermediate_size", shared_width="shared_intermediate_size", router_bias=True
    )
    f.amount("n_shared_experts"), f.maybe("moe_intermediate_size"), f.amount("first_k_dense_replace")  # said twice
    routed = f.words("mlp_layer_types", layers, ("dense", "sparse"))
    if routed is None:
        frequency = f.numbers("moe_layer_freq", layers)
        routed = ["sparse" if mark else "dense" for mark in frequency] if frequency else ["sparse"] * layers
    feed = by_layer(lambda: read_dense(f, key="dense_intermediate_size"), experts, [one == "sparse" for one in routed])
    attention = [heads if kind == FULL else replace(heads, index=index) for kind in kinds]
    return shape_of(f, [Layer(one, part) for one, part in zip(attention, feed)])


def mimo_v2(f: Fields) -> Shape:
    """Narrower values than keys; layers with a window have other heads, and sinks."""
    layers = f.count("num_hidden_layers")
    bias = f.flag("attention_bias")
    full = Heads(
        f.count("num_attention_heads"), f.count("num_key_value_heads"), f.count("head_dim"), bias,
        value_dim=f.count("v_head_dim"), sinks=f.flag("add_full_attention_sink_bias"),
    )  # fmt: skip
    before = f.maybe("sliding_window_size")
    swa = Heads(
        f.maybe("swa_num_attention_heads") or full.query_heads,
        f.maybe("swa_num_key_value_heads") or 2 * full.kv_heads,
        f.maybe("swa_head_dim") or full.head_dim, bias, value_dim=f.maybe("swa_v_head_dim") or full.value_dim,
        sinks=f.value("add_swa_attention_sink_bias") is not False,
        window=f.count("sliding_window") if before is None else before + 1,
    )  # fmt: skip
    kinds = f.words("layer_types", layers, (FULL, SLIDING))
    if kinds is None:
        marks = f.numbers("hybrid_layer_pattern", layers)
        marks = marks or [int(number > 0 and (number + 1) % 6 > 0) for number in range(layers)]
        kinds = [SLIDING if mark else FULL for mark in marks]
    listed = f.value("mlp_layer_types") is not None or isinstance(f.value("moe_layer_freq"), list)
    sparse = after_first(f, layers) if listed else [number > 0 for number in range(layers)]
    experts = read_experts(f, shared=("n_shared_experts",), router_bias=True)
    feed = by_layer(lambda: read_dense(f), experts, sparse)
    return shape_of(f, [Layer(full if kind == FULL else swa, part) for kind, part in zip(kinds, feed)])


def nemotron_nas(f: Fields) -> Shape:
    """block_configs: for every layer its group of heads or none, its feed-forward's width or none."""
    layers, d, query_heads = f.count("num_hidden_layers"), f.count("hidden_size"), f.count("num_attention_heads")
    blocks = f.value("block_configs")
    if not isinstance(blocks, list) or len(blocks) != layers:
        raise InputError(f"block_configs: {len(blocks or [])} of num_hidden_layers = {layers}")
    bias, ff_bias = f.flag("attention_bias"), f.flag("mlp_bias")
    stack = []
    for number, block in enumerate(blocks):
        where = f"block_configs[{number}]"
        attention, feed = _part(block, "attention", where), _part(block, "ffn", where)
        heads = dense = None
        if not attention.get("no_op"):
            group = whole(f"{where}.attention.n_heads_in_group", attention.get("n_heads_in_group"), 1)
            heads = Heads(query_heads, max(1, query_heads // group), d // query_heads, bias, bias)
        if not feed.get("no_op"):
            mult = feed.get("ffn_mult")
            if isinstance(mult, bool) or not isinstance(mult, (int, float)) or mult <= 0:
                raise InputError(f"{where}.ffn.ffn_mult = {mult!r:.60}: input should be a number above 0")
            dense = Dense(-(-int(2 * mult * d / 3) // 256) * 256, bias=ff_bias)
        stack.append(Layer(heads, dense, (heads is not None) + (dense is not None)))
    return shape_of(f, stack)


def _part(block: Any, key: str, where: str) -> Mapping[str, Any]:
    part = block.get(key) if isinstance(block, Mapping) else None
    if not isinstance(part, Mapping):
        raise InputError(f"{where}.{key}: input should be an object")
    for other in ("replace_with_linear", "sparsify", "window_length", "num_sink_tokens"):
        if part.get(other):
            raise InputError(f"{where}.{key}.{other} = {part[other]!r:.60} is not supported")
    return part


def step3p7(f: Fields) -> Shape:
    """Step 3.5 and 3.7: gates per head; layers with a window may have more heads."""
    layers = f.count("num_hidden_layers")
    kv_heads = f.maybe("num_key_value_heads") or f.count("num_attention_heads")
    bias = f.flag("attention_bias")
    heads = Heads(f.count("num_attention_heads"), kv_heads, f.count("head_dim"), bias, bias, qk_norm=True, gate="head")
    wide = f.inner("attention_other_setting")
    other = replace(
        heads,
        query_heads=f.maybe("num_sliding_attention_heads") or wide.get("num_attention_heads") or heads.query_heads,
        kv_heads=wide.get("num_attention_groups") or heads.kv_heads,
        head_dim=wide.get("head_dim") or heads.head_dim,
    )
    if f.amount("n_shared_experts") > 1:
        raise InputError(f"n_shared_experts = {f.amount('n_shared_experts')}: only 1 is supported")
    kinds = f.words("layer_types", None, (FULL, SLIDING)) or all_full(f, layers)
    if len(kinds) < layers:
        raise InputError(f"layer_types: {len(kinds)} of num_hidden_layers = {layers}")
    experts = Experts(
        f.count("n_routed_experts"), f.count("num_experts_per_tok"),
        f.count("moe_intermediate_size"), shared=1, shared_d_ff=f.count("share_expert_dim"),
        router_bias=f.value("use_moe_router_bias") is not False, shared_bias=f.flag("mlp_bias"),
    )  # fmt: skip
    feed = by_layer(lambda: read_dense(f, bias="mlp_bias"), experts, _step_sparse(f, layers))
    attention = [heads_of_kind(f, heads if kind == FULL else other, kind) for kind in kinds[:layers]]
    return shape_of(f, [Layer(one, part) for one, part in zip(attention, feed)])


def _step_sparse(f: Fields, layers: int) -> list[bool]:
    """Which layers have experts: as mlp_layer_types or moe_layers_enum (a list or text) says, else all but three."""
    listed = f.words("mlp_layer_types", None, ("dense", "sparse"))
    if listed is not None and len(listed) >= layers:  # layers that predict further tokens stand at its end
        return [kind == "sparse" for kind in listed[:layers]]
    if f.has("first_k_dense_replace"):
        return after_first(f, layers)
    given = f.value("moe_layers_enum")
    if given is None:
        return [number >= 3 for number in range(layers)]
    try:
        marked = {int(each) for each in (given.split(",") if isinstance(given, str) else given) if str(each).strip()}
    except (TypeError, ValueError):
        raise InputError(f"moe_layers_enum = {given!r:.60}: input should be numbers of layers") from None
    return [number in marked for number in range(layers)]


def hunyuan_moe(f: Fields) -> Shape:
    """Experts and a shared one in every layer; numbers may be lists with an entry per layer."""
    layers, width = f.count("num_hidden_layers"), f.count("intermediate_size")
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True)
    for key, only in (("num_shared_expert", 1), ("moe_intermediate_size", width)):
        if f.value(key) is not None and set(_by_layer(f, key, layers)) != {only}:
            raise InputError(f"{key} = {f.value(key)!r:.60}: only {only} in every layer is supported")
    if f.flag("use_cla"):
        raise InputError("use_cla = true: layers that share keys and values are not supported")
    stack = [
        Layer(heads, Experts(f.count("num_experts"), active, width, shared=1)) for active in _by_layer(f, "moe_topk", layers)
    ]
    return shape_of(f, stack)


def _by_layer(f: Fields, key: str, layers: int) -> list[int]:
    """A number for each layer."""
    return (f.numbers(key, layers) or []) if isinstance(f.value(key), list) else [f.count(key)] * layers


def laguna(f: Fields) -> Shape:
    """Heads by layer, a gate per head."""
    layers = f.count("num_hidden_layers")
    numbers = f.numbers("num_attention_heads_per_layer", layers) or [f.count("num_attention_heads")] * layers
    kinds = f.words("layer_types", layers, (FULL, SLIDING)) or all_full(f, layers)
    listed = f.value("mlp_layer_types") is not None
    sparse = after_first(f, layers) if listed else [number > 0 for number in range(layers)]
    base = replace(read_heads(f, bias="attention_bias", out_bias="attention_bias", qk_norm=True), gate="head")
    width = "shared_expert_intermediate_size"
    experts = read_experts(f, count=("num_experts",), shared_width=width, router_bias=True)
    feed = by_layer(lambda: read_dense(f), experts, sparse)
    attention = [heads_of_kind(f, replace(base, query_heads=n), kind) for n, kind in zip(numbers, kinds)]
    return shape_of(f, [Layer(one, part) for one, part in zip(attention, feed)])


READERS = {
    "gpt_oss": gpt_oss,
    "llama4_text": llama4,
    "minimax_m3_vl_text": minimax_m3,
    "minimax_m3": minimax_m3,
    "mimo_v2_flash": mimo_v2,
    "nemotron-nas": nemotron_nas,
    "step3p7": step3p7,
    "step3p5": step3p7,
    "hunyuan_v1_moe": hunyuan_moe,
    "laguna": laguna,
}
