#!/usr/bin/env bash
# PyTorch 2.13.0: what the flight recorder says of gloo's collectives that have finished.
#
# A good guess: after wait() has returned, each entry of the dump has the state "completed" and the time at which that
#   was discovered, with TORCH_NCCL_ENABLE_TIMING=1 also a duration_ms; pg_config has one key for each process group.
# What happens: each entry stays "scheduled" for ever. Both times of discovery are None in the pickle and 0 in the JSON
#   (no 0 is a time), duration_ms is missing, and `retired` alone turns True. pg_status has last_completed_collective at the
#   last one and last_started_collective at -1. pg_config has one key, the empty string, however many groups exist: it
#   holds the ranks of the default group until a second group is created, and '[]' from then on, of whatever ranks that is.
# Why it matters: a reader that keeps "completed" entries finds none in a dump of a run where nothing is wrong; one that
#   takes "scheduled" for stuck reports every collective; one that takes the JSON's 0 for a time computes nonsense. With
#   gloo a dump gives order, shapes and types, no time but that of each call, and no size of a group where there are two.
# Date: 2026-11-28, Python 3.11, Linux x86-64, two ranks on one machine.
#
# Exit status: 0 where PyTorch does this, 1 where it no longer does. $PYTHON is the interpreter (python3).
set -euo pipefail

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet torch==2.13.0 numpy==2.4.6

cat >ranks.py <<'PYTHON'
import pathlib
import pickle
import time

import torch
import torch.distributed as dist
from torch._C._distributed_c10d import _dump_fr_trace, _dump_fr_trace_json

dist.init_process_group("gloo")
rank = dist.get_rank()
if rank == 0:
    pathlib.Path("one_group.pickle").write_bytes(_dump_fr_trace())
pair = dist.new_group([0, 1], group_desc="pair")
tensor = torch.ones(1024)
for group in (None, None, pair):
    work = dist.all_reduce(tensor, group=group, async_op=True)
    work.wait()
    assert work.is_completed()
dist.barrier()
deadline_s = time.monotonic() + 30  # another thread retires an entry, shortly after wait() has returned
while not all(entry["retired"] for entry in pickle.loads(_dump_fr_trace())["entries"]) and time.monotonic() < deadline_s:
    time.sleep(0.1)
if rank == 0:
    pathlib.Path("dump.pickle").write_bytes(_dump_fr_trace())
    pathlib.Path("dump.json").write_bytes(_dump_fr_trace_json())
dist.destroy_process_group()
PYTHON

cat >check.py <<'PYTHON'
import json
import pathlib
import pickle
import sys

import torch

dump = pickle.loads(pathlib.Path("dump.pickle").read_bytes())
one_group = pickle.loads(pathlib.Path("one_group.pickle").read_bytes())
as_json = json.loads(pathlib.Path("dump.json").read_bytes())
started, completed = "time_discovered_started_ns", "time_discovered_completed_ns"
shown = ("process_group", "profiling_name", "state", started, completed, "retired")


def ranks_by_key(dump):
    return {key: group["ranks"] for key, group in dump["pg_config"].items()}


print("torch", torch.__version__, "| version of the dump", dump["version"])
for entry in dump["entries"]:
    print("entry:", {key: entry[key] for key in shown}, "| duration_ms" if "duration_ms" in entry else "| no duration_ms")
print("the last one in JSON:", {key: as_json["entries"][-1][key] for key in (started, completed)})
print("pg_config, one group:", one_group["pg_config"])
print("pg_config, two groups:", dump["pg_config"])
print("pg_status:", dump["pg_status"])

entries = dump["entries"]
groups = {entry["process_group"] for entry in entries}
status = dump["pg_status"]["0"]
facts = {
    "torch is 2.13.0": torch.__version__.split("+")[0] == "2.13.0",
    "four collectives, two groups": len(entries) == 4 and len(groups) == 2,
    "finished collectives are 'scheduled'": {entry["state"] for entry in entries} == {"scheduled"},
    "and retired": all(entry["retired"] is True for entry in entries),
    "no time of discovery in the pickle": all(entry[started] is entry[completed] is None for entry in entries),
    "0 for it in JSON": all(entry[started] == entry[completed] == 0 for entry in as_json["entries"]),
    "no duration": not any("duration_ms" in entry for entry in entries),
    "completed but never started": status["last_completed_collective"] > 0 > status["last_started_collective"],
    "pg_config has one empty key, for one group": {"": "[0, 1]"} == ranks_by_key(one_group),
    "and for two, then without ranks": {"": "[]"} == ranks_by_key(dump),
}
for fact, holds in facts.items():
    print("as found:" if holds else "CHANGED: ", fact)
sys.exit(not all(facts.values()))
PYTHON

export OMP_NUM_THREADS=1 TORCH_FR_BUFFER_SIZE=100 TORCH_NCCL_ENABLE_TIMING=1
timeout 300 venv/bin/python -m torch.distributed.run --standalone --nproc-per-node 2 ranks.py
venv/bin/python check.py
