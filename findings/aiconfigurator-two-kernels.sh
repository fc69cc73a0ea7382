#!/usr/bin/env bash
# aiconfigurator-core 0.12.0: how many times its attention tables give for one shape.
#
# A good guess: one. A table holds what the engine runs for batch, lengths, heads, precision and window, so that these name
#   a row, and `kernel_source` says which kernel the engine chose.
# What happens: of SGLang 0.5.14 on a B200 a tenth of the prefill shapes and a seventh of the decode shapes stand there
#   twice, once as trtllm_mha and once as triton or flashinfer, in the median 1.65 and 1.3 times, at most 9 and 67 times as
#   long. Other shapes have one of the three. No column says which of two rows the engine would run.
# Why it matters: whoever indexes the table by shape keeps whichever row stands last; a law fitted to all rows describes
#   neither kernel (held-out errors at the 90th percentile: 31 %; of the usual kernel alone 16 %).
# Date: 2026-11-28, Python 3.11, Linux x86-64.
#
# Exit status: 0 where the tables do this, 1 where they no longer do. $PYTHON is the interpreter (python3).
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet pyarrow==23.0.1
venv/bin/python -m pip install --quiet --no-deps aiconfigurator-core==0.12.0

cat >check.py <<'PYTHON'
import collections
import importlib.util
import pathlib
import statistics
import sys

import pyarrow.parquet

package = pathlib.Path(importlib.util.find_spec("aiconfigurator_core").origin).parent
folder = package / "systems" / "data" / "b200_sxm" / "attention" / "sglang" / "0.5.14"
facts = {}
for phase, least_share, least_most in (("context", 0.09, 5), ("generation", 0.14, 20)):
    rows = pyarrow.parquet.read_table(folder / f"{phase}_attention_perf.parquet").to_pylist()
    shape = [name for name in rows[0] if name not in ("latency", "kernel_source")]
    of_shape = collections.defaultdict(dict)
    for row in rows:
        of_shape[tuple(row[name] for name in shape)][row["kernel_source"]] = row["latency"]
    twice = [times for times in of_shape.values() if len(times) > 1]
    ratios = [max(times.values()) / min(times.values()) for times in twice]
    alone = {next(iter(times)) for times in of_shape.values() if len(times) == 1}
    print(f"{phase}: {len(rows)} rows, {len(of_shape)} shapes, {len(twice)} of them with two kernels")
    print(f"  slower over faster: median {statistics.median(ratios):.2f}, most {max(ratios):.1f}; alone: {sorted(alone)}")
    facts |= {
        f"{phase}: no kernel stands twice for a shape": sum(map(len, of_shape.values())) == len(rows),
        f"{phase}: shapes with two kernels, over {least_share:.0%}": len(twice) > least_share * len(of_shape),
        f"{phase}: one takes over {least_most} times as long as the other": max(ratios) > least_most,
        f"{phase}: several kernels stand alone elsewhere": len(alone) > 1,
    }
for fact, holds in facts.items():
    print("as found:" if holds else "CHANGED: ", fact)
sys.exit(not all(facts.values()))
PYTHON

venv/bin/python check.py
