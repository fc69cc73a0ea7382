#!/usr/bin/env bash
# aiconfigurator-core 0.12.0: what gemm_perf holds for vLLM's block-scaled FP8 matmuls.
#
# A good guess: the latency of every row is what the GPU works, since the collectors replay CUDA graphs; a skinny matmul in
#   fp8_block then takes a few µs, as it does in bfloat16 and fp8 in the same table.
# What happens: on an H200 no fp8_block row of vLLM 0.24.0 is below 55 µs, and a product of a few rows × 4096 by 4096 × 64
#   takes as long as by 4096 × 4096; bfloat16 begins at 2.4 µs. The collector does not capture these in a graph, so that
#   the host's launching is timed. SGLang's table of the same GPU begins at 3.3 µs. No column says which rows are which.
# Why it matters: a decode step of 4 × 60 such matmuls would be priced at 13 ms of launching that a served model, in a
#   graph, does not pay; and a law fitted to the table takes the floor for the GPU's.
# Date: 2026-11-28, Python 3.11, Linux x86-64.
#
# Exit status: 0 where the table does this, 1 where it no longer does. $PYTHON is the interpreter (python3).
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet pyarrow==23.0.1 numpy==2.4.6
venv/bin/python -m pip install --quiet --no-deps aiconfigurator-core==0.12.0

cat >check.py <<'PYTHON'
import importlib.util
import pathlib
import statistics
import sys

import pyarrow.parquet

data = pathlib.Path(importlib.util.find_spec("aiconfigurator_core").origin).parent / "systems" / "data" / "h200_sxm" / "gemm"


def table(engine):
    columns = ["gemm_dtype", "m", "n", "k", "latency"]
    return pyarrow.parquet.read_table(data / engine / "gemm_perf.parquet", columns=columns).to_pylist()


def smallest_us(rows, dtype):
    return min(row["latency"] for row in rows if row["gemm_dtype"] == dtype) * 1e3


def skinny_us(rows, dtype, n):
    return statistics.median(r["latency"] for r in rows if (r["gemm_dtype"], r["n"], r["k"]) == (dtype, n, 4096) and r["m"] <= 16) * 1e3


vllm, sglang = table("vllm/0.24.0"), table("sglang/0.5.14")
floors = {dtype: smallest_us(vllm, dtype) for dtype in ("bfloat16", "fp8", "fp8_block")}
other = smallest_us(sglang, "fp8_block")
narrow, wide = (skinny_us(vllm, "fp8_block", n) for n in (64, 4096))
print("vLLM 0.24.0, smallest latency (µs):", {name: round(us, 1) for name, us in floors.items()})
print("SGLang 0.5.14, fp8_block, smallest (µs):", round(other, 1))
print("vLLM, fp8_block, up to 16 rows × 4096, outer 64 and 4096 (µs):", round(narrow, 1), round(wide, 1))
facts = {
    "vLLM's fp8_block begins above 50 µs": floors["fp8_block"] > 50,
    "its bfloat16 and fp8 below 5 µs": floors["bfloat16"] < 5 and floors["fp8"] < 5,
    "SGLang's fp8_block below 5 µs": other < 5,
    "64 times the weights take as long": 0.8 < wide / narrow < 1.25,
    "no column says how a row was launched": not any("graph" in name or "launch" in name for name in vllm[0]),
}
for fact, holds in facts.items():
    print("as found:" if holds else "CHANGED: ", fact)
sys.exit(not all(facts.values()))
PYTHON

venv/bin/python check.py
