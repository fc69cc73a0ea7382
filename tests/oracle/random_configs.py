"""Small random configurations of all model types that are read, beside what transformers builds from each.

    python -m venv /tmp/oracle && /tmp/oracle/bin/pip install -e . "transformers>=5"
    /tmp/oracle/bin/python tests/oracle/random_configs.py [--total 700] [--seed 0] [model_type ...]

Each configuration is read and built. The study compares parameters, active parameters and the bytes that a bfloat16 cache
holds after a forward pass, and prints how many are the same, refused by name or different, with the configuration of each
that differs. "more, as a note says": transformers' own class keeps more than engines do, by exactly the amount that the note
of the model explains. Exit status 1 if one differs.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import logging
import random
import re
import warnings
from collections import Counter
from typing import Any

from built import TOKENS, built, class_of

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.cache import kv_elements, state_elements
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.hugging_face.model_types import TEXT_OF, model_types
from inferometer.emulator.workload.kinds.experts import Experts
from inferometer.emulator.workload.kinds.heads import Heads
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.shape import Shape

TRIES = 12
"""Configurations after which a type of which transformers builds none is left out."""
FLAGS = re.compile(
    r"bias|norm$|_norm_|qk_norm|layernorm|^use_(?!cache|mamba|fast)|^tie_|multi_query|parallel|new_decoder|alibi|double"
)
NOT_FLAGS = re.compile(r"norm_topk|bidirectional|mambapy|use_grouped|moe_renorm|use_falcon|use_cache|return_dict|rescale")


WINDOWED = (
    "lfm3", "gemma2", "gemma3_text", "gemma3n_text", "gemma4_text", "gpt_oss", "olmo3", "afmoe", "granite_swa", "flint",
    "granitemoe_swa", "kolibri1", "vaultgemma", "cohere2", "cohere2_moe", "gemma4_unified_text",
)  # fmt: skip
"""Types of which transformers' own class cannot do without a window."""
SECTIONED = ("vl_text", "omni", "glm4v", "glm_ocr", "paddleocr")
"""Types with rotary positions in sections, which have to fit the head."""


