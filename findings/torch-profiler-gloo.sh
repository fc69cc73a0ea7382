#!/usr/bin/env bash
# PyTorch 2.13.0: what torch.profiler records of gloo's all_gather_into_tensor.
#
# A good guess: the trace names the collective that the program called, and its event's args name the process group, as
#   traces of NCCL do ("Process Group Name", "Process Group Ranks", "Group size").
# What happens: all_gather_into_tensor and all_gather (a list of tensors) are both `gloo:all_gather`, with equal args.
#   None of the args names a group or its size, and the trace has no record_param_comms event. The groups are listed at
#   the top of the trace, in distributedInfo, but no event refers to one of them.
# Why it matters: where a program has more than one group (tensor and expert parallel ranks, say), the trace does not tell
#   over how many ranks a collective ran, and so neither the bytes that it moved nor the law that it belongs to. The two
#   forms cannot be distinguished by these events either, though the second copies its parts out; c10d::_allgather_base_
#   and c10d::allgather_ do distinguish them, on another thread and without a link to the event that has the time.
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
import torch
import torch.distributed as dist
from torch.profiler import ProfilerActivity, profile

dist.init_process_group("gloo")
pair = dist.new_group([0, 1], group_desc="pair")
part, whole = torch.ones(1024), torch.empty(2048)
dist.barrier()
with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
    dist.all_gather_into_tensor(whole, part, group=pair)
    dist.all_gather([torch.empty(1024), torch.empty(1024)], part, group=pair)
    dist.barrier()  # the events of both are closed by then
if dist.get_rank() == 0:
    trace.export_chrome_trace("trace.json")
dist.destroy_process_group()
PYTHON

cat >check.py <<'PYTHON'
import json
import pathlib
import sys

import torch

trace = json.loads(pathlib.Path("trace.json").read_text())
events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
gathers = [event for event in events if event["name"].startswith("gloo:") and "gather" in event["name"]]
calls = [event for event in events if event["name"] in ("c10d::_allgather_base_", "c10d::allgather_")]
groups = trace["distributedInfo"]["pg_config"]
counters = {"External id", "Ev Idx"}


def without_counters(event):
    return {key: value for key, value in event["args"].items() if key not in counters}


print("torch", torch.__version__)
for event in gathers:
    print("event:", event["name"], event["cat"], event["args"])
for event in calls:
    print("call:", event["name"], event["args"])
print("distributedInfo's groups:", [(group["pg_name"], group["pg_desc"], group["ranks"]) for group in groups])

facts = {
    "torch is 2.13.0": torch.__version__.split("+")[0] == "2.13.0",
    "two events, both gloo:all_gather": [event["name"] for event in gathers] == ["gloo:all_gather"] * 2,
    "their args are equal": all(without_counters(event) == without_counters(gathers[0]) for event in gathers),
    "no arg names a group": not any("group" in key.lower() for event in gathers + calls for key in event["args"]),
    "no record_param_comms": not any("record_param_comms" in event["name"] for event in events),
    "both calls, on no thread of the events": len(calls) == 2
    and not {event["tid"] for event in calls} & {event["tid"] for event in gathers},
    "the head of the trace lists two groups": len(groups) == 2,
}
for fact, holds in facts.items():
    print("as found:" if holds else "CHANGED: ", fact)
sys.exit(not all(facts.values()))
PYTHON

export OMP_NUM_THREADS=1
timeout 300 venv/bin/python -m torch.distributed.run --standalone --nproc-per-node 2 ranks.py
venv/bin/python check.py
