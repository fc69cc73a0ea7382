"""Shapes from Hugging Face configurations: known checkpoints, transformers' defaults, every way to be wrong."""

from __future__ import annotations

import copy
import json
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.cache import kv_tokens
from inferometer.emulator.workload.catalogue import load_shape, model_names
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.hugging_face.model_types import model_types
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.shape import Heads, Latent, Shape

LLAMA = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
    "num_attention_heads": 32, "vocab_size": 32000, "max_position_embeddings": 4096,
}  # fmt: skip
QWEN3 = {
    "model_type": "qwen3", "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28,
    "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936,
    "tie_word_embeddings": True, "sliding_window": None, "use_sliding_window": False, "max_window_layers": 28,
    "max_position_embeddings": 40960, "attention_bias": False,
}  # fmt: skip
MOE = QWEN3 | {
    "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 48,
    "num_attention_heads": 32, "num_key_value_heads": 4, "moe_intermediate_size": 768, "num_experts": 128,
    "num_experts_per_tok": 8, "decoder_sparse_step": 1, "mlp_only_layers": [], "tie_word_embeddings": False,
}  # fmt: skip
MISTRAL = {
    "model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "sliding_window": 4096,
}  # fmt: skip
DEEPSEEK = json.loads(files("inferometer.configs.models").joinpath("deepseek-v3.json").read_text())
BUILT_IN = [json.loads(files("inferometer.configs.models").joinpath(f"{name}.json").read_text()) for name in model_names()]

