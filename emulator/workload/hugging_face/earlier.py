"""Earlier model types: plain feed-forwards, biases, names of their own."""

from __future__ import annotations

from dataclasses import replace

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.decoders import Family
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.parts import head_width, read_heads
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.shape import Shape, uniform
from inferometer.emulator.workload.weights import vector


def falcon(f: Fields) -> Shape:
    """Attention and feed-forward in parallel; several query heads to a key-value head."""
    query_heads, d = f.count("num_attention_heads"), f.count("hidden_size")
    new = f.flag("new_decoder_architecture")
    kv_heads = 1 if f.flag("multi_query") else query_heads
    if new:
        kv_heads = f.maybe("num_kv_heads") or query_heads
    parallel = new or f.flag("parallel_attn")
    norms = 1 if f.flag("parallel_attn") and not new else 2
    if new and f.value("num_ln_in_parallel_attn") is not None:
        norms = f.count("num_ln_in_parallel_attn")
        if norms > 2:
            raise InputError(f"num_ln_in_parallel_attn = {norms}: 1 or 2")
    bias = f.flag("bias")
    shape = uniform(
        "", f.count("num_hidden_layers"), d, f.maybe("ffn_hidden_size") or 4 * d, f.count("vocab_size"),
        Heads(query_heads, kv_heads, head_width(d, query_heads), bias, bias), gated=False, norms_per_layer=norms,
        tied_embeddings=f.flag("tie_word_embeddings"), parallel_attention=parallel, norm_bias=True, linear_bias=bias,
    )  # fmt: skip
    if new and kv_heads < query_heads:
        note = (
            "transformers' own class caches keys and values of every query head; engines keep num_kv_heads of them, as here "
            "(vLLM, model_executor/models/falcon.py)"
        )
        shape = replace(shape, notes=(note,))
    return shape


def gpt2(f: Fields) -> Shape:
    """Learned positions, biases everywhere but in the head."""
    d, heads = f.count("n_embd", "hidden_size"), f.count("n_head", "num_attention_heads")
    if f.flag("add_cross_attention"):
        raise InputError("add_cross_attention = true: the decoder of an encoder is not supported")
    attention = Heads(heads, heads, _width(d, heads), bias=True, out_bias=True)
    return uniform(
        "", f.count("n_layer", "num_hidden_layers"), d, f.maybe("n_inner") or 4 * d, f.count("vocab_size"), attention,
        gated=False, tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=True, linear_bias=True,
        learned_positions=f.count("n_positions"),
    )  # fmt: skip


def gpt_neo(f: Fields) -> Shape:
    """Learned positions; some layers attend to the last tokens alone, but keep all."""
    d, heads = f.count("hidden_size"), f.count("num_heads", "num_attention_heads")
    shape = uniform(
        "", f.count("num_layers", "num_hidden_layers"), d, f.maybe("intermediate_size") or 4 * d, f.count("vocab_size"),
        Heads(heads, heads, _width(d, heads), out_bias=True), gated=False, norm_bias=True, linear_bias=True,
        tied_embeddings=f.flag("tie_word_embeddings"), learned_positions=f.count("max_position_embeddings"),
    )  # fmt: skip
    f.value("attention_types"), f.value("attention_layers"), f.value("window_size")
    return replace(shape, notes=("layers with a window are priced as full ones: transformers' own class caches all tokens",))


def gpt_bigcode(f: Fields) -> Shape:
    d, heads = f.count("n_embd", "hidden_size"), f.count("n_head", "num_attention_heads")
    if f.flag("add_cross_attention"):
        raise InputError("add_cross_attention = true: the decoder of an encoder is not supported")
    kv_heads = 1 if f.flag("multi_query") else heads
    return uniform(
        "", f.count("n_layer", "num_hidden_layers"), d, f.maybe("n_inner") or 4 * d, f.count("vocab_size"),
        Heads(heads, kv_heads, _width(d, heads), bias=True, out_bias=True), gated=False, norm_bias=True, linear_bias=True,
        tied_embeddings=f.flag("tie_word_embeddings"), learned_positions=f.count("n_positions"),
    )  # fmt: skip


def gptj(f: Fields) -> Shape:
    """Rotary positions, attention and feed-forward in parallel behind one norm, biases there and in the head."""
    d, heads = f.count("n_embd", "hidden_size"), f.count("n_head", "num_attention_heads")
    tied = f.flag("tie_word_embeddings")
    return uniform(
        "", f.count("n_layer", "num_hidden_layers"), d, f.maybe("n_inner") or 4 * d, f.count("vocab_size"),
        Heads(heads, heads, _width(d, heads)), gated=False, tied_embeddings=tied, parallel_attention=True, norms_per_layer=1,
        norm_bias=True, linear_bias=True, head_bias=True,
    )  # fmt: skip


