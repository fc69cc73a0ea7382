"""Points files: what is read, what is refused, which points are worthless, and that a table survives being written."""

from __future__ import annotations

import pytest

from inferometer.emulator.economics.serving.points.table import COLUMNS, csv_of, read_points
from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.layout import Layout

HEAD = "engine,version,model,accelerator,tp,prompt,output,concurrency,ttft_mean_ms,tpot_mean_ms"
ROW = "vllm,0.12.0,qwen3-32b,h100-sxm,2,1024,512,16,190,17.9"
SILICON = (
    "backend,backend_version,model_path,system,precision,mode,isl,osl,gemm_quant_mode,moe_quant_mode,batch_size,tp_size,pp_size,"
    "attention_dp_size,moe_tp_size,moe_ep_size,silicon_ttft_ms,silicon_tpot_ms,concurrency,measured"
)


def table(tmp_path, *rows, head=HEAD):
    path = tmp_path / "points.csv"
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


def silicon(tmp_path, *rows):
    return read_points(table(tmp_path, *rows, head=SILICON))


def test_a_point_is_read(tmp_path):
    (point,) = read_points(table(tmp_path, ROW))
    assert point.usable
    assert point.deployed.layout.tp == 2 and point.tpot_ms == 17.9 and point.client.prompt.mean == 1024
    assert point.decoding == pytest.approx(16 * 511 * 17.9 / (511 * 17.9 + 190))


def test_a_table_survives_being_written(tmp_path):
    points = read_points(table(tmp_path, ROW))
    again = tmp_path / "again.csv"
    again.write_text(csv_of(points))
    assert read_points(again) == points
    assert again.read_text().splitlines()[0].split(",") == list(COLUMNS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (ROW.replace("1024", ""), "prompt: missing"),
        (ROW.replace(",16,", ",,"), "neither concurrency nor rate_per_s"),
        (ROW.replace("17.9", "fast"), "tpot_mean_ms = 'fast' is not a number"),
        (ROW.replace("17.9", "-1"), "must be above 0"),
        (ROW.replace(",2,", ",2.5,"), "whole number"),
        (ROW.replace("qwen3-32b", "gpt-17"), "row 2: model 'gpt-17'"),
        (ROW.replace("h100-sxm", "abacus"), "row 2: "),
        (ROW + ",9", "not as many cells"),
    ],
)
def test_bad_rows_are_refused_in_one_line(tmp_path, row, words):
    with pytest.raises(InputError, match=words) as caught:
        read_points(table(tmp_path, row))
    assert "points.csv" in str(caught.value) and "\n" not in str(caught.value)


def test_a_file_without_concurrency_or_lengths_is_refused(tmp_path):
    with pytest.raises(InputError, match="how many requests were in flight"):
        read_points(table(tmp_path, "vllm,qwen3-32b,h100-sxm,1,1", head="engine,model,accelerator,prompt,output"))
    with pytest.raises(InputError, match="column 'output' is missing"):
        read_points(table(tmp_path, "vllm,qwen3-32b,h100-sxm,1,1", head="engine,model,accelerator,prompt,concurrency"))


def test_what_no_device_can_do_is_flagged(tmp_path):
    """2 ms for a step that reads 32 GB on each of two H100."""
    (point,) = read_points(table(tmp_path, ROW.replace("17.9", "2.0").replace("190", "19")))
    assert not point.usable and "on the device at its best" in point.problems[0]


def test_failed_requests_and_bad_lengths_are_flagged(tmp_path):
    (failed,) = read_points(table(tmp_path, ROW + ",160,16", head=HEAD + ",requests,failed"))
    assert failed.problems == ("16 of 160 requests failed",)
    (short,) = read_points(table(tmp_path, ROW.replace("512", "4").replace("190", "1")))
    assert "outputs of 4 tokens" in short.problems[0]


def test_a_run_that_stands_in_two_rows_is_one_point(tmp_path):
    """The rows differ in the number of GPUs: 8, and 8 × 8, which no server of 8 has."""
    row = "trtllm,1.1.0,deepseek-ai/DeepSeek-R1,h200_sxm,fp8,agg,1024,1024,fp8,fp8_block,4,"
    row += "{},1,1.0,{},8,493.9,8.58,4.0,2026-01-14"
    (point,) = silicon(tmp_path, row.format(64, 8), row.format(8, 1))
    assert point.usable and point.deployed.gpus == 8
    assert point.client.prompt.mean == pytest.approx(0.9 * 1024) and point.client.requests == 40


def test_a_rounded_row_under_another_version_is_the_same_run(tmp_path):
    row = "sglang,{},Qwen/Qwen3.5-397B-A17B,b200_sxm,bf16,agg,1024,1024,,,8,8,1,1.0,8,1,{},8.0,{}"
    rows = [
        row.format("nightly-dev-20260216", "245.3519,9.6412", "2026-02-20"),
        row.format("nightly-dev", "245.35,9.64", ""),
    ]
    (point,) = silicon(tmp_path, *rows)
    assert point.deployed.version == "nightly-dev-20260216" and point.measured == "2026-02-20"


def test_degrees_counted_twice_are_taken_once(tmp_path):
    """InferenceX's tp 2, ep 2 stands as tp 4 over 2 × 2."""
    row = "trtllm,gpt-oss-dev,openai/gpt-oss-120b,h200_sxm,fp4,agg,1024,1024,nvfp4,nvfp4,8,{},2,2,90,5.1,8.0,2025-12-15"
    both, data = silicon(tmp_path, row.format("4,1,1.0"), row.replace("5.1", "5.3").format("1,1,4.0"))
    assert both.usable and both.deployed.layout == Layout(ep=2)
    assert data.deployed.layout == Layout(ep=2, attention="data")


def test_drafted_runs_are_known_and_left_out(tmp_path):
    """Of two runs alike of a deployment that ran with drafting and without, the faster one drafted."""
    row = "sglang,0.5.9,deepseek-ai/DeepSeek-R1,b200_sxm,fp8,agg,1024,1024,fp8,fp8_block,8,8,1,1.0,8,1,{},{},2026-03-25"
    slow, fast, more = silicon(
        tmp_path, row.format("183,8.76", "4.0"), row.format("207,6.70", "4.0"), row.format("1413,28.7", "128.0")
    )
    assert slow.usable and slow.deployed.speculation is False
    assert fast.deployed.speculation and more.deployed.speculation
    assert "tokens were drafted" in fast.problems[0]


def test_a_sweep_with_many_impossible_points_is_doubtful_as_a_whole(tmp_path):
    fast = ROW.replace("17.9", "2.0").replace("190", "19")
    points = read_points(table(tmp_path, ROW, ROW.replace(",16,", ",8,"), fast))
    assert not any(point.usable for point in points)
    assert points[0].problems == ("1 of 3 points of this sweep are faster than the device at its best",)


def test_degrees_of_nothing_are_flagged(tmp_path):
    row = "trtllm,1.3.0,Qwen/Qwen3-32B,gb200,,agg,2000,500,,,1,2,1,0.0,0,0,102.7,8.07,1.0,2026-02-05"
    (point,) = silicon(tmp_path, row)
    assert point.problems == ("a parallel degree of 0: the layout is not known",)
