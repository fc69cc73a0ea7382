"""Small configurations of further model types, to the last parameter and cached byte that transformers 5.24 has of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.parameters import all_weights, count
from inferometer.emulator.workload.storage.summary import model_record

ROWS = json.loads((Path(__file__).parents[2] / "data" / "further_types.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["config"]["model_type"])
def test_parameters_and_cache(row):
    shape = shape_from_config(row["config"])
    assert count(shape).total == row["parameters"]
    routed = sum(times * weight.elements for weight, times in all_weights(shape) if weight.used is not None)
    if row["routed"]:
        assert routed == row["routed"]
    if row["cache"] is not None:
        assert model_record(shape, context=24)["cache_bytes_bfloat16"] == row["cache"]


LLAMA = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}


@pytest.mark.parametrize(
    ("kind", "outer", "inner", "tied"),
    [
        ("idefics3", None, True, False), ("idefics3", True, None, True), ("deepseek_vl", None, False, True),
        ("deepseek_vl", False, True, False), ("llava", None, True, True), ("llava", False, True, True),
        ("llava", None, None, False),
    ],
)  # fmt: skip
def test_whose_head_is_the_embedding(kind, outer, inner, tied):
    """The whole model decides or the language model, by its type; transformers 5.24 has it so."""
    text = {**LLAMA, **({} if inner is None else {"tie_word_embeddings": inner})}
    config = {"model_type": kind, "text_config": text, **({} if outer is None else {"tie_word_embeddings": outer})}
    assert shape_from_config(config).tied_embeddings is tied


def test_a_scheme_of_the_language_model_is_read_and_mtp_alone_may_be_excluded():
    scheme = {"quant_method": "fp8", "modules_to_not_convert": ["mtp*", "mtp.layers.0*"]}
    nested = {"model_type": "llava", "auto_map": {}, "text_config": {**LLAMA, "quantization_config": scheme}}
    for config in (nested, {**LLAMA, "quantization_config": scheme}):
        quantization = shape_from_config(config).quantization
        assert quantization is not None and quantization.default.name.startswith("fp8")
    wrong = {**LLAMA, "quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["no.such.module"]}}
    with pytest.raises(InputError, match="exclude list: none of 1 patterns"):
        shape_from_config(wrong)


def test_the_inner_width_of_a_state_space_layer_is_no_second_opinion():
    config = {"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 80}
    with pytest.raises(InputError, match="intermediate_size = 80 is not expand·hidden_size = 128"):
        shape_from_config(config)