def gpt_neox(f: Fields) -> Shape:
    """Attention and feed-forward in parallel, each behind its norm."""
    heads = read_heads(f, bias="attention_bias", out_bias="attention_bias")
    heads = Heads(heads.query_heads, heads.query_heads, heads.head_dim, heads.bias, heads.out_bias)
    return uniform(
        "", f.count("num_hidden_layers"), f.count("hidden_size"), f.count("intermediate_size"), f.count("vocab_size"), heads,
        gated=False, tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=True, linear_bias=True,
        parallel_attention=f.flag("use_parallel_residual"),
    )  # fmt: skip


def bloom(f: Fields) -> Shape:
    """Biases everywhere, a norm behind the embedding; no positions have weights."""
    d, heads = f.count("hidden_size", "n_embed"), f.count("n_head", "num_attention_heads")
    shape = uniform(
        "", f.count("n_layer", "num_hidden_layers"), d, 4 * d, f.count("vocab_size"),
        Heads(heads, heads, _width(d, heads), bias=True, out_bias=True), gated=False, norm_bias=True, linear_bias=True,
        tied_embeddings=f.flag("tie_word_embeddings"),
    )  # fmt: skip
    return replace(shape, extra=(vector("word_embeddings_layernorm", "norms", 2 * d),))


def codegen(f: Fields) -> Shape:
    """GPT-J's block with queries, keys and values in one matrix."""
    return gptj(f)


def mpt(f: Fields) -> Shape:
    d, heads = f.count("d_model"), f.count("n_heads")
    if f.flag("no_bias") is False or f.inner("attn_config").get("qk_ln"):
        raise InputError("no_bias = false, or norms of queries and keys, are not supported")
    return uniform(
        "", f.count("n_layers"), d, f.count("expansion_ratio") * d, f.count("vocab_size"),
        Heads(heads, heads, _width(d, heads)), gated=False, tied_embeddings=f.flag("tie_word_embeddings"),
    )  # fmt: skip


def phi(f: Fields) -> Shape:
    heads = read_heads(f, bias=True, out_bias=True)
    if f.flag("qk_layernorm"):
        norms = tuple(vector(f"self_attn.{letter}_layernorm", "attention", 2 * heads.head_dim) for letter in "qk")
        heads = replace(heads, extra=norms)
    return uniform(
        "", f.count("num_hidden_layers"), f.count("hidden_size"), f.count("intermediate_size"), f.count("vocab_size"), heads,
        gated=False, tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=True, linear_bias=True, norms_per_layer=1,
        parallel_attention=True, head_bias=True,
    )  # fmt: skip


STABLELM = Family(bias="use_qkv_bias", out_bias=False, head_norms="qk_layernorm", norm_bias=True)


def stablelm(f: Fields) -> Shape:
    """Attention and feed-forward in parallel behind one norm, where use_parallel_residual says so."""
    shape = STABLELM(f)
    rotated = int(STABLELM.heads(f).head_dim * _rotary_part(f))
    if rotated % 2:
        raise InputError(f"partial_rotary_factor: {rotated} rotated elements of a head are no pairs")
    if not f.flag("use_parallel_residual"):
        return shape
    return replace(shape, stack=tuple(replace(layer, norms=1, parallel=True) for layer in shape.stack))


def _rotary_part(f: Fields) -> float:
    inner = f.inner("rope_parameters").get("partial_rotary_factor")
    part = f.value("partial_rotary_factor") if inner is None else inner
    if part is None:
        return 0.25
    if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 < part <= 1:
        raise InputError(f"partial_rotary_factor = {part!r:.60}: input should be a number above 0, at most 1")
    return float(part)


def _width(d: int, heads: int) -> int:
    if d % heads:
        raise InputError(f"n_embd = {d} does not divide by n_head = {heads}, and there is no head_dim")
    return d // heads


READERS = {
    "falcon": falcon,
    "gpt2": gpt2,
    "gpt_neo": gpt_neo,
    "gpt_bigcode": gpt_bigcode,
    "gptj": gptj,
    "gpt_neox": gpt_neox,
    "phi": phi,
    "bloom": bloom,
    "codegen": codegen,
    "mpt": mpt,
    "stablelm": stablelm,
}
