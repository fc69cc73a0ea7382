"""What a configuration says that a shape would pass over: heads of other kinds, draft models, unknown fields."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.fields import Fields

LANGUAGE_MODEL = re.compile(r"(ForCausalLM|ForConditionalGeneration|LMHeadModel|ForImageTextToText|^ChatGLMModel)$")
DRAFT = re.compile(r"Eagle|Draft|Medusa|MTP|NextN|DFlash", re.IGNORECASE)
SHAPES = re.compile(r"(size|layers|heads|_dim|experts?|rank|window|kernel|width|groups|moe|kv_|conv|ssm)")
"""Names of fields that decide a shape."""
NEUTRAL = re.compile(
    r"vision|image|video|audio|token|patch|rope|rotary|beam|chunk|router|mtp|nextn|dtype|multiplier|scaling|factor|ep_size"
    r"|tp_size|_norm_|_norm$|norm_min|renorm|overlap|_func|_loss|use_.*kernels|hidden_states|attention_head_dim|qk_head_dim"
    r"|capacity|_mode$|_gate$|^org_vocab_size$|share_factor|time_step_rank|attn_res_block|initializer|pretraining|_eps|dropout|batch|max_.*_size|seq|group_size|topk_group|n_group|expert_group|max_window_layers|attention_head_size|^head_dim$|^num_key_value_heads$"
)
"""Names like those that decide no shape."""
DRAFT_FIELDS = (
    "draft_vocab_size",
    "eagle_config",
    "dflash_config",
    "target_hidden_size",
    "eagle_aux_hidden_state_layer_ids",
)
ASIDE = ("num_nextn_predict_layers", "num_mtp_layers", "num_mtp_modules", "mtp_num_hidden_layers", "mtp_num_layers")
"""Fields of layers that predict further tokens: not part of the model that serves."""


def check_head(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """Notes on the head. Raises InputError for a model that is no language model, or a draft of one."""
    classes = fields.get("architectures")
    for name in classes if isinstance(classes, list) else []:
        if not isinstance(name, str):
            continue
        if DRAFT.search(name):
            raise InputError(
                f"architectures = {name[:60]}: a draft model, whose layers and head are not a model's of its own"
            )
        if not LANGUAGE_MODEL.search(name):
            raise InputError(f"architectures = {name[:60]}: its head is no language model's")
    for key in DRAFT_FIELDS:
        if fields.get(key):
            raise InputError(f"{key}: a draft model, whose layers and head are not a model's of its own")
    return ()


def check_unread(read: Fields, kind: str) -> tuple[str, ...]:
    """Notes on what was left aside. kind: the model_type.

    Raises InputError for a field that is not known and would change the shape.
    """
    if read.given.get("use_sliding_window") and "use_sliding_window" not in (read.read | read.fields):
        raise InputError(f"use_sliding_window = true: model_type {kind} has no window")
    for key, value in read.given.items():
        known = key in read.read or key in read.defaults or key in read.fields or key in ASIDE
        if not known and value and value is not True and SHAPES.search(key) and not NEUTRAL.search(key):
            raise InputError(f"{key} = {value!r:.60}: not known of model_type {kind}, though it may change the shape")
    notes = [f"{key} = {read.given[key]}: extra prediction layers are not counted" for key in ASIDE if read.given.get(key)]
    return tuple(notes)
