"""Results of serving benchmarks as rows of a points file: what each tool calls the documented columns.

Every reader takes the text of one file and gives rows by column; what a file does not say is left out, and is given with
--set, or refused by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from inferometer.emulator.documents import json_of
from inferometer.emulator.errors import InputError

Row = dict[str, Any]
TIMES = {f"{s}_{n}_ms": f"{n}_{s}_ms" for n in ("ttft", "tpot", "itl") for s in ("mean", "median", "p90", "p99")}
"""vLLM and SGLang: statistic before the name."""


def vllm_bench(text: str, where: str) -> Iterator[Row]:
    """`vllm bench serve --save-result`: one JSON object a run. tpot is of a request, itl between two chunks."""
    found = _object(json_of(text, where, constants=True), where)
    done = _number(found, "completed", where)
    rate = found.get("request_rate")
    closed = found.get("max_concurrency")
    yield {
        "engine": "vllm",
        "model": found.get("model_id"),
        "prompt": _each(found, "total_input_tokens", done, where),
        "output": _each(found, "total_output_tokens", done, where),
        "concurrency": closed,
        "rate_per_s": None if closed or not isinstance(rate, int | float) or rate == float("inf") else rate,
        "arrival": "closed" if closed else "burst" if rate in (None, "inf", float("inf")) else "poisson",
        "requests": found.get("num_prompts"),
        "failed": _failed(found, done),
        **{ours: found[theirs] for theirs, ours in TIMES.items() if theirs in found},
        "output_tokens_per_s": found.get("output_throughput"),
        "total_tokens_per_s": found.get("total_token_throughput"),
        "measured": found.get("date"),
        "source": "vllm bench serve",
    }


def sglang_bench(text: str, where: str) -> Iterator[Row]:
    """SGLang's `bench_serving --output-file`: a line of JSON a run; concurrency there is the mean that was reached."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        at = f"{where}: line {number}"
        found = _object(json_of(line, at, constants=True), at)
        done = _number(found, "completed", at)
        rate, closed = found.get("request_rate"), found.get("max_concurrency")
        server = found.get("server_info") if isinstance(found.get("server_info"), dict) else {}
        assert isinstance(server, dict)
        yield {
            "engine": "sglang",
            "version": server.get("version"),
            "model": server.get("model_path"),
            "tp": server.get("tp_size"),
            "prompt": _each(found, "total_input_tokens", done, at),
            "output": _each(found, "total_output_tokens", done, at),
            "concurrency": closed,
            "rate_per_s": rate if isinstance(rate, int | float) and rate != float("inf") and not closed else None,
            "arrival": "closed" if closed else "burst" if rate in (None, "inf", float("inf")) else "poisson",
            "requests": found.get("num_prompts", done),
            "failed": _failed(found, done),
            **{ours: found[theirs] for theirs, ours in TIMES.items() if theirs in found},
            "output_tokens_per_s": found.get("output_throughput"),
            "total_tokens_per_s": found.get("total_throughput"),
            "speculation": "yes" if (found.get("accept_length") or 1) > 1 else None,
            "source": "sglang.bench_serving",
        }


def inferencex(text: str, where: str) -> Iterator[Row]:
    """InferenceX's aggregated results: times in seconds, tokens per GPU with prompts counted; interactivity is 1/TPOT."""
    found = json_of(text, where, constants=True)
    for number, each in enumerate(found if isinstance(found, list) else [found], start=1):
        one = _object(each, f"{where}: result {number}")
        data = str(one.get("dp_attention", "false")).lower() == "true"
        tp, ep = int(one.get("tp") or 1), int(one.get("ep") or 1)
        times = {
            f"{name}_{statistic}_ms": 1e3 * one[f"{statistic}_{name}"]
            for name in ("ttft", "tpot", "itl")
            for statistic in ("mean", "median", "p90", "p99")
            if isinstance(one.get(f"{statistic}_{name}"), int | float)
        }
        gpus = max(tp, ep)
        per_gpu = one.get("tput_per_gpu")
        yield {
            "engine": one.get("framework"),
            "model": one.get("model"),
            "accelerator": one.get("hw"),
            "tp": gpus // ep,
            "ep": ep,
            "attention": "data" if data and ep > 1 else "tensor",
            "weights": {"fp4": "nvfp4", "fp8": "fp8", "bf16": "bf16"}.get(str(one.get("precision"))),
            "prompt": one.get("isl"),
            "output": one.get("osl"),
            "concurrency": one.get("conc"),
            "arrival": "closed",
            **times,
            "total_tokens_per_s": None if per_gpu is None else per_gpu * gpus,
            "source": "InferenceX",
        }


