"""What transformers builds from a configuration: parameters, active ones, bytes of a bfloat16 cache after a step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from transformers import DynamicCache
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
)

TOKENS = 23
ROUTED = re.compile(r"(^|\.)(experts|input_linear|output_linear)\b")
EXPERTS = ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "moe_k", "moe_topk", "num_experts_per_token", "top_k_experts")


def class_of(kind: str) -> Any:
    """The model class of a model_type, or None where transformers has none for text."""
    import transformers

    name = MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES.get(kind) or MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(kind)
    name = name[0] if isinstance(name, (tuple, list)) else name
    return None if name is None else getattr(transformers, name)


def built(config: Any, kind: str) -> tuple[int, int, int | None, str]:
    """Parameters, active ones, cache bytes; why there are no cache bytes. config: of a model_type, kind."""
    text = config.get_text_config(decoder=True)
    for each in (config, text):
        each._experts_implementation = "eager"  # the other ones need widths that are multiples of 8
    with torch.device("meta"):
        model = class_of(kind)(config).eval()
    decoder = model if text is config else model.get_decoder()
    tensors = kept_tensors(decoder)
    if text is not config and (head := getattr(model, "lm_head", None) or model.get_output_embeddings()) is not None:
        tensors |= {f"head.{name}": tensor for name, tensor in kept_tensors(head).items()}
    tensors = {name: tensor for number, (name, tensor) in enumerate(tensors.items())
               if not any(tensor is other for other in list(tensors.values())[:number])}  # fmt: skip
    total = active = 0
    inner = getattr(text, "ffn_config", text)  # DBRX
    count, chosen = (
        next((getattr(inner, key) for key in keys if getattr(inner, key, None)), 1) for keys in (EXPERTS, CHOSEN)
    )
    count, chosen = getattr(inner, "moe_num_experts", count), getattr(inner, "moe_top_k", chosen)
    for name, tensor in tensors.items():
        total += tensor.numel()
        routed = ROUTED.search(name) and "shared" not in name
        active += tensor.numel() * chosen // count if routed else tensor.numel()
    try:
        return total, active, cache_bytes(decoder, text), ""
    except Exception as error:  # whatever a class of transformers' cannot do is no complaint about a reader
        return total, active, None, f"{error!r:.110}"


def kept_tensors(module: Any) -> dict[str, torch.Tensor]:
    """Parameters, and buffers that a checkpoint holds."""
    state = module.state_dict()
    return dict(module.named_parameters()) | {name: buffer for name, buffer in module.named_buffers() if name in state}


def cache_bytes(model: Any, text: Any) -> int:
    """Bytes that a bfloat16 cache holds after TOKENS tokens."""
    model = model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point():
            torch.nn.init.normal_(tensor, std=0.02)
        else:
            tensor.zero_()
    cache = None if text.model_type == "minimax" else DynamicCache(config=text)  # MiniMax has one of its own
    with torch.no_grad():
        done = model(torch.ones(1, TOKENS, dtype=torch.long), past_key_values=cache, use_cache=True)
    kept = getattr(done, "past_key_values", None) or getattr(done, "cache_params", None) or cache
    seen: dict[int, int] = {}
    for layer in (*kept.layers, kept):
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
