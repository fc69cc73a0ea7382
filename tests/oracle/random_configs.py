"""Small random configurations of a model_type, what transformers builds from each, and what Inferometer reads.

    python tests/oracle/random_configs.py --each 20 --seed 1 [model_type ...]

prints every configuration that is read differently from what transformers builds: parameters, active parameters, the bytes
that a bfloat16 cache holds after a forward pass. Needs transformers 5.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import random
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.cache import kv_elements, state_elements
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.hugging_face.model_types import READERS
from inferometer.emulator.workload.parameters import count

TOKENS = 23
FLAGS = re.compile(
    r"bias|norm$|_norm_|qk_norm|layernorm|^use_(?!cache|mamba|fast)|^tie_|multi_query|parallel|new_decoder|alibi|double"
)
NOT_FLAGS = re.compile(r"norm_topk|bidirectional|mambapy|use_grouped|moe_renorm|use_falcon|use_cache|return_dict|rescale")


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
        "num_attention_heads|n_head|n_heads": heads,
        "num_key_value_heads|num_kv_heads|swa_num_key_value_heads": rng.choice([x for x in (1, 2, 4) if heads % x == 0]),
        "num_hidden_layers|n_layer|num_layers": layers,
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
        "zero_expert_num": rng.randint(0, 2),
    }
    small = {key: value for keys, value in sizes.items() for key in keys.split("|")}
    for name, default in fields.items():
        if name in small:
            given[name] = small[name]
        elif isinstance(default, bool) and FLAGS.search(name) and not NOT_FLAGS.search(name):
            given[name] = rng.random() < 0.5
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
    if "sliding_window" in given and rng.random() < 0.3:
        given["sliding_window"] = None
    if "mamba_n_heads" in fields:
        given.update(mamba_n_heads=2 * heads, mamba_d_head="auto", mamba_n_groups=1, mamba_expand=2)
    if "mamba_num_heads" in fields:
        given.update(mamba_num_heads=4, mamba_head_dim=8, n_groups=rng.choice([1, 2]))
    if "expand" in fields and "num_heads" in fields:
        given.update(num_heads=2 * heads, head_dim=d // heads, expand=2, n_groups=1)
    if rng.random() < 0.5:
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
            "lfm2": "conv", "llama4_text": "chunked_attention",
        }.get(kind, "sliding_attention" if given.get("sliding_window") else "full_attention")  # fmt: skip
        if kind.startswith(("deepseek", "glm_moe", "minimax")):
            return found
        found["layer_types"] = [rng.choice([other, "full_attention"]) for _ in range(layers)]
    if "mlp_layer_types" in fields and kind != "deepseek_v4":
        found["mlp_layer_types"] = [rng.choice(["dense", "sparse"]) for _ in range(layers)]
    return found


def built(config: Any) -> tuple[int, int, int | None]:
    """Parameters, active ones, cache bytes as transformers has them."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    state = model.state_dict()
    tensors = dict(model.named_parameters()) | {name: buffer for name, buffer in model.named_buffers() if name in state}
    total = active = 0
    experts = next((getattr(config, key) for key in EXPERTS if getattr(config, key, None)), 1)
    chosen = next((getattr(config, key) for key in CHOSEN if getattr(config, key, None)), 1)
    for name, tensor in tensors.items():
        total += tensor.numel()
        routed = re.search(r"experts\.(gate_up_proj|down_proj|up_proj|gate_proj|w1|w2|input_linear|output_linear)", name)
        active += tensor.numel() * chosen // experts if routed and "shared" not in name else tensor.numel()
    return total, active, cache_bytes(model.to_empty(device="cpu"), config)


EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token", "top_k_experts")


def cache_bytes(model: Any, config: Any) -> int | None:
    from transformers import DynamicCache

    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.02)
        else:
            tensor.zero_()
    cache = DynamicCache(config=config)
    try:
        with torch.no_grad():
            done = model(torch.ones(1, TOKENS, dtype=torch.long), past_key_values=cache, use_cache=True)
    except Exception as error:  # whatever a class of transformers' cannot do is no complaint about a reader
        print(f"    cache not measured: {error!r:.150}", file=sys.stderr)
        return None
    kept = getattr(done, "past_key_values", None) or getattr(done, "cache_params", None) or cache
    seen: dict[int, int] = {}
    for layer in kept.layers:
        for name, value in vars(layer).items():
            for tensor in tensors_in(value) if "window_tensor" not in name else ():
                if tensor.is_floating_point() and tensor.numel():
                    seen[tensor.data_ptr()] = tensor.numel()
    return 2 * sum(seen.values())


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)


def ours(fields: dict[str, Any]) -> tuple[int, int, int]:
    shape = shape_from_config(fields)
    parameters, state = count(shape), state_elements(shape)
    return parameters.total, parameters.active, 2 * (int(kv_elements(shape, TOKENS)) + state.recurrent + state.recent)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*")
    parser.add_argument("--each", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="every causal language model type of transformers")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tally: Counter[str] = Counter()
    for kind in args.types or sorted(READERS):
        try:
            config_class = CONFIG_MAPPING[kind]
        except KeyError:
            continue
        one: Counter[str] = Counter()
        for number in range(args.each):
            rng = random.Random(f"{kind} {number} {args.seed}")
            given = draw(rng, config_class)
            try:
                config = config_class(**given)
                truth = built(config)
            except Exception as error:
                one["transformers refuses"] += 1
                last = f"{error!r:.130}"
                continue
            fields = json.loads(
                json.dumps(config.to_dict() if rng.random() < 0.5 else given | {"model_type": kind}, default=str)
            )
            fields["model_type"] = kind
            try:
                read = ours(fields)
            except InputError as error:
                one["refused"] += 1
                if one["refused"] == 1:
                    print(f"  {kind}: refused: {error}")
                continue
            wrong = [name for name, a, b in zip(("total", "active", "cache"), read, truth) if b is not None and a != b]
            one["different" if wrong else "exact"] += 1
            if wrong and one["different"] <= 2:
                print(f"  {kind}: {wrong}: read {read}, built {truth}: {json.dumps(given)}")
        if one["transformers refuses"] == args.each:
            print(f"  {kind}: transformers: {last}")
        tally.update(one)
        print(f"{kind}: {dict(one)}", flush=True)
    print(dict(tally))
    return 1 if tally["different"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
