"""Types whose code is not in transformers, against the number of parameters that their checkpoints have."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.parameters import count

HEADS_32 = {"hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32, "tie_word_embeddings": False}
PUBLISHED = {
    "internlm2_5-7b": (7_737_708_544, HEADS_32 | {
        "model_type": "internlm2", "bias": False, "intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 92544,
    }),
    "Baichuan2-7B": (7_505_973_248, HEADS_32 | {
        "model_type": "baichuan", "intermediate_size": 11008, "vocab_size": 125696, "model_max_length": 4096,
    }),
    "Qwen-7B": (7_721_324_544, HEADS_32 | {
        "model_type": "qwen", "intermediate_size": 22016, "kv_channels": 128, "vocab_size": 151936, "no_bias": True,
    }),
    "glm-4-9b-chat": (9_399_951_360, HEADS_32 | {
        "model_type": "chatglm", "architectures": ["ChatGLMModel"], "add_bias_linear": False, "add_qkv_bias": True,
        "ffn_hidden_size": 13696, "kv_channels": 128, "multi_query_attention": True, "multi_query_group_num": 2,
        "num_hidden_layers": 40, "num_layers": 40, "padded_vocab_size": 151552, "vocab_size": 151552, "rmsnorm": True,
    }),
    "deepseek-moe-16b": (16_375_728_128, {
        "model_type": "deepseek", "first_k_dense_replace": 1, "hidden_size": 2048, "intermediate_size": 10944,
        "moe_intermediate_size": 1408, "n_routed_experts": 64, "n_shared_experts": 2, "num_attention_heads": 16,
        "num_experts_per_tok": 6, "num_hidden_layers": 28, "num_key_value_heads": 16, "vocab_size": 102400,
    }),
    "MiniCPM-2B": (2_724_880_896, {
        "model_type": "minicpm", "hidden_size": 2304, "intermediate_size": 5760, "num_attention_heads": 36,
        "num_hidden_layers": 40, "num_key_value_heads": 36, "vocab_size": 122753,
    }),
}  # fmt: skip
"""Parameters that the checkpoints on the Hub state."""

LING_MINI = {
    "model_type": "bailing_moe", "architectures": ["BailingMoeV2ForCausalLM"], "hidden_size": 2048, "vocab_size": 157184,
    "intermediate_size": 5120, "num_hidden_layers": 20, "num_attention_heads": 16, "num_key_value_heads": 4, "head_dim": 128,
    "first_k_dense_replace": 1, "num_experts": 256, "num_experts_per_tok": 8, "num_shared_experts": 1,
    "moe_intermediate_size": 512, "moe_shared_expert_intermediate_size": 512, "moe_router_enable_expert_bias": True,
    "use_qk_norm": True, "use_bias": False, "use_qkv_bias": False, "tie_word_embeddings": False,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_types_of_their_own_have_the_parameters_of_their_checkpoints(name):
    parameters, fields = PUBLISHED[name]
    assert count(shape_from_config(fields)).total == parameters


def test_ling_has_the_parameters_that_its_card_states():
    found = count(shape_from_config(LING_MINI))
    assert found.total == pytest.approx(16.26e9, rel=1e-3)
    assert found.active == pytest.approx(1.43e9, rel=3e-3)


def test_hunyuan_has_a_number_of_experts_per_layer_and_refuses_widths_that_differ():
    fields = {
        "model_type": "hunyuan_v1_moe", "hidden_size": 64, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_experts": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 96,
        "moe_topk": [2, 1], "num_shared_expert": [1, 1], "moe_intermediate_size": [32, 32],
    }  # fmt: skip
    shape = shape_from_config(fields)
    assert [layer.feed_forward.active for layer in shape.stack] == [2, 1]
    with pytest.raises(InputError, match="moe_intermediate_size"):
        shape_from_config(fields | {"moe_intermediate_size": [32, 16]})


def test_a_scheme_of_mlx_is_refused_rather_than_passed_over():
    with pytest.raises(InputError, match="quant_method = None"):
        shape_from_config(PUBLISHED["internlm2_5-7b"][1] | {"quantization": {"group_size": 64, "bits": 4}})


def test_a_scheme_of_quark_has_its_formats_and_names_one_that_is_not_known():
    weights = {"dtype": "fp4", "group_size": 32, "qscheme": "per_group"}
    scheme = {"quant_method": "quark", "exclude": ["lm_head"], "global_quant_config": {"weight": weights}}
    fields = PUBLISHED["internlm2_5-7b"][1]
    assert shape_from_config(fields | {"quantization_config": scheme}).quantization.name == "quark mxfp4"
    scheme["global_quant_config"] = {"weight": weights | {"dtype": "bfloat8"}}
    with pytest.raises(InputError, match="bfloat8"):
        shape_from_config(fields | {"quantization_config": scheme})
