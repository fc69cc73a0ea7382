"""What AIConfigurator 0.12 predicts for served points: run by the Python of an environment that has it.

  ENVIRONMENT/bin/python benchmarks/rivals/serving_aiconfigurator.py points.json predicted.json

points.json: a list of objects with engine, model, accelerator, weights, tp, attention_dp, expert_tp, expert_ep, prompt,
output, concurrency (benchmarks/serving_points.py writes it). predicted.json: for each of them [TTFT, TPOT] in ms, or why
there is none; a file that was begun is completed.
The precisions are those that were served; the versions of its database are the ones that it offers.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any

MODELS = {
    "deepseek-r1": "deepseek-ai/DeepSeek-R1",
    "gpt-oss-120b": "openai/gpt-oss-120b",
    "llama-3.1-8b": "meta-llama/Meta-Llama-3.1-8B",
    "qwen3-32b": "Qwen/Qwen3-32B",
    "qwen3.5-397b-a17b": "Qwen/Qwen3.5-397B-A17B",
}
SAVED = 10
"""Points after which what was found is saved."""
MIXTURES = ("deepseek-r1", "gpt-oss-120b", "qwen3.5-397b-a17b")
SYSTEMS = {"h100-sxm": "h100_sxm", "h200": "h200_sxm", "b200": "b200_sxm", "b300": "b300_sxm", "gb200": "gb200"}


def main() -> None:
    logging.disable(logging.CRITICAL)
    asked, output = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    found: list[Any] = json.loads(output.read_text()) if output.exists() else []
    for number, point in enumerate(asked[len(found) :], start=1):
        if number % SAVED == 0:
            output.write_text(json.dumps(found))
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                found.append(predicted(point))
        except Exception as error:  # whatever another tool raises is its answer
            found.append(f"{type(error).__name__}: {error}".splitlines()[0][:200])
    output.write_text(json.dumps(found))


def predicted(point: dict[str, Any]) -> list[float]:
    """TTFT and TPOT in ms."""
    from aiconfigurator.cli.api import cli_estimate

    gemm, moe, cache = formats(point)
    mixture = point["model"] in MIXTURES
    estimate = cli_estimate(
        MODELS[point["model"]],
        SYSTEMS[point["accelerator"]],
        backend_name=point["engine"],
        isl=round(point["prompt"]),
        osl=round(point["output"]),
        batch_size=max(1, round(point["concurrency"] / point["attention_dp"])),
        tp_size=point["tp"],
        attention_dp_size=point["attention_dp"],
        moe_tp_size=point["expert_tp"] if mixture else None,
        moe_ep_size=point["expert_ep"] if mixture else None,
        gemm_quant_mode=gemm,
        moe_quant_mode=moe if mixture else None,
        kvcache_quant_mode=cache,
    )
    return [float(estimate.ttft), float(estimate.tpot)]


def formats(point: dict[str, Any]) -> tuple[str, str, str]:
    """Its names for what was served: of dense matrices, of experts, of the cache."""
    weights = point["weights"]
    if point["model"] == "gpt-oss-120b":
        hopper = point["accelerator"] in ("h100-sxm", "h200")
        return "bfloat16", "w4a16_mxfp4" if hopper else "w4a8_mxfp4_mxfp8", "bfloat16" if hopper else "fp8"
    if weights == "nvfp4":
        return "nvfp4", "nvfp4", "fp8"
    if weights == "fp8":
        blocks = point["model"] in MIXTURES or (point["model"], point["engine"]) == ("llama-3.1-8b", "sglang")
        return ("fp8_block", "fp8_block", "fp8") if blocks else ("fp8", "fp8", "fp8")
    return "bfloat16", "bfloat16", "bfloat16"


if __name__ == "__main__":
    main()
