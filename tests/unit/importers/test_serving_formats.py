"""Results of serving benchmarks become points: the columns of each tool, what must be said, what is refused."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.serving.imports import import_points, point_settings

SET = {"accelerator": "h200", "model": "llama-3.1-8b", "tp": "2"}
VLLM = {
    "date": "20260401-101112", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "num_prompts": 100, "request_rate": "inf",
    "max_concurrency": 10, "completed": 100, "total_input_tokens": 102400, "total_output_tokens": 25600,
    "output_throughput": 900.0, "total_token_throughput": 4500.0, "mean_ttft_ms": 50.0, "median_ttft_ms": 45.0,
    "p99_ttft_ms": 90.0, "mean_tpot_ms": 10.0, "median_tpot_ms": 9.9, "p99_tpot_ms": 12.0, "mean_itl_ms": 41.7,
}  # fmt: skip


def written(tmp_path, document):
    path = tmp_path / "run.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return [path]


def test_vllm_keeps_its_definitions_separate(tmp_path):
    (point,) = import_points("vllm-bench", written(tmp_path, VLLM), {"accelerator": "h200", "tp": "2"})
    assert point.usable and point.deployed.model == "llama-3.1-8b"
    assert point.client.prompt.mean == 1024 and point.client.arrival == "closed" and point.client.concurrency == 10
    assert point.times_ms["tpot_mean"] == 10.0 and point.times_ms["itl_mean"] == 41.7
    assert point.output_tokens_per_s == 900.0 and point.total_tokens_per_s == 4500.0


def test_requests_that_failed_are_flagged(tmp_path):
    (point,) = import_points("vllm-bench", written(tmp_path, VLLM | {"num_prompts": 110}), SET)
    assert point.problems == ("10 of 110 requests failed",)


def test_sglang_has_a_run_a_line(tmp_path):
    run = {name: value for name, value in VLLM.items() if name != "model_id"} | {"concurrency": 9.3}
    text = "\n".join(json.dumps(run | {"max_concurrency": users}) for users in (4, 10))
    points = import_points("sglang-bench", written(tmp_path, text), SET)
    assert [point.client.concurrency for point in points] == [4, 10]


def test_inferencex_counts_prompts_in_its_throughput(tmp_path):
    run = {"hw": "h200", "tp": 8, "ep": 1, "conc": 64, "model": "openai/gpt-oss-120b", "framework": "vllm",
           "precision": "fp4",
           "isl": 1024, "osl": 1024, "tput_per_gpu": 1500.0, "mean_ttft": 0.08, "mean_tpot": 0.007}  # fmt: skip
    (point,) = import_points("inferencex", written(tmp_path, [run]), {})
    assert point.tpot_ms == pytest.approx(7.0) and point.total_tokens_per_s == 12000.0 and point.output_tokens_per_s is None


def test_aiperf_names_our_tpot_inter_token_latency(tmp_path):
    run = {
        "time_to_first_token": {"unit": "ms", "avg": 50.0, "p90": 70.0}, "inter_token_latency": {"unit": "ms", "avg": 10.0},
        "input_sequence_length": {"avg": 1000.0}, "output_sequence_length": {"avg": 200.0}, "request_count": {"avg": 80.0},
        "input_config": {"loadgen": {"concurrency": 8}, "endpoint": {"model_names": ["Qwen/Qwen3-32B"]}},
    }  # fmt: skip
    (point,) = import_points("aiperf", written(tmp_path, run), {"engine": "vllm", "accelerator": "h200", "tp": "2"})
    assert point.times_ms["tpot_mean"] == 10.0 and point.client.requests == 80 and point.deployed.model == "qwen3-32b"


def test_trtllm_bench_says_its_own_layout(tmp_path):
    run = {
        "engine": {"model": "meta-llama/Llama-3.1-8B", "version": "1.2.0"}, "world_info": {"tp_size": 2, "pp_size": 1},
        "request_info": {"num_requests": 100, "avg_num_concurrent_requests": 16,
                         "avg_input_length": 500, "avg_output_length": 100},
        "performance": {"system_output_throughput_tok_s": 2000.0},
        "streaming_metrics": {"avg_ttft_ms": 40.0, "avg_tpot_ms": 6.0, "tpot_percentiles": {"p50": 5.9}},
    }  # fmt: skip
    (point,) = import_points("trtllm-bench", written(tmp_path, run), {"accelerator": "h200"})
    assert point.deployed.layout.tp == 2 and point.deployed.version == "1.2.0" and point.times_ms["tpot_median"] == 5.9


def test_what_nothing_says_is_asked_for(tmp_path):
    with pytest.raises(InputError, match="accelerator is not in the file: give --set accelerator="):
        import_points("vllm-bench", written(tmp_path, VLLM), {})
    with pytest.raises(InputError, match="completed = None must be above 0"):
        import_points("vllm-bench", written(tmp_path, {"a": 1}), SET)
    with pytest.raises(InputError, match="column=value"):
        point_settings("cards=8")