def aiperf(text: str, where: str) -> Iterator[Row]:
    """aiperf's and genai-perf's profile export: statistics by metric. Their inter-token latency is our tpot."""
    found = _object(json_of(text, where, constants=True), where)
    given = found.get("input_config") if isinstance(found.get("input_config"), dict) else {}
    assert isinstance(given, dict)
    load = given.get("loadgen") or given.get("perf_analyzer", {}).get("stimulus") or {}
    names = (given.get("endpoint") or {}).get("model_names") or given.get("model_names") or [None]
    row: Row = {"model": names[0], "concurrency": load.get("concurrency"), "rate_per_s": load.get("request_rate")}
    row["arrival"] = "closed" if row["concurrency"] else "poisson" if row["rate_per_s"] else None
    for metric, ours in (("time_to_first_token", "ttft"), ("inter_token_latency", "tpot")):
        values = _object(found.get(metric, {}), f"{where}: {metric}")
        for theirs, statistic in (("avg", "mean"), ("p50", "median"), ("p90", "p90"), ("p99", "p99")):
            row[f"{ours}_{statistic}_ms"] = values.get(theirs)
    for metric, ours in (("input_sequence_length", "prompt"), ("output_sequence_length", "output")):
        row[ours] = _object(found.get(metric, {}), f"{where}: {metric}").get("avg")
    row["requests"] = _whole(found.get("request_count"))
    row["failed"] = _whole(found.get("error_request_count"))
    row["output_tokens_per_s"] = _object(found.get("output_token_throughput", {}), where).get("avg")
    yield row | {"source": "aiperf"}


def trtllm_bench(text: str, where: str) -> Iterator[Row]:
    """`trtllm-bench throughput|latency --report_json`."""
    found = _object(json_of(text, where, constants=True), where)
    engine, world, asked, done, times = (
        _object(found.get(name) or {}, f"{where}: {name}")
        for name in ("engine", "world_info", "request_info", "performance", "streaming_metrics")
    )
    row: Row = {"engine": "trtllm", "version": engine.get("version"), "model": engine.get("model")}
    row |= {"tp": world.get("tp_size"), "pp": world.get("pp_size"), "ep": world.get("ep_size")}
    row |= {"prompt": asked.get("avg_input_length"), "output": asked.get("avg_output_length")}
    row |= {"requests": asked.get("num_requests"), "concurrency": asked.get("avg_num_concurrent_requests")}
    for name in ("ttft", "tpot"):
        spread = _object(times.get(f"{name}_percentiles") or {}, f"{where}: {name}_percentiles")
        row[f"{name}_mean_ms"] = times.get(f"avg_{name}_ms")
        for theirs, ours in (("p50", "median"), ("p90", "p90"), ("p99", "p99")):
            row[f"{name}_{ours}_ms"] = spread.get(theirs)
    yield row | {"output_tokens_per_s": done.get("system_output_throughput_tok_s"), "source": "trtllm-bench"}


READERS: Mapping[str, Callable[[str, str], Iterator[Row]]] = MappingProxyType(
    {
        "vllm-bench": vllm_bench,
        "sglang-bench": sglang_bench,
        "inferencex": inferencex,
        "aiperf": aiperf,
        "trtllm-bench": trtllm_bench,
    }
)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: {json.dumps(value)[:40]} is no object of a benchmark's results")
    return value


def _number(found: Mapping[str, Any], name: str, where: str) -> float:
    value = found.get(name)
    if not isinstance(value, int | float) or value <= 0:
        raise InputError(f"{where}: {name} = {value!r} must be above 0: nothing served, or no benchmark's result")
    return float(value)


def _each(found: Mapping[str, Any], name: str, requests: float, where: str) -> float:
    return _number(found, name, where) / requests


def _failed(found: Mapping[str, Any], done: float) -> int | None:
    if isinstance(found.get("failed"), int):
        return int(found["failed"])
    asked = found.get("num_prompts")
    return max(0, int(asked - done)) if isinstance(asked, int) else None


def _whole(metric: Any) -> int | None:
    value = metric.get("avg") if isinstance(metric, dict) else metric
    return int(value) if isinstance(value, int | float) else None
