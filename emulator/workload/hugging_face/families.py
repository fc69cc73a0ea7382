"""The model types of Llama's kind, one line each."""

from __future__ import annotations

from collections.abc import Callable

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.decoders import Family
from inferometer.emulator.workload.hugging_face.fields import Fields
from inferometer.emulator.workload.hugging_face.parts import (
    FULL,
    SLIDING,
    Pattern,
    after_first,
    all_sliding,
    by_layer,
    every,
    late_sliding,
    read_dense,
    read_experts,
    stepped,
    switched,
)
from inferometer.emulator.workload.kinds.kind import FeedForward


def mixtral(f: Fields, layers: int) -> list[FeedForward]:
    return [read_experts(f, count=("num_local_experts",), width="intermediate_size")] * layers


def local_experts(f: Fields, layers: int) -> list[FeedForward]:
    return [read_experts(f, count=("num_experts", "num_local_experts"), width="intermediate_size")] * layers


def qwen3_moe(f: Fields, layers: int) -> list[FeedForward]:
    sparse = stepped(f, layers)
    experts = read_experts(f, count=("num_experts", "num_local_experts")) if any(sparse) else None
    return by_layer(lambda: read_dense(f), experts, sparse)


def qwen2_moe(f: Fields, layers: int) -> list[FeedForward]:
    sparse, width = stepped(f, layers), "shared_expert_intermediate_size"
    experts = read_experts(f, count=("num_experts",), shared_width=width, shared_gate=True) if any(sparse) else None
    return by_layer(lambda: read_dense(f), experts, sparse)


def alternating(f: Fields, layers: int) -> list[str]:
    """Every other layer below max_window_layers, where it is switched on (Qwen2-MoE)."""
    on, below = f.flag("use_sliding_window"), f.amount("max_window_layers")
    return [SLIDING if on and (number + 1) % 2 and number < below else FULL for number in range(layers)]


def switched_at_once(f: Fields, layers: int) -> list[str]:
    """A window in all layers, where it is switched on (Qwen3-MoE)."""
    return [SLIDING if f.flag("use_sliding_window") and f.value("sliding_window") is not None else FULL] * layers


def unless_off(f: Fields, layers: int) -> list[str]:
    """A window in all layers, unless it is switched off (Qwen3-Omni)."""
    on = f.value("use_sliding_window") is not False and f.value("sliding_window") is not None
    return [SLIDING if on else FULL] * layers


def glm4_moe(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(f, shared=("n_shared_experts", "num_shared_experts"), router_bias=True)
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers))


def solar(f: Fields, layers: int) -> list[FeedForward]:
    return [read_experts(f, shared=("n_shared_experts",), router_bias=True)] * layers


def minimax_m2(f: Fields, layers: int) -> list[FeedForward]:
    return [read_experts(f, count=("num_local_experts",), width="intermediate_size", router_bias=True)] * layers


def afmoe(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(f, count=("num_experts",), shared=("num_shared_experts",), router_bias=True)
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers, "num_dense_layers"))


def ernie(f: Fields, layers: int) -> list[FeedForward]:
    """Experts between two layers, in each moe_layer_interval-th."""
    if isinstance(f.value("moe_num_experts"), list) or isinstance(f.value("moe_intermediate_size"), list):
        raise InputError("moe_num_experts: a list, of experts for text and images, is not supported")
    first, interval = f.amount("moe_layer_start_index"), f.count("moe_layer_interval")
    last = f.value("moe_layer_end_index")
    last = layers - 1 if last in (None, -1) else f.amount("moe_layer_end_index")
    sparse = [(number + 1) % interval == 0 and first <= number <= last for number in range(layers)]
    experts = read_experts(
        f,
        count=("moe_num_experts",),
        active=("moe_k",),
        shared=("moe_num_shared_experts",),
        router_bias=True,
        shared_bias="use_bias",
    )
    return by_layer(lambda: read_dense(f, bias="use_bias"), experts, sparse)


def exaone_moe(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(f, count=("num_experts",), shared=("num_shared_experts",), router_bias=True)
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers))


def mellum(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(f, count=("num_local_experts",))
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers))


