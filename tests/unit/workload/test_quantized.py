"""What a checkpoint stores each matrix in: formats, scales, exclude lists, every way to be wrong."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.hugging_face.config import shape_from_config
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.step import Step
from inferometer.emulator.workload.storage.quantization import Matcher
from inferometer.emulator.workload.storage.stored import formats_in_use, weight_bytes

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 100,
}  # fmt: skip
ATTENTION, FEED = 4 * 64 * 64, 3 * 64 * 128
REST = 2 * 100 * 64 + 5 * 64


def quantized(**scheme):
    return shape_from_config(TINY | {"quantization_config": scheme})


def test_nothing_is_16_bits():
    assert weight_bytes(shape_from_config(TINY)) == 2 * count(shape_from_config(TINY)).total
    assert weight_bytes(shape_from_config(TINY), 8) == count(shape_from_config(TINY)).total


@pytest.mark.parametrize(
    ("scheme", "bytes_of"),
    [
        # one 4-byte scale for each block of 128 × 128, of which every matrix here has one
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, lambda n, k: n + 4),
        ({"quant_method": "fp8"}, lambda n, k: n + 8),  # two scales per matrix
        ({"quant_method": "fbgemm_fp8"}, lambda n, k: n + 4 * n / k),  # one per row of outputs
        ({"quant_algo": "NVFP4"}, lambda n, k: n / 2 + n / 16 + 8),
        ({"quant_method": "gptq", "bits": 4, "group_size": 32}, lambda n, k: n / 2 + n / 32 * 2.5),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, lambda n, k: n / 2 + n / 64 * 2.5),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, lambda n, k: n / 2 + n / 64 * 4),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, lambda n, k: n + 4 * n / k),
    ],
)
def test_bytes_by_hand(scheme, bytes_of):
    layer = sum(bytes_of(n, k) for n, k in [(64 * 64, 64)] * 4 + [(64 * 128, 64)] * 2 + [(64 * 128, 128)])
    assert weight_bytes(quantized(**scheme)) == pytest.approx(2 * layer + 2 * REST)


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("lm_head", 0),
        ("model.layers.0.self_attn", ATTENTION),
        ("model.layers.*.self_attn", 2 * ATTENTION),
        ("*.self_attn.*", 2 * ATTENTION),
        ("self_attn*", 2 * ATTENTION),
        ("q_proj", 2 * 64 * 64),
        ("re:.*mlp.*", 2 * FEED),
        ("model.layers.1.mlp.down_proj", 64 * 128),
        ("language_model.model.layers.1*", ATTENTION + FEED),
        ("model.layers.1", ATTENTION + FEED),
    ],
)
def test_excluded_modules_stay_in_16_bits(pattern, excluded):
    shape = quantized(quant_method="fp8", modules_to_not_convert=["model.norm", pattern])
    assert formats_in_use(shape).get("bf16") == REST + excluded


def test_names_that_look_alike_are_others():
    matcher = Matcher(["layers.1.mlp", "gate"])
    assert matcher.matches("mlp.up_proj", 1)
    assert matcher.matches("mlp.gate", 3)
    assert not matcher.matches("mlp.up_proj", 11)
    assert not matcher.matches("mlp.gate_proj", 3)


def test_groups_of_compressed_tensors():
    four = {"num_bits": 4, "type": "int", "group_size": 64, "symmetric": True}
    eight = {"num_bits": 8, "type": "float", "strategy": "channel"}
    groups = {"a": {"targets": ["Linear"], "weights": four}, "b": {"targets": ["re:.*down_proj"], "weights": eight}}
    shape = quantized(quant_method="compressed-tensors", config_groups=groups, kv_cache_scheme={"num_bits": 8})
    assert formats_in_use(shape) == {
        "int4 in groups of 64": 2 * (ATTENTION + FEED - 64 * 128), "fp8 per channel": 2 * 64 * 128, "bf16": REST,
    }  # fmt: skip
    assert shape.quantization.kv_bits == 8


def test_a_file_beside_the_configuration(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(TINY))
    (tmp_path / "hf_quant_config.json").write_text(
        json.dumps({"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}})
    )
    shape = load_shape(tmp_path)
    assert formats_in_use(shape) == {"fp8 per tensor": 2 * (ATTENTION + FEED), "bf16": REST}
    assert shape.quantization.kv_bits == 8


def test_a_deployment_holds_what_is_stored():
    """Of the program's matrices; the embedding's rows, norms and scales per matrix within a percent."""
    shape = load_shape("deepseek-r1")
    program = build(shape, Layout(), Step.decode(1, 0), precision=Precision(shipped=True))
    assert resident(program, 1, 0).weights_bytes == pytest.approx(weight_bytes(shape), rel=1e-4)
    read = {op.name: op for op in program.stages[0]}
    assert read["attention.out"].bits == 8
    assert read["moe.router"].bits == 16


WRONG = [
    ({"quant_method": "magic"}, "config: quantization_config.quant_method = 'magic': known are fp8"),
    ({"quant_method": "gptq", "bits": 7}, "config: quantization_config.bits = 7: known widths are 2, 3, 4"),
    ({"quant_method": "gptq", "bits": 4, "group_size": 0}, "config: quantization_config.group_size = 0"),
    ({"quant_method": "fp8", "weight_block_size": [128]}, "config: quantization_config.weight_block_size = [128]"),
    (
        {"quant_method": "fp8", "modules_to_not_convert": "lm_head"},
        "modules_to_not_convert = 'lm_head': input should be a list",
    ),
    ({"quant_method": "fp8", "modules_to_not_convert": ["model.blocks.0"]}, "none of 1 patterns (model.blocks.0) matches"),
    ({"quant_method": "compressed-tensors"}, "quantization_config.config_groups: missing"),
    ({"quant_algo": "FP3"}, "quant_algo = 'FP3': known are FP8"),
    ({"quant_algo": "MIXED_PRECISION"}, "quantized_layers: missing"),
    ({"quant_method": "fp8", "modules_to_not_convert": ["re:("]}, "not a regular expression"),
]


@pytest.mark.parametrize(("scheme", "said"), WRONG)
def test_wrong_schemes_in_one_line(scheme, said):
    with pytest.raises(InputError) as error:
        quantized(**scheme)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
