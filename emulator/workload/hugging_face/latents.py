"""Model types with latent attention: DeepSeek V2 to V4 and those under other names."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.parts import after_first, by_layer, read_dense, read_experts
from inferometer.emulator.workload.kinds.compressed import Compressed
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.index import Index
from inferometer.emulator.workload.kinds.latent import Latent
from inferometer.emulator.workload.shape import Layer, Shape
from inferometer.emulator.workload.weights import Weight, vector


def read_latent(f: Fields, *, bias: bool | str = "attention_bias") -> Latent:
    return Latent(
        f.count("num_attention_heads"),
        f.maybe("q_lora_rank"),
        f.count("kv_lora_rank"),
        f.count("qk_nope_head_dim"),
        f.amount("qk_rope_head_dim"),
        f.count("v_head_dim"),
        bias=f.flag(bias),
    )


def read_routed(f: Fields, *, router_bias: bool) -> Experts:
    if f.has("num_experts") and "num_experts" not in f.defaults and f.value("num_experts") != f.value("n_routed_experts"):
        raise InputError("num_experts: another number than n_routed_experts")
    return read_experts(f, shared=("n_shared_experts",), router_bias=router_bias)


def shape_of(f: Fields, stack: list[Layer]) -> Shape:
    return Shape(
        name="",
        d_model=f.count("hidden_size"),
        vocab=f.count("vocab_size"),
        stack=tuple(stack),
        tied_embeddings=f.flag("tie_word_embeddings"),
    )


def deepseek_v2(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    attention = read_latent(f)
    routed = replace(read_routed(f, router_bias=False), shared_bias=f.flag("mlp_bias"))
    feed = by_layer(lambda: read_dense(f, bias="mlp_bias"), routed, after_first(f, layers))
    return shape_of(f, [Layer(attention, part) for part in feed])


def deepseek_v3(f: Fields) -> Shape:
    layers = f.count("num_hidden_layers")
    feed = by_layer(lambda: read_dense(f), read_routed(f, router_bias=True), after_first(f, layers))
    return shape_of(f, [Layer(read_latent(f), part) for part in feed])


def dense_latent(f: Fields) -> Shape:
    """Latent attention with plain feed-forwards (Youtu, MiniCPM3)."""
    return shape_of(f, [Layer(read_latent(f), read_dense(f, bias="mlp_bias"))] * f.count("num_hidden_layers"))


def indexed(f: Fields) -> Shape:
    """DeepSeek V3.2 and GLM 5: an index chooses the tokens; layers may share the index of one before them."""
    layers = f.count("num_hidden_layers")
    latent = read_latent(f)
    rank = latent.query_rank
    if rank is None:
        raise InputError("q_lora_rank: missing; the index makes its queries from that latent")
    index = Index(f.count("index_n_heads"), f.count("index_head_dim"), f.count("index_topk"), rank)
    kinds = f.words("layer_types", layers, ("indexed_attention",))
    own = [True] * layers if kinds is None or kinds else []
    own = _indexers(f, layers) if own else own
    feed = by_layer(lambda: read_dense(f), read_routed(f, router_bias=True), after_first(f, layers))
    return shape_of(f, [Layer(replace(latent, index=replace(index, own=one)), part) for one, part in zip(own, feed)])


def hy_v4(f: Fields) -> Shape:
    """Hunyuan 4: an index as in GLM 5.2, sinks and a gate per element, residual streams that mix."""
    layers, d, streams = f.count("num_hidden_layers"), f.count("hidden_size"), f.count("hc_mult")
    latent = read_latent(f)
    width = latent.query_heads * latent.value_dim
    gates = Weight("self_attn.gate_proj", "attention", d, width)
    latent = replace(latent, extra=(vector("self_attn.sinks", "attention", latent.query_heads), gates))
    index = Index(f.count("index_n_heads"), f.count("index_head_dim"), f.count("index_topk"), f.count("q_lora_rank"))
    f.words("layer_types", layers, ("indexed_attention",))
    own = f.words("indexer_types", layers, ("full", "shared"))
    kinds = own or ["full" if number < 2 or number % 4 == 1 else "shared" for number in range(layers)]
    listed = f.value("mlp_layer_types") is not None
    sparse = after_first(f, layers) if listed else [number > 0 for number in range(layers)]
    feed = by_layer(lambda: read_dense(f), read_routed(f, router_bias=True), sparse)
    extra = tuple(
        weight
        for name in ("attn_hc", "ffn_hc")
        for weight in (
            vector(f"{name}.fn", "mlp", 2 * streams * streams * d),
            vector(f"{name}.base", "mlp", 2 * streams + 2),
        )
    )
    stack = [
        Layer(replace(latent, index=replace(index, own=kind == "full")), part, extra=extra)
        for kind, part in zip(kinds, feed)
    ]
    head = (vector("hc_head.fn", "other", streams * streams * d), vector("hc_head.base", "other", streams + 1))
    return replace(shape_of(f, stack), extra=head)


def _indexers(f: Fields, layers: int) -> list[bool]:
    """Which layers have an index of their own (GLM 5.2)."""
    listed = f.words("indexer_types", layers, ("full", "shared"))
    if listed is not None:
        return [kind == "full" for kind in listed]
    pattern = f.value("index_topk_pattern")
    if pattern is not None:
        marks = list(pattern) if isinstance(pattern, (str, list)) else []
        if len(marks) != layers or set(marks) - {"F", "S", "full", "shared"}:
            raise InputError(f"index_topk_pattern: {len(marks)} of num_hidden_layers = {layers}, each F or S")
        return [mark in ("F", "full") for mark in marks]
    frequency, offset = max(f.amount("index_topk_freq"), 1), f.value("index_skip_topk_offset")
    offset = 2 if offset is None else f.amount("index_skip_topk_offset")
    return [max(number - offset + 1, 0) % frequency == 0 for number in range(layers)]


RATIOS = {0: "sliding_attention", 4: "compressed_sparse_attention", 128: "heavily_compressed_attention"}


def deepseek_v4(f: Fields) -> Shape:
    """Compressed attention of two kinds, hash-routed layers at the start, residual streams that mix."""
    layers, d = f.count("num_hidden_layers"), f.count("hidden_size")
    streams = f.count("hc_mult")
    kinds = _compression(f, layers)
    rates = {"compressed_sparse_attention": 4, "heavily_compressed_attention": 128} | dict(f.inner("compress_rates"))
    plain = Compressed(
        f.count("num_attention_heads"), f.count("q_lora_rank"), f.count("head_dim"), f.count("o_lora_rank"),
        f.count("o_groups"), f.count("sliding_window"),
    )  # fmt: skip
    index = {"index_heads": f.count("index_n_heads"), "index_dim": f.count("index_head_dim")}
    index["index_entries"] = f.count("index_topk")
    by_kind = {
        "sliding_attention": plain,
        "heavily_compressed_attention": replace(plain, every=rates["heavily_compressed_attention"]),
        "compressed_sparse_attention": replace(plain, every=rates["compressed_sparse_attention"], **index),
    }
    mixing = (2 + streams) * streams
    extra = tuple(
        weight
        for name in ("attn_hc", "ffn_hc")
        for weight in (vector(f"{name}.fn", "mlp", mixing * streams * d), vector(f"{name}.base", "mlp", mixing + 3))
    )
    if f.amount("n_shared_experts") != 1:
        raise InputError(f"n_shared_experts = {f.amount('n_shared_experts')}: only 1 is supported")
    routed, vocab = read_experts(f, shared=("n_shared_experts",), router_bias=True), f.count("vocab_size")
    table = vector("mlp.gate.tid2eid", "router", vocab * routed.active)
    routed = replace(routed, shared_bias=f.flag("mlp_bias"))
    hashed = replace(routed, router_bias=False, extra=(table,))
    first = _hash_layers(f, layers)
    stack = [Layer(by_kind[kind], hashed if number in first else routed, extra=extra) for number, kind in enumerate(kinds)]
    head = (vector("hc_head.fn", "other", streams * streams * d), vector("hc_head.base", "other", streams + 1))
    return replace(shape_of(f, stack), extra=head)


def _compression(f: Fields, layers: int) -> list[str]:
    listed = f.words("layer_types", layers, tuple(RATIOS.values()))
    if listed is not None:
        return listed
    ratios = f.numbers("compress_ratios")
    if ratios is None:
        first = ["heavily_compressed_attention"] * min(layers, 2)
        return first + [RATIOS[4] if number % 2 else RATIOS[128] for number in range(max(layers - 2, 0))]
    if len(ratios) < layers or set(ratios) - set(RATIOS):
        raise InputError(f"compress_ratios: {len(ratios)} of num_hidden_layers = {layers}, each of {sorted(RATIOS)}")
    return [RATIOS[ratio] for ratio in ratios[:layers]]


def _hash_layers(f: Fields, layers: int) -> set[int]:
    listed = f.words("mlp_layer_types", layers, ("hash_moe", "moe"))
    if listed is not None:
        return {number for number, kind in enumerate(listed) if kind == "hash_moe"}
    number = f.value("num_hash_layers")
    return set(range(min(layers, 3 if number is None else f.amount("num_hash_layers"))))


def longcat(f: Fields) -> Shape:
    """Two attentions and two plain feed-forwards to a layer, experts beside the first of them, some of which do nothing."""
    layers = f.count("num_layers", "num_hidden_layers")
    attention, dense = read_latent(f, bias="attention_bias"), read_dense(f, key="ffn_hidden_size")
    if attention.query_rank is None:
        raise InputError("q_lora_rank: missing")
    routed = Experts(
        f.count("n_routed_experts"), f.count("moe_topk"), f.count("expert_ffn_hidden_size"), router_bias=True,
        zero=f.amount("zero_expert_num"), beside=dense.d_ff,
    )  # fmt: skip
    shape = shape_of(f, [Layer(attention, part) for _ in range(layers) for part in (routed, dense)])
    if not routed.zero:
        return shape
    note = f"{routed.zero} experts return their input and have no weights, though transformers' own class allocates some"
    return replace(shape, notes=(note,))


def glm4_lite(f: Fields) -> Shape:
    """GLM 4.7 Flash: as DeepSeek V3, one dense layer in front."""
    layers = f.count("num_hidden_layers")
    sparse = after_first(f, layers) if f.value("mlp_layer_types") is not None else [number > 0 for number in range(layers)]
    feed = by_layer(lambda: read_dense(f), read_routed(f, router_bias=True), sparse)
    return shape_of(f, [Layer(read_latent(f), part) for part in feed])


def gate_weights(d: int, width: int) -> tuple[Weight, ...]:
    """What makes the gate of an attention's output."""
    return (Weight("self_attn.g_proj", "attention", d, width),)


READERS = {
    "deepseek_v2": deepseek_v2,
    "deepseek_v3": deepseek_v3,
    "kimi_k2": deepseek_v3,
    "deepseek_v32": indexed,
    "hy_v4": hy_v4,
    "glm_moe_dsa": indexed,
    "glm4_moe_lite": glm4_lite,
    "deepseek_v4": deepseek_v4,
    "deepseek_ref": deepseek_v4,
    "longcat_flash": longcat,
    "sarvam_mla": deepseek_v3,
    "youtu": dense_latent,
    "minicpm3": dense_latent,
}