def granite_moe(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(
        f, count=("num_local_experts",), width="intermediate_size", shared_width="shared_intermediate_size"
    )
    return [experts] * layers


def aria(f: Fields, layers: int) -> list[FeedForward]:
    names = {"count": ("moe_num_experts",), "active": ("moe_topk",), "shared": ("moe_num_shared_experts",)}
    return [read_experts(f, width="intermediate_size", shared_bias="mlp_bias", **names)] * layers  # type: ignore[arg-type]


def sliding_pattern(default: int) -> Pattern:
    """Each sliding_window_pattern-th layer sees everything."""

    def pattern(f: Fields, layers: int) -> list[str]:
        if f.value("sliding_window") is None:
            return [FULL] * layers
        step = f.maybe("sliding_window_pattern") or default
        return every(step)(f, layers)

    return pattern


def exaone_pattern(f: Fields, layers: int) -> list[str]:
    word = f.value("sliding_window_pattern")
    if isinstance(word, str):
        if not word or set(word) - set("LG") or layers % len(word):
            raise InputError(f"sliding_window_pattern = {word[:40]!r}: L or G for each of some layers that divide {layers}")
        return [SLIDING if letter == "L" else FULL for letter in word * (layers // len(word))]
    step = f.maybe("sliding_window_pattern")
    if f.value("sliding_window") is None or step is None:
        raise InputError("sliding_window: missing; transformers needs it where layer_types is missing")
    return every(step)(f, layers)


def first_of_four(f: Fields, layers: int) -> list[str]:
    return [SLIDING if number % 4 else FULL for number in range(layers)]


def unrotated(f: Fields, layers: int) -> list[str]:
    """A window in the layers without rotary positions, where it is switched on (SmolLM3)."""
    marks, step = f.numbers("no_rope_layers", layers), f.count("no_rope_layer_interval")
    rotated = marks if marks is not None else [int((number + 1) % step != 0) for number in range(layers)]
    on = f.flag("use_sliding_window") and f.value("sliding_window") is not None
    return [SLIDING if on and not one else FULL for one in rotated]


def first_of_pattern(full: Callable[[int, int], bool]) -> Pattern:
    """full: of the layer's number and the number of layers, whether it sees everything."""
    return lambda f, layers: [FULL if full(number, layers) else SLIDING for number in range(layers)]


def flint(f: Fields, layers: int) -> list[FeedForward]:
    if f.numbers("mlp_only_layers") is None:
        f.given["mlp_only_layers"] = [number for number in (0, 1) if number < layers]
    sparse, width = stepped(f, layers), "shared_expert_intermediate_size"
    experts = read_experts(f, count=("num_experts",), shared_width=width) if any(sparse) else None
    return by_layer(lambda: read_dense(f), experts, sparse)


def kolibri(f: Fields, layers: int) -> list[FeedForward]:
    width = "shared_expert_intermediate_size"
    return [read_experts(f, count=("num_local_experts",), shared_width=width, router_bias=True)] * layers


def hy_v3(f: Fields, layers: int) -> list[FeedForward]:
    """One dense layer in front."""
    names = {"count": ("num_experts",), "shared": ("num_shared_experts",)}
    experts = read_experts(f, router_bias=True, shared_bias="mlp_bias", **names)  # type: ignore[arg-type]
    listed = f.value("mlp_layer_types") is not None
    sparse = after_first(f, layers) if listed else [number > 0 for number in range(layers)]
    return by_layer(lambda: read_dense(f, bias="mlp_bias"), experts, sparse)


def cohere2_moe(f: Fields, layers: int) -> list[FeedForward]:
    experts = read_experts(f, count=("num_experts",), width="intermediate_size", shared=("num_shared_experts",))
    return by_layer(lambda: read_dense(f), experts, after_first(f, layers))


LLAMA = Family(bias="attention_bias", ff_bias="mlp_bias")
QWEN3 = Family(bias="attention_bias", qk_norm=True, pattern=switched)
OLMO2 = Family(bias="attention_bias", wide_norm=True)

READERS: dict[str, Family] = {
    "llama": LLAMA,
    "mistral": Family(pattern=all_sliding),
    "ministral": Family(pattern=all_sliding),
    "ministral3": Family(pattern=all_sliding),
    "mixtral": Family(pattern=all_sliding, feed=mixtral),
    "qwen2": Family(bias=True, out_bias=False, pattern=switched),
    "mimo": Family(bias=True, out_bias=False, pattern=switched),
    "qwen3": QWEN3,
    "qwen3_moe": Family(bias="attention_bias", qk_norm=True, pattern=switched_at_once, feed=qwen3_moe),
    "qwen2_moe": Family(bias="qkv_bias", out_bias=False, pattern=alternating, feed=qwen2_moe),
    "qwen2_vl_text": Family(bias=True, out_bias=False, pattern=switched),
    "qwen2_5_vl_text": Family(bias=True, out_bias=False, pattern=switched),
    "qwen3_vl_text": Family(bias="attention_bias", qk_norm=True),
    "qwen3_vl_moe_text": Family(bias="attention_bias", qk_norm=True, feed=qwen3_moe),
    "arcee": Family(bias="attention_bias", ff_bias="mlp_bias", gated=False),
    "seed_oss": Family(bias="attention_bias", out_bias="attention_out_bias", ff_bias="mlp_bias"),
    "granite": LLAMA,
    "granitemoe": Family(bias="attention_bias", feed=local_experts),
    "granitemoeshared": Family(bias="attention_bias", feed=granite_moe),
    "helium": Family(bias="attention_bias", out_bias=False, ff_bias="mlp_bias", square_out=True),
    "exaone4": Family(qk_norm=True, pattern=exaone_pattern),
    "exaone_moe": Family(qk_norm=True, pattern=exaone_pattern, feed=exaone_moe),
    "glm": Family(bias="attention_bias", out_bias=False),
    "glm4": Family(bias="attention_bias", out_bias=False, norms=4),
    "glm4v_text": Family(bias=True, out_bias=False, norms=4),
    "glm_ocr_text": Family(norms=4),
    "glm4v_moe_text": Family(bias="attention_bias", out_bias=False, qk_norm="use_qk_norm", feed=glm4_moe),
    "glm4_moe": Family(bias="attention_bias", out_bias=False, qk_norm="use_qk_norm", feed=glm4_moe),
    "dots1": Family(bias="attention_bias", qk_norm=True, pattern=late_sliding, feed=glm4_moe),
    "solar_open": Family(bias="attention_bias", out_bias=False, feed=solar),
    "olmo": Family(bias="attention_bias", norm_scales=False),
    "olmo2": OLMO2,
    "olmo3": Family(bias="attention_bias", wide_norm=True, pattern=every(4)),
    "olmoe": Family(bias="attention_bias", wide_norm=True, feed=local_experts),
    "flex_olmo": Family(bias="attention_bias", wide_norm=True, feed=local_experts),
    "minimax_m2": Family(wide_norm=True, feed=minimax_m2),
    "afmoe": Family(bias="attention_bias", qk_norm=True, gate="element", norms=4, pattern=every(4), feed=afmoe),
    "ernie4_5": Family(bias="use_bias", ff_bias="use_bias"),
    "ernie4_5_moe": Family(bias="use_bias", head_bias="use_bias", feed=ernie),
    "phi3": Family(pattern=all_sliding),
    "phimoe": Family(bias="attention_bias", norm_bias=True, head_bias="lm_head_bias", pattern=all_sliding, feed=mixtral),
    "starcoder2": Family(bias="use_bias", ff_bias="use_bias", gated=False, norm_bias=True, pattern=all_sliding),
    "smollm3": Family(bias="attention_bias", ff_bias="mlp_bias", pattern=unrotated),
    "cohere": Family(bias="attention_bias", head_norms="use_qk_norm", norms=1, parallel=True),
    "cohere2": Family(bias="attention_bias", norms=1, parallel=True, pattern=sliding_pattern(4)),
    "cwm": Family(ff_bias="mlp_bias", pattern=first_of_four),
    "gemma": Family(bias="attention_bias"),
    "internlm3": Family(bias="attention_bias", out_bias="mlp_bias", ff_bias="mlp_bias"),
    "jais2": Family(bias="attention_bias", ff_bias="mlp_bias", gated=False, norm_bias=True),
    "nemotron": Family(bias="attention_bias", ff_bias="mlp_bias", gated=False, norm_bias=True),
    "hunyuan_v1_dense": Family(bias="attention_bias", qk_norm=True),
    "hunyuan_vl_text": Family(bias="attention_bias", qk_norm=True),
    "paddleocr_vl_text": Family(bias="use_bias", ff_bias="use_bias"),
    "qwen2_5_omni_text": Family(bias=True, out_bias=False, pattern=switched),
    "qwen3_omni_moe_text": Family(bias="attention_bias", qk_norm=True, pattern=unless_off, feed=qwen3_moe),
    "mellum": Family(bias="attention_bias", qk_norm=True, feed=mellum),
    "bitnet": Family(bias="attention_bias", inner_norms=True),
    "aria_text": Family(bias="attention_bias", feed=aria),
    "nanochat": Family(bias="attention_bias", gated=False, norm_scales=False),
    "sarvam_moe": Family(bias="attention_bias", out_bias=False, qk_norm="use_qk_norm", feed=glm4_moe),
    "iquestcoder": LLAMA,
    "exaone": LLAMA,
    "granite_swa": Family(
        bias="attention_bias", ff_bias="mlp_bias", sinks=True, pattern=first_of_pattern(lambda n, _: n % 4 == 0)
    ),
    "granitemoe_swa": Family(
        bias="attention_bias", sinks=True, feed=granite_moe, pattern=first_of_pattern(lambda n, _: n % 4 == 0)
    ),
    "flint": Family(
        bias="attention_bias",
        sinks=True,
        qk_norm=True,
        feed=flint,
        pattern=first_of_pattern(lambda n, layers: n < 2 or n % 4 == 1 or n == layers - 1),
    ),
    "kolibri1": Family(qk_norm=True, norms=4, feed=kolibri, pattern=every(5)),
    "hy_v3": Family(bias="attention_bias", qk_norm=True, feed=hy_v3),
    "cohere2_moe": Family(bias="attention_bias", norms=1, parallel=True, feed=cohere2_moe, pattern=sliding_pattern(4)),
}