def draw(rng: random.Random, config_class: Any) -> dict[str, Any]:
    """Fields of a small model: every field whose name says that it decides the shape gets a small value."""
    given: dict[str, Any] = {}
    fields = {field.name: field.default for field in dataclasses.fields(config_class)}
    heads = rng.choice([1, 2, 4])
    dim = rng.choice([4, 8, 16])
    layers = rng.randint(1, 7)
    experts = rng.choice([2, 3, 4, 8])
    d = heads * dim * rng.choice([1, 1, 2])
    sizes = {
        "hidden_size|n_embd|d_model": d,
        "num_attention_heads|n_head|n_heads|num_heads": heads,
        "num_key_value_heads|num_kv_heads|swa_num_key_value_heads": rng.choice([x for x in (1, 2, 4) if heads % x == 0]),
        "num_hidden_layers|n_layer|n_layers|num_layers": layers,
        "head_dim|swa_head_dim|global_head_dim|kv_channels": rng.choice([dim, 8, 16]),
        "v_head_dim|swa_v_head_dim": rng.choice([4, 8]),
        "qk_nope_head_dim": rng.choice([4, 8]),
        "qk_rope_head_dim": rng.choice([2, 4]),
        "kv_lora_rank|o_lora_rank": rng.choice([4, 8]),
        "intermediate_size|ffn_hidden_size|n_inner|intermediate_size_mlp|dense_intermediate_size": rng.choice([12, 16, 24]),
        "moe_intermediate_size|expert_ffn_hidden_size": rng.choice([6, 8, 10]),
        "shared_expert_intermediate_size|moe_shared_expert_intermediate_size|shared_intermediate_size": rng.choice([6, 8]),
        "vocab_size|vocab_size_per_layer_input": rng.choice([30, 41, 64]),
        "num_local_experts|num_experts|n_routed_experts|moe_num_experts": experts,
        "num_experts_per_tok|moe_k|moe_topk|num_experts_per_token|top_k_experts": rng.randint(1, min(2, experts)),
        "n_shared_experts|num_shared_experts|moe_num_shared_experts": rng.randint(1, 2),
        "sliding_window": rng.choice([4, 7, 16]),
        "attention_chunk_size": rng.choice([4, 8]),
        "max_window_layers": rng.randint(0, layers),
        "first_k_dense_replace|num_dense_layers|moe_layer_start_index": rng.randint(0, layers - 1),
        "decoder_sparse_step|moe_layer_interval|interleave_moe_layer_step": rng.randint(1, 2),
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": rng.choice([4, 8]),
        "laurel_rank": 4,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": rng.choice([2, 4]),
        "linear_num_heads|linear_key_head_dim|linear_value_head_dim|linear_head_dim": 8,
        "index_n_heads": rng.choice([1, 2]),
        "index_head_dim": 8,
        "index_topk": 8,
        "max_position_embeddings|n_positions": rng.choice([64, 96]),
        "state_size|ssm_state_size|mamba_d_state": rng.choice([4, 8]),
        "n_group|topk_group|num_expert_group|o_groups|hc_mult": 1,
        "conv_L_cache": 3,
        "attn_layer_indices": sorted({0, layers - 1}),
        "attn_layer_period": 2,
        "attn_layer_offset": 0,
        "expert_layer_offset": rng.randint(0, 1),
        "rotary_dim": 2,
        "qk_head_dim": None,
        "zero_expert_num": rng.randint(0, 2),
    }
    small = {key: value for keys, value in sizes.items() for key in keys.split("|")}
    for name, default in fields.items():
        if name in small:
            given[name] = small[name]
        elif isinstance(default, bool) and FLAGS.search(name) and not NOT_FLAGS.search(name):
            given[name] = rng.random() < 0.5
    if not config_class.model_type.startswith("step3p"):
        given["pad_token_id"] = None
    if "q_lora_rank" in fields:
        given["q_lora_rank"] = rng.choice([6, 8, None]) if config_class.model_type.startswith("deepseek_v") else 6
    if "head_dim" in given and rng.random() < 0.4:
        given.pop("head_dim")
        given["head_dim"] = None if fields["head_dim"] is None else given["hidden_size"] // heads
    if "num_key_value_heads" in given and rng.random() < 0.15:
        given["num_key_value_heads"] = None
    if "mlp_only_layers" in fields:
        given["mlp_only_layers"] = sorted(rng.sample(range(layers), rng.randint(0, min(1, layers))))
    windows = rng.random() < 0.7 or config_class.model_type in WINDOWED
    if "sliding_window" in given and not windows:
        given["sliding_window"] = None
    if "kv_lora_rank" in given:
        given["num_key_value_heads"] = heads
    if "mamba_n_heads" in fields:
        given.update(mamba_n_heads=2 * heads, mamba_d_head="auto", mamba_n_groups=1, mamba_expand=2)
    if "mamba_num_heads" in fields:
        given.update(mamba_num_heads=4, mamba_head_dim=8, n_groups=rng.choice([1, 2]))
    if "expand" in fields and "num_heads" in fields:
        given.update(num_heads=2 * heads, head_dim=d // heads, expand=2, n_groups=1)
    if config_class.model_type == "gpt_neo":
        given["num_layers"] = layers + layers % 2
        given["attention_types"] = [[["global", "local"], given["num_layers"] // 2]]
    if config_class.model_type == "dbrx":
        given["attn_config"] = {"kv_n_heads": rng.choice([1, heads]), "rope_theta": 1e4, "clip_qkv": 8.0}
        given["tie_word_embeddings"] = False
        given["ffn_config"] = {"hidden_size": d, "ffn_hidden_size": 24, "moe_num_experts": experts, "moe_top_k": 1}
        given["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4}
    if any(word in config_class.model_type for word in SECTIONED):
        half = (given.get("head_dim") or d // heads) // 2
        parts = [half - 2 * (half // 3), half // 3, half // 3]
        given["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": parts}
        given["rope_parameters"]["partial_rotary_factor"] = 1.0
    if rng.random() < 0.5 or config_class.model_type in ("granitemoehybrid", "nemotron_h"):
        given.update(layer_types_of(rng, config_class.model_type, fields, given, layers))
    return given


def layer_types_of(
    rng: random.Random, kind: str, fields: dict[str, Any], given: dict[str, Any], layers: int
) -> dict[str, Any]:
    """A pattern of layers, where the type has one."""
    found: dict[str, Any] = {}
    if kind == "nemotron_h":
        found["hybrid_override_pattern"] = "M*" + "".join(rng.choice("ME*-") for _ in range(layers))
        found["num_hidden_layers"] = layers + 2
    elif "layer_types" in fields:
        other = {
            "qwen3_next": "linear_attention", "qwen3_5_text": "linear_attention", "qwen3_5_moe_text": "linear_attention",
            "olmo_hybrid": "linear_attention", "granitemoehybrid": "linear_attention", "kimi_linear": "linear_attention",
            "lfm2": "conv", "lfm3": "conv",
            "bailing_hybrid": "linear_attention", "llama4_text": "chunked_attention",
        }.get(kind, "sliding_attention" if given.get("sliding_window") else "full_attention")  # fmt: skip
        if kind.startswith(("deepseek", "glm_moe", "minimax", "hy_v4")):
            return found
        found["layer_types"] = [rng.choice([other, "full_attention"]) for _ in range(layers - 1)] + ["full_attention"]
    if "mlp_layer_types" in fields and kind != "deepseek_v4":
        found["mlp_layer_types"] = [rng.choice(["dense", "sparse"]) for _ in range(layers)]
    return found


def drawn(rng: random.Random, kind: str) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Fields of a file, the drawn ones alone, the configuration that transformers makes of them."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config_class = CONFIG_MAPPING[kind]
    text = TEXT_OF.get(kind)
    if text is None:
        given = draw(rng, config_class)
        config = config_class(**given)
        fields = config.to_dict() if rng.random() < 0.5 else given
    else:
        inner = config_class().get_text_config(decoder=True)
        given = {key: value for key, value in draw(rng, type(inner)).items() if key != "tie_word_embeddings"}
        given = {"text_config": given | {"model_type": inner.model_type}}
        if rng.random() < 0.5:
            given["tie_word_embeddings"] = rng.random() < 0.5
        if kind == "aya_vision":
            given["vision_config"] = {"model_type": "siglip_vision_model", "num_attention_heads": 16}
        if kind == "ovis2":  # whose head takes its sizes from the outer fields
            given |= {key: given["text_config"][key] for key in ("hidden_size", "vocab_size")}
        config = config_class(**given)
        fields = config.to_dict() if rng.random() < 0.5 else given
    fields = json.loads(json.dumps(fields, default=str))
    return fields | {"model_type": kind}, given, config


def explained(shape: Shape, fields: dict[str, Any]) -> list[int]:
    """By how much transformers' own class keeps more than engines do, as a note of the shape says: total, active, cache."""
    heads = shape.stack[0].attention
    if shape.model_type == "falcon" and isinstance(heads, Heads):
        return [0, 0, 2 * shape.layers * TOKENS * 2 * (heads.query_heads - heads.kv_heads) * heads.head_dim]
    if shape.model_type == "longcat_flash":
        routed = [part for part in (layer.feed_forward for layer in shape.stack) if isinstance(part, Experts)]
        more = sum(part.zero * 2 * shape.d_model * part.d_ff for part in routed)
        return [more, sum(part.zero * 2 * shape.d_model * part.d_ff * part.active // part.count for part in routed), 0]
    return [0, 0, 0]


def judged(rng: random.Random, kind: str) -> tuple[str, str]:
    """One drawn configuration: what became of it, and the details."""
    try:
        fields, given, config = drawn(rng, kind)
        *truth, why = built(config, kind)
    except Exception as error:
        return "not built", f"{error!r:.130}"
    try:
        shape = shape_from_config(fields)
    except InputError as error:
        return "refused by name", str(error)
    parameters, state = count(shape), state_elements(shape)
    read = [parameters.total, parameters.active, 2 * (int(kv_elements(shape, TOKENS)) + state.recurrent + state.recent)]
    if truth[2] is None:
        read[2:], truth[2:] = [], []
    if read == truth:
        return ("same, cache not run", why) if why else ("same", "")
    away = [b - a for a, b in zip(read, truth)]
    if shape.notes and away == explained(shape, fields)[: len(away)]:
        return "more, as a note says", shape.notes[0]
    return "different", f"read {read}, built {truth}: {json.dumps(given, default=str)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="default: all that are read and that transformers can build")
    parser.add_argument("--total", type=int, default=700, help="how many configurations that transformers can build")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.ERROR)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kinds = args.types or [kind for kind in model_types() if kind in CONFIG_MAPPING and class_of(kind) is not None]
    tallies = {kind: Counter[str]() for kind in kinds}
    given_up: dict[str, str] = {}
    for number, kind in ((number, kind) for number in itertools.count() for kind in kinds):
        one = tallies[kind]
        if sum(tally.total() - tally["not built"] for tally in tallies.values()) >= args.total or len(given_up) == len(
            kinds
        ):
            break
        if kind in given_up:
            continue
        result, detail = judged(random.Random(f"{kind} {number} {args.seed}"), kind)
        one[result] += 1
        if result == "different" or (args.verbose and result not in ("same", "not built")):
            print(f"  {kind}: {result}: {detail}", flush=True)
        if one["not built"] == one.total() == TRIES:
            given_up[kind] = detail
    for kind, detail in given_up.items():
        print(f"  {kind}: transformers built none of {TRIES}: {detail}")
    tally = sum(tallies.values(), Counter[str]())
    built_by_all = sum(tally.values()) - tally["not built"]
    types = sum(one.total() > one["not built"] for one in tallies.values())
    print(f"{built_by_all} configurations of {types} model types ({tally.pop('not built', 0)} more cannot be built)")
    for result, number in tally.most_common():
        print(f"  {number:5d}  {result}")
    return 1 if tally["different"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
