"""Every configuration whose model transformers can build, read to the last parameter and the last cached byte."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.parameters import count
from inferometer.emulator.workload.storage.summary import model_record
from tests.places import SHARED_DATA

FOLDER = SHARED_DATA / "models"
DRAFTS = "a draft model"
#: transformers ignores the fields of this file, which it expects one level deeper, and builds 128,815 of 128,896 tokens.
OTHER_VOCABULARY = ("stepfun-ai--Step-3.7-Flash", "stepfun-ai--Step-3.7-Flash-FP8")
ROWS = json.loads((FOLDER / "oracle.json").read_text())["rows"] if (FOLDER / "oracle.json").exists() else []

pytestmark = pytest.mark.skipif(
    not ROWS, reason=f"{FOLDER} is not there: the configurations that are served, and their oracle"
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["model"])
def test_parameters_active_ones_and_caches(row):
    path = FOLDER / "configs" / row["model"]
    if "eagle3" in row["model"] or "ealge3" in row["model"] or "dflash" in row["model"]:
        with pytest.raises(InputError, match=DRAFTS):
            load_shape(path)
        return
    shape = load_shape(path)
    if row["parameters"] is None:
        assert count(shape).total > 1e9
        return
    found, towers = count(shape), row["parts"].get("vision", 0)
    other = 2 * (128_896 - 128_815) * 4096 if row["model"] in OTHER_VOCABULARY else 0
    assert found.total - other == row["parameters"] - towers
    assert found.active - other == row["active"] - towers
    for context in (8192, 12288):
        cached = row[f"cache_bytes_{context}"]
        if isinstance(cached, int):
            assert model_record(shape, context=context)["cache_bytes_bfloat16"] == cached


@pytest.mark.parametrize(
    ("model", "gigabytes"),
    [
        ("nvidia--Qwen3-235B-A22B-NVFP4", 134.1),
        ("nvidia--DeepSeek-V3.1-NVFP4", 386.4),
        ("deepseek-ai--DeepSeek-R1", 673.2),
        ("nvidia--Llama-3.1-70B-Instruct-FP8", 72.7),
        ("openai--gpt-oss-120b", 65.2),
    ],
)
def test_weights_as_they_are_stored(model, gigabytes):
    assert model_record(load_shape(FOLDER / "configs" / model))["weight_bytes"] / 1e9 == pytest.approx(gigabytes, abs=0.06)


def test_what_a_cache_holds_beside_another_precision():
    record = model_record(load_shape(FOLDER / "configs" / "nvidia--Qwen3-235B-A22B-NVFP4"))
    assert record["precision"]["kv_bits"] == 8
    assert record["cache_bytes"] == record["cache_bytes_bfloat16"] / 2
    states = model_record(load_shape(FOLDER / "configs" / "Qwen--Qwen3.5-397B-A17B"))
    heads, channels = 64 * 128 * 128, 2 * 16 * 128 + 64 * 128
    assert states["state_bytes_per_sequence"] == 45 * (4 * heads + 2 * 4 * channels)