# As the Hugging Face Hub counts the tensors of each checkpoint (Falcon-7B, GPT-2: without the tied output matrix).
CHECKPOINTS = {
    "Qwen/Qwen3-0.6B": (QWEN3, 596_049_920),
    "Qwen/Qwen3-8B": (
        QWEN3 | {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
                 "tie_word_embeddings": False}, 8_190_735_360),
    "Qwen/Qwen3-30B-A3B": (MOE, 30_532_122_624),
    "Qwen/Qwen3-235B-A22B": (
        MOE | {"hidden_size": 4096, "moe_intermediate_size": 1536, "num_hidden_layers": 94, "num_attention_heads": 64},
        235_093_634_560),
    "Qwen/Qwen2-7B": (
        {"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
         "num_attention_heads": 28, "num_key_value_heads": 4, "vocab_size": 152064, "tie_word_embeddings": False,
         "use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 28}, 7_615_616_512),
    "mistralai/Mistral-7B-v0.1": (MISTRAL, 7_241_732_096),
    "openai-community/gpt2": (
        {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257},
        124_439_808),
    "tiiuae/falcon-7b": (
        {"model_type": "falcon", "hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71,
         "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False, "bias": False,
         "vocab_size": 65024}, 6_921_720_704),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_checkpoints_have_their_published_parameters(name):
    config, parameters = CHECKPOINTS[name]
    assert count(shape_from_config(config)).total == parameters


def test_a_head_wider_or_narrower_than_the_model_shares_out():
    """Mistral-Nemo: 32 heads of 128 in a model 5120 wide."""
    nemo = shape_from_config(MISTRAL | {"hidden_size": 5120, "head_dim": 128})
    assert nemo.attention == Heads(32, 8, 128, window=4096)
    assert shape_from_config(MISTRAL | {"hidden_size": 5120}).attention == Heads(32, 8, 160, window=4096)
    assert shape_from_config(MISTRAL | {"hidden_size": 5120, "head_dim": None}).attention == Heads(32, 8, 160, window=4096)


def test_what_transformers_takes_for_fields_left_out():
    assert shape_from_config(LLAMA).attention == Heads(32, 32, 128)
    assert shape_from_config(LLAMA | {"num_key_value_heads": None}).attention == Heads(32, 32, 128)
    left_out = {key: value for key, value in MISTRAL.items() if key not in ("num_key_value_heads", "sliding_window")}
    assert shape_from_config(left_out).attention == Heads(32, 8, 128, window=4096)
    assert shape_from_config(left_out).window_of(0) == 4096
    assert shape_from_config(left_out | {"num_key_value_heads": None}).attention == Heads(32, 32, 128, window=4096)
    assert shape_from_config({key: value for key, value in QWEN3.items() if key != "head_dim"}).attention.head_dim == 128
    assert not shape_from_config(LLAMA).tied_embeddings
    assert shape_from_config(LLAMA | {"tie_word_embeddings": True}).tied_embeddings
    assert shape_from_config({key: LLAMA[key] for key in LLAMA if key != "max_position_embeddings"}).max_context is None


def test_biases():
    shape = shape_from_config(LLAMA | {"attention_bias": True, "mlp_bias": True})
    assert shape.attention == Heads(32, 32, 128, bias=True, out_bias=True)
    assert shape.dense.bias
    assert count(shape).biases == 32 * (4 * 4096 + 2 * 11008 + 4096)


def test_sliding_windows():
    assert shape_from_config(MISTRAL).window_of(0) == 4096
    assert shape_from_config(MISTRAL | {"sliding_window": None}).window_of(27) is None
    switched_off = QWEN3 | {"sliding_window": 512}
    assert shape_from_config(switched_off).window_of(27) is None
    on = switched_off | {"use_sliding_window": True}
    assert shape_from_config(on).window_of(27) is None, "max_window_layers = 28: no layer is left for it"
    assert kv_tokens(shape_from_config(on | {"max_window_layers": 0}), 2048) == 512
    mixed = shape_from_config(on | {"max_window_layers": 21})
    assert (mixed.window_of(20), mixed.window_of(21)) == (None, 512)
    assert kv_tokens(mixed, 2048) == (21 * 2048 + 7 * 512) / 28
    assert kv_tokens(mixed, 100) == 100
    listed = on | {"layer_types": ["full_attention"] * 7 + ["sliding_attention"] * 21}
    assert shape_from_config(listed).window_of(6) is None
    assert shape_from_config(listed).window_of(7) == 512


def test_experts():
    moe = shape_from_config(MOE).experts
    assert (moe.count, moe.active, moe.d_ff, moe.shared) == (128, 8, 768, 0)
    two = shape_from_config(MOE | {"mlp_only_layers": [0, 1]})
    assert [two.has_experts(layer) for layer in range(3)] == [False, False, True]
    renamed = {key: value for key, value in MOE.items() if key != "num_experts"} | {"num_local_experts": 64}
    assert shape_from_config(renamed).experts.count == 64
    v3 = shape_from_config(DEEPSEEK)
    assert v3.attention == Latent(128, 1536, 512, 128, 64, 128)
    assert (v3.experts.count, v3.experts.active, v3.experts.shared) == (256, 8, 1)
    assert [v3.has_experts(layer) for layer in (2, 3)] == [False, True]
    assert shape_from_config(DEEPSEEK | {"q_lora_rank": None}).attention.query_rank is None
    assert shape_from_config(DEEPSEEK | {"n_shared_experts": None}).experts.shared == 0


def test_a_file_and_a_folder(tmp_path):
    folder = tmp_path / "my-model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "other.json").write_text(json.dumps(LLAMA))
    assert load_shape(folder) == load_shape(folder / "config.json")
    assert load_shape(folder).name == "my-model"
    assert load_shape(tmp_path / "other.json").name == "other"
    assert load_shape(str(folder)).source == str(folder / "config.json")


@pytest.mark.parametrize("name", model_names())
def test_built_in_shapes_say_where_they_come_from(name):
    shape = load_shape(name)
    assert shape.name == name
    assert len(shape.source) > 20
    assert ("no public architecture" in shape.source) == (name in ("gpt-3.5", "gpt-4"))


def test_the_built_in_models():
    current = """llama-3.1-8b llama-3.1-70b llama-3.2-1b llama-3.2-3b llama-4-scout qwen2.5-7b qwen2.5-72b qwen3-8b qwen3-32b
    qwen3-30b-a3b qwen3-235b-a22b qwen3.5-397b-a17b gpt-oss-120b deepseek-r1 deepseek-v3.2 deepseek-v4-flash kimi-k2 glm-4.5
    glm-5 minimax-m2.5 devstral-2 mistral-nemo gemma-3-27b nemotron-3-nano phi-4"""
    asked = """llama-2-7b llama-2-70b llama-3-8b llama-3-70b llama-3.1-405b mixtral-8x7b mixtral-8x22b mistral-large-2
    deepseek-v3 gpt-3 gpt-3.5 gpt-4 palm-8b palm-62b palm-540b falcon-180b gpt-j-6b"""
    assert {*asked.split(), *current.split()} == set(model_names())
    assert {name for name in model_names() if load_shape(name).parallel_attention} == {
        "palm-8b", "palm-62b", "palm-540b", "falcon-180b", "gpt-j-6b",
    }  # fmt: skip
    assert load_shape("llama-3.1-405b").attention.kv_heads == 8
    assert load_shape("falcon-180b").attention.kv_heads == 8
    assert load_shape("gpt-3").learned_positions == 2048


WRONG = [
    (LLAMA | {"model_type": "bert"}, "config: model_type = 'bert' is not supported: give a config.json of a type that"),
    (LLAMA | {"model_type": 3}, "model_type = '3' is not supported"),
    ({}, "config: model_type: missing; give a config.json"),
    ({key: LLAMA[key] for key in LLAMA if key != "hidden_size"}, "config: hidden_size: missing"),
    (LLAMA | {"hidden_size": "4096"}, "config: hidden_size = '4096': input should be a valid integer"),
    (LLAMA | {"hidden_size": 4096.5}, "config: hidden_size = 4096.5: input should be a valid integer"),
    (LLAMA | {"hidden_size": True}, "config: hidden_size = True: input should be a valid integer"),
    (LLAMA | {"num_hidden_layers": 0}, "config: num_hidden_layers = 0: input should be greater than 0"),
    (LLAMA | {"num_hidden_layers": 10**30}, "config: num_hidden_layers = 1000000000000000000000000000000: input should be"),
    (LLAMA | {"num_attention_heads": 30}, "config: hidden_size = 4096 does not divide by num_attention_heads = 30"),
    (LLAMA | {"num_key_value_heads": 5}, "config: query_heads = 32 is no multiple of kv_heads = 5 (32 = 6·5 + 2)"),
    (LLAMA | {"tie_word_embeddings": "yes"}, "config: tie_word_embeddings = 'yes': input should be a valid boolean"),
    (MOE | {"num_experts_per_tok": 129}, "config: active experts = 129 are more than the 128 there are"),
    (MOE | {"decoder_sparse_step": 0}, "config: decoder_sparse_step = 0: input should be greater than 0"),
    (MOE | {"mlp_only_layers": [48]}, "config: mlp_only_layers: 48 is beyond the last of num_hidden_layers = 48"),
    (QWEN3 | {"use_sliding_window": True, "sliding_window": 8, "layer_types": ["sliding_attention"]},
     "config: layer_types: 1 of num_hidden_layers = 28"),
    (DEEPSEEK | {"moe_layer_freq": 2}, "config: moe_layer_freq = 2: only 1"),
    (DEEPSEEK | {"first_k_dense_replace": 62}, "config: first_dense = 62 dense layers are more than layers = 61"),
    ({"model_type": "decoder", "colour": 1}, "missing"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "said"), WRONG)
def test_wrong_configurations_in_one_line(config, said):
    with pytest.raises(InputError) as error:
        shape_from_config(config)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_key_of_our_own_type_is_refused():
    with pytest.raises(InputError, match=r"config: gate: unknown key"):
        shape_from_config(next(config for config in BUILT_IN if config["model_type"] == "decoder") | {"gate": 1})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "expected an object with a model_type, found list"),
        (b'{"model_type": NaN}', "model_type = 'nan' is not supported"),
        (b"\xff\xfe", "not text"),
        (b"[" * 100_000, "brackets too deep"),
        (b'{"a":' * 100_000, "brackets too deep"),
        (b'{"model_type": ' + b"9" * 10_000 + b"}", "not JSON"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, text, said):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        load_shape(path)
    assert str(path) in str(error.value)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["llama-3", "Llama-3-71B"])
def test_unknown_names_are_told_the_known_ones(name):
    with pytest.raises(InputError, match=r"did you mean llama-3-\w+\?\): `inferometer models` lists"):
        load_shape(name)


@pytest.mark.parametrize("name", ["", "\0", "x" * 5000, "/nowhere", "/dev/zero"])
def test_hostile_names_in_one_line(name):
    with pytest.raises(InputError) as error:
        load_shape(name)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_a_folder_without_a_configuration(tmp_path):
    with pytest.raises(InputError, match=r"config\.json: cannot be read: No such file"):
        load_shape(tmp_path)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
near = st.integers(-2, 300) | st.sampled_from([0, 1, 2**31, 10**9, 10**18]) | st.booleans() | anything


@given(st.data())
def test_any_mutation_is_a_shape_or_one_line(data):
    config = copy.deepcopy(data.draw(st.sampled_from([*BUILT_IN, *(config for config, _ in CHECKPOINTS.values())])))
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=4)):
        if data.draw(st.booleans()):
            config[key] = data.draw(near)
        else:
            config.pop(key, None)
    if data.draw(st.booleans()):
        config["model_type"] = data.draw(st.sampled_from(model_types()))
    try:
        shape = shape_from_config(config)
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(shape, Shape)
        assert count(shape).total >= count(shape).active > 0


@given(st.binary(max_size=64) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused_in_one_line(tmp_path_factory, content):
    path: Path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_shape(path)
    assert "\n" not in str(error.value)
