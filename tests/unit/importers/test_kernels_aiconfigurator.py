"""AIConfigurator's tables of kernel times: tiny ones in its format, as text and as Parquet."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.samples.probe_table import probe_table
from inferometer.launch.cli import main

ABOUT = {"framework": "VLLM", "version": "0.24.0", "device": "NVIDIA L4", "kernel_source": "some_kernel"}
GEMM = {**ABOUT, "op_name": "gemm", "gemm_dtype": "bfloat16", "m": 8, "n": 4096, "k": 1024, "latency": 0.0125}
HEADS = {"num_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "attn_dtype": "bfloat16", "kv_cache_dtype": "bfloat16"}
DECODE = {
    **ABOUT, "op_name": "generation_attention", "batch_size": 4, "isl": 1, "step": 1023, "beam_width": 1, "window_size": 0,
    **HEADS, "latency": 0.02,
}  # fmt: skip
PREFILL = {**DECODE, "op_name": "context_attention", "isl": 512, "step": 0}
LATENT = {
    **ABOUT, "op_name": "mla_generation", "mla_dtype": "bfloat16", "kv_cache_dtype": "fp8", "num_heads": 16,
    "batch_size": 2, "isl": 1, "step": 2047, "latency": 0.03,
}  # fmt: skip
MOE = {
    **ABOUT, "op_name": "moe", "moe_dtype": "fp8_block", "num_tokens": 64, "hidden_size": 2048, "inter_size": 768,
    "topk": 8, "num_experts": 128, "moe_tp_size": 2, "moe_ep_size": 4, "distribution": "balanced", "latency": 0.08,
}  # fmt: skip
QUANTIZE = {**ABOUT, "op_name": "scale_matrix", "quant_dtype": "fp8", "m": 64, "k": 4096, "latency": 0.003}


def text(*rows):
    return "\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]) + "\n"


def imported(tmp_path, *rows, content=None):
    path, out = tmp_path / "table.txt", tmp_path / "k.samples.jsonl"
    path.write_text(text(*rows) if content is None else content)
    return main(["import", "kernels", str(path), "-o", str(out)]), out


def operation(tmp_path, row):
    status, out = imported(tmp_path, row)
    assert status == 0
    record = json.loads(out.read_text().splitlines()[1])
    return record, record["ops"][0]


def test_a_matmul_has_milliseconds_and_the_engines_version(tmp_path):
    record, op = operation(tmp_path, GEMM)
    assert (record["backend"], record["launch_mode"], record["dtype"]) == ("vllm 0.24.0", "graph", "bfloat16")
    assert (op["us"], op["rows"], op["inner"], op["outer"], op["weight_bytes"]) == (12.5, 8, 1024, 4096, 2 * 1024 * 4096)
    assert record["working_set_bytes"] == 6 * 2 * 1024 * 4096


def test_vllms_block_scaled_matmuls_are_launched_eagerly(tmp_path):
    row = {**GEMM, "gemm_dtype": "fp8_block"}
    assert operation(tmp_path, row)[0]["launch_mode"] == "eager"
    (tmp_path / "k.samples.jsonl").unlink()
    assert operation(tmp_path, {**row, "framework": "SGLang"})[0]["launch_mode"] == "graph"


def test_attention_counts_the_tokens_of_the_cache(tmp_path):
    _, op = operation(tmp_path, DECODE)
    assert (op["op"], op["context"], op["head_dim"], op["kv_bytes"]) == ("decode", 1024, 128, 2 * 4 * 1024 * 8 * 128 * 2)
    (tmp_path / "k.samples.jsonl").unlink()
    _, op = operation(tmp_path, PREFILL)
    assert (op["op"], op["context"], op["flop"]) == ("prefill", 512, 4 * 32 * 128 * 4 * 512 * 513 / 2)


def test_latent_attention_reads_the_latent(tmp_path):
    record, op = operation(tmp_path, LATENT)
    assert (record["dtype"], op["kind"], op["head_dim"]) == ("fp8", "attention", 576)
    assert (op["kv_bytes"], op["flop"]) == (2 * 2048 * 576, 2 * 16 * (2 * 512 + 64) * 2 * 2048)


def test_an_expert_layer_is_of_one_rank(tmp_path):
    record, op = operation(tmp_path, MOE)
    assert (record["dtype"], op["kind"], op["op"], op["launches"]) == ("fp8_block", "matmul", "experts", 2)
    assert (op["rows"], op["matrices"], op["outer"]) == (64 * 8 / 4, 32, 384)
    assert op["flop"] == 2 * 128 * 3 * 2048 * 384


def test_a_quantization_is_a_pass(tmp_path):
    _, op = operation(tmp_path, QUANTIZE)
    assert (op["kind"], op["op"], op["activation_bytes"]) == ("stream", "scale_matrix", 3 * 64 * 4096)


def test_what_is_left_out_is_counted_by_reason(tmp_path, capsys):
    rows = [DECODE, {**DECODE, "window_size": 128}, {**DECODE, "attn_dtype": "fp8"}, {**DECODE, "latency": 0.5}]
    status, out = imported(tmp_path, *rows)
    assert status == 0 and list(probe_table(out)["us"]) == [20.0]
    assert "left out: 1 of a sliding window, 1 computed in 8 bits, 1 repeated" in capsys.readouterr().out


def test_of_two_kernels_for_one_shape_the_usual_one_counts(tmp_path, capsys):
    """A table may hold a second kernel beside the one that the engine runs: no law is of both."""
    usual = [{**DECODE, "batch_size": batch, "kernel_source": "fast", "latency": 0.01} for batch in (1, 2, 4, 16)]
    other = [{**DECODE, "batch_size": batch, "kernel_source": "slow", "latency": 0.05} for batch in (1, 2)]
    alone = {**DECODE, "batch_size": 8, "kernel_source": "slow", "latency": 0.06}
    status, out = imported(tmp_path, *other, *usual, alone)
    assert status == 0
    ops = json.loads(out.read_text().splitlines()[1])["ops"]
    assert sorted(op["us"] for op in ops) == [10, 10, 10, 10, 60]
    assert "left out: 2 of a kernel beside the usual one" in capsys.readouterr().out


def test_shapes_of_equal_sizes_all_count(tmp_path):
    other = {**DECODE, "batch_size": 8, "num_heads": 16, "num_key_value_heads": 4, "latency": 0.021}
    _, out = imported(tmp_path, DECODE, other)
    assert sorted(probe_table(out)["us"]) == [20.0, 21.0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"gemm_dtype": "fp3"}, None, "gemm_dtype is 'fp3', known are bfloat16"),
        ({"framework": "XPU"}, None, "framework is 'XPU', known are vllm"),
        ({"op_name": "dance"}, None, "op_name is 'dance', read are gemm"),
        ({"latency": "fast"}, None, "latency is 'fast', not a number"),
        ({"latency": 0}, None, "us is 0"),
        ({"m": 0}, None, "m is '0', not a whole number from 1 up"),
        ({}, "kernel_source", "no column kernel_source"),
        ({"gemm_type": "bfloat16"}, None, "whole attention modules"),
    ],
)
def test_bad_tables_are_named_in_one_line(tmp_path, capsys, old, new, words):
    row = {name: value for name, value in (GEMM | old).items() if name != new}
    status, out = imported(tmp_path, row)
    error = capsys.readouterr().err
    assert status == 2 and words in error and error.count("\n") == 1 and not out.exists()


def test_parquet_says_the_same_as_text(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    _, out = imported(tmp_path, GEMM, {**GEMM, "m": 16, "latency": 0.013})
    path, other = tmp_path / "t.parquet", tmp_path / "p.samples.jsonl"
    parquet.write_table(pyarrow.Table.from_pylist([GEMM, {**GEMM, "m": 16, "latency": 0.013}]), path)
    assert main(["import", "kernels", str(path), "-o", str(other)]) == 0
    assert out.read_text().splitlines()[1:] == other.read_text().splitlines()[1:]


def test_a_table_of_which_nothing_is_read_says_why(tmp_path, capsys):
    status, out = imported(tmp_path, {**MOE, "distribution": "power_law_1.2"})
    assert status == 2 and not out.exists()
    assert "no kernel times in it; left out: 1 of unevenly routed tokens" in capsys.readouterr().err
