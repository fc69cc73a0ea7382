"""Model types whose files come with code of their own, not in transformers: Ling, InternLM, Baichuan, GLM-4, Qwen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from inferometer.emulator.workload.hugging_face.decoders import Family
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.parts import after_first, by_layer, read_dense, read_experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.kinds.kind import FeedForward
from inferometer.emulator.workload.shape import Shape, uniform


def bailing(f: Fields, layers: int) -> list[FeedForward]:
    """Ling 1 and 2: shared experts may have a width of their own."""
    names = {"count": ("num_experts",), "shared": ("num_shared_experts",)}
    experts = read_experts(f, router_bias="moe_router_enable_expert_bias", **names)  # type: ignore[arg-type]
    width = f.maybe("moe_shared_expert_intermediate_size") or experts.d_ff
    experts = replace(experts, shared_d_ff=width * experts.shared if experts.shared else None)
    return by_layer(lambda: read_dense(f, bias="use_bias"), experts, after_first(f, layers))


def deepseek(f: Fields, layers: int) -> list[FeedForward]:
    """DeepSeekMoE 16B."""
    experts = read_experts(f, shared=("n_shared_experts",))
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers))


def chatglm(f: Fields) -> Shape:
    """ChatGLM2 to GLM-4-9B in the names of their own code."""
    query_heads, bias = f.count("num_attention_heads"), f.flag("add_bias_linear")
    kv_heads = f.count("multi_query_group_num") if f.flag("multi_query_attention") else query_heads
    heads = Heads(query_heads, kv_heads, f.count("kv_channels"), bias or f.flag("add_qkv_bias"), bias)
    return uniform(
        "", f.count("num_layers"), f.count("hidden_size"), f.count("ffn_hidden_size"), f.count("padded_vocab_size"), heads,
        linear_bias=bias, tied_embeddings=f.flag("tie_word_embeddings"), norm_bias=f.value("rmsnorm") is False,
    )  # fmt: skip


def qwen(f: Fields) -> Shape:
    """The first Qwen: intermediate_size is that of gate and up together."""
    query_heads = f.count("num_attention_heads")
    heads = Heads(query_heads, query_heads, f.count("kv_channels"), bias=True)
    return uniform(
        "", f.count("num_hidden_layers"), f.count("hidden_size"), f.count("intermediate_size") // 2, f.count("vocab_size"),
        heads, tied_embeddings=f.flag("tie_word_embeddings"),
    )  # fmt: skip


PLAIN = Family()
LING = Family(bias="use_qkv_bias", out_bias="use_bias", qk_norm="use_qk_norm", feed=bailing)

READERS: dict[str, Callable[[Fields], Shape]] = {
    "bailing_moe": LING,
    "bailing_moe_v2": LING,
    "internlm": Family(bias="bias"),
    "internlm2": Family(bias="bias"),
    "baichuan": PLAIN,
    "xverse": PLAIN,
    "Yi": PLAIN,
    "solar": PLAIN,
    "orion": Family(norm_bias=True),
    "minicpm": Family(bias="attention_bias"),
    "deepseek": Family(bias="attention_bias", feed=deepseek),
    "chatglm": chatglm,
    "qwen": qwen,
}
