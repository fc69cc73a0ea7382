"""`inferometer models`: what is known by name, what is read of one model, every way to ask wrongly."""

from __future__ import annotations

import json

import pytest

from inferometer.launch.cli import main

TINY = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 100,
}  # fmt: skip


def answer(capsys, *arguments):
    assert main([*arguments, "--json", "-"]) == 0
    return json.loads(capsys.readouterr().out)


def test_names_and_types(capsys):
    found = answer(capsys, "models")
    assert {"gpt-oss-120b", "kimi-k2", "llama-3-70b"} <= set(found["models"])
    assert {"llama", "gpt_oss", "qwen3_5_moe", "decoder"} <= set(found["types"])
    assert main(["models", "list"]) == 0
    assert "gpt-oss-120b" in capsys.readouterr().out


def test_one_model(capsys, tmp_path):
    folder = tmp_path / "models--some--Tiny" / "snapshots" / "0123abcd"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("\ufeff" + json.dumps(TINY | {"rope_theta": float("inf")}), encoding="utf-8")
    record = answer(capsys, "models", "show", str(folder), "--context", "100")["model"]
    assert record["name"] == "some/Tiny"
    assert record["type"] == "llama"
    assert record["parameters"] == sum(record["parts"].values()) == 2 * 100 * 64 + 2 * (4 * 64**2 + 3 * 64 * 128 + 128) + 64
    assert record["kv_bytes_per_token"] == 2 * 2 * 64 * 2
    assert record["cache_bytes"] == 100 * record["kv_bytes_per_token"]
    assert record["weight_bytes"] == 2 * record["parameters"]
    assert record["layers"] == {"full · dense": 2}
    assert answer(capsys, "models", "show", str(folder), "--kv-bits", "8")["model"]["kv_bytes_per_token"] == 256
    assert (
        answer(capsys, "models", "show", str(folder), "--weight-bits", "8")["model"]["weight_bytes"] == record["parameters"]
    )


def test_what_predict_says_of_the_model(capsys):
    found = answer(capsys, "predict", "gpt-oss-120b", "--accelerator", "h100-sxm", "--gpus", "1")
    assert found["model"]["type"] == "gpt_oss"
    assert found["memory"]["weights_bytes"] == pytest.approx(found["model"]["weight_bytes"], rel=1e-3)
    assert any("no 4-bit units" in note for note in found["notes"])
    assert main(["predict", "deepseek-r1", "--accelerator", "h200", "--tp", "8"]) == 0
    assert "read as deepseek_v3: 3 × latent · dense, 58 × latent · 8 of 256 experts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["show"], "models show: give a MODEL"),
        (["list", "llama-3-8b"], "models list takes no model"),
        (["show", "llama-3-8b", "--context", "-1"], "--context -1"),
        (["show", "llama-9"], "neither a file or folder nor a built-in model"),
    ],
)
def test_wrong_questions_in_one_line(capsys, arguments, said):
    assert main(["models", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"num_memory_layers": 4}, "num_memory_layers = 4: not known of model_type llama, though it may change the shape"),
        ({"sliding_window": 128}, "sliding_window = 128: not known of model_type llama"),
        ({"use_sliding_window": True}, "use_sliding_window = true: model_type llama has no window"),
        ({"architectures": ["LlamaForCausalLMEagle3"]}, "LlamaForCausalLMEagle3: a draft model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "its head is no language model's"),
        ({"architectures": ["LlamaModel"]}, "its head is no language model's"),
        ({"draft_vocab_size": 32000}, "draft_vocab_size: a draft model"),
        ({"layer_types": ["full_attention"]}, "layer_types: 1 of num_hidden_layers = 2"),
        (
            {"model_type": "llava", "text_config": {"model_type": "odd"}},
            "model_type = 'odd' of the language model is not supp",
        ),
        ({"model_type": "llama4x"}, "give a config.json of a type that `inferometer models` lists"),
    ],
)
def test_what_changes_the_shape_is_never_passed_over(capsys, tmp_path, fields, said):
    (tmp_path / "config.json").write_text(json.dumps(TINY | fields))
    assert main(["models", "show", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "did you mean" not in error
