"""Collectives out of traces of running programs: torch.profiler, the flight recorder, NCCL's inspector."""

from __future__ import annotations

import json
import os
import pickle

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.importers.settings import parse_settings
from tests.places import DATA

GLOO = [DATA / "traces" / f"gloo_rank{rank}.json" for rank in (0, 1)]


def cells_of(found):
    return {(cell["collective"], cell["bytes"]): cell for cell in found.cells}


def test_a_real_trace_of_gloo_on_two_ranks():
    cells = cells_of(import_files("torch-trace", GLOO, parse_settings("nodes=1")))
    reduced = cells["all_reduce", 4096 * 4]
    assert (reduced["ranks"], reduced["dtype"], reduced["backend"], reduced["launch_mode"]) == (2, "float32", "gloo", "host")
    assert len(reduced["start_ns"][0]) == 3 and reduced["ranks_traced"] == 2
    times = [
        [
            event["dur"]
            for event in sorted(json.loads(path.read_text())["traceEvents"], key=lambda e: e["ts"])
            if event["name"] == "gloo:all_reduce" and event["args"]["Input Dims"] == [[4096]]
        ]
        for path in GLOO
    ]
    assert reduced["us"] == pytest.approx(sum(map(sum, times)) / 6)
    assert ("all_gather", 2 * 4096 * 4) in cells and ("broadcast", 1024) in cells and ("barrier", 0) in cells
    assert cells["send_recv", 1024]["ranks"] == 2


def kernel(name, taken, given, us, **more):
    args = {
        "Collective name": name,
        "In msg nelems": taken,
        "Out msg nelems": given,
        "Group size": 8,
        "dtype": "BFloat16",
        "Process Group Name": "0",
        "Process Group Ranks": "[0, 1, 2, 3, 4, 5, 6, 7]",
        "In split size": "[]",
    } | more
    return {"ph": "X", "cat": "kernel", "name": f"ncclDevKernel_{name}", "ts": us, "dur": us, "args": args}


@pytest.mark.parametrize(
    "event, wanted",
    [
        (kernel("allreduce", 512, 512, 30), ("all_reduce", 1024, 8, "eager")),
        (kernel("_allgather_base", 64, 512, 30), ("all_gather", 1024, 8, "eager")),
        (kernel("_reduce_scatter_base", 512, 64, 30), ("reduce_scatter", 1024, 8, "eager")),
        (kernel("all_to_all", 512, 512, 30), ("all_to_all", 1024, 8, "eager")),
        (kernel("all_to_allv", 512, 512, 30, **{"In split size": "[64, 64, 64]"}), ("all_to_all", 1024, 8, "eager")),
        (kernel("allreduce", 512, 512, 30, **{"graph node id": 7}), ("all_reduce", 1024, 8, "graph")),
        (kernel("send", 512, 512, 30), ("send_recv", 1024, 2, "eager")),
        (kernel("all_reduce", 512, 512, 30, dtype="float16"), ("all_reduce", 1024, 8, "eager")),
    ],
)
def test_kernels_of_nccl(read, event, wanted):
    (cell,) = read("torch-trace", json.dumps({"traceEvents": [event]})).cells
    assert (cell["collective"], cell["bytes"], cell["ranks"], cell["launch_mode"]) == wanted and cell["us"] == 30


def test_an_uneven_exchange_has_no_law(read):
    event = kernel("all_to_allv", 512, 512, 30, **{"In split size": "[1, 2, 509]"})
    assert read("torch-trace", json.dumps({"traceEvents": [event]})).files[0]["excluded"] == {"no_law": 1}


def entry(**changes):
    return {
        "profiling_name": "nccl:all_reduce",
        "input_sizes": [[4, 1024]],
        "input_dtypes": ["BFloat16"],
        "output_sizes": [[4, 1024]],
        "output_dtypes": ["BFloat16"],
        "process_group": ("0", "default_pg"),
        "duration_ms": 0.25,
        "state": "completed",
    } | changes


def dump(*entries, ranks="[0, 1, 2, 3]"):
    return {
        "version": "2.10",
        "pg_config": {"0": {"name": "0", "desc": "default_pg", "ranks": ranks}},
        "entries": list(entries),
    }


@pytest.mark.parametrize("write", [pickle.dumps, lambda content: json.dumps(content).encode()])
def test_the_flight_recorder(read, write):
    gathered = entry(profiling_name="nccl:_all_gather_base", input_sizes=[[8]], output_sizes=[[32]], duration_ms=0.02)
    cells = cells_of(read("flight-recorder", write(dump(entry(), entry(duration_ms=0.35), gathered)), settings="nodes=1"))
    reduced = cells["all_reduce", 8192]
    assert (reduced["us"], reduced["ranks"], reduced["dtype"]) == (pytest.approx(300), 4, "bfloat16")
    assert reduced["stop_ns"][0][-1] == 600_000
    assert cells["all_gather", 64]["us"] == pytest.approx(20)


def test_a_dump_without_timing_says_what_to_set(read):
    with pytest.raises(InputError, match="1 entries, none with duration_ms: set TORCH_NCCL_ENABLE_TIMING=1"):
        read("flight-recorder", pickle.dumps(dump(entry(duration_ms=None))))


class Hostile:
    def __reduce__(self):
        return os.system, ("touch /tmp/never",)


def test_a_pickle_builds_no_objects(read):
    with pytest.raises(InputError, match=r"names posix\.system"):
        read("flight-recorder", pickle.dumps(dump(entry(extra=Hostile()))))


def record(**changes):
    perf = {
        "coll": "AllReduce",
        "coll_sn": 7,
        "coll_msg_size_bytes": 1 << 20,
        "coll_exec_time_us": 61,
        "coll_algobw_gbs": 17.19,
        "coll_busbw_gbs": 30.08,
    } | changes
    return json.dumps({"header": {"id": "0x1", "rank": 0, "n_ranks": 8, "nnodes": 1}, "metadata": {}, "coll_perf": perf})


def test_the_inspector(read):
    gathered = {"coll": "AllGather", "coll_msg_size_bytes": 1 << 20, "coll_exec_time_us": 100, "coll_algobw_gbs": 83.89}
    found = read("nccl-inspector", "\n".join([record(), record(coll_exec_time_us=61), record(**gathered)]) + "\n")
    cells = cells_of(found)
    assert (cells["all_reduce", 1 << 20]["us"], cells["all_reduce", 1 << 20]["nodes"]) == (61, 1)
    assert cells["all_gather", 8 << 20]["us"] == 100
    with pytest.raises(InputError, match=r"line 1: 1048576 bytes / 61 µs is not 1\.719 GB/s"):
        read("nccl-inspector", record(coll_algobw_gbs=1.719))


def test_the_inspectors_header_before_its_objects_and_beside_them(read):
    """Format 4.3 of NCCL's plugin, objects on several lines; and as a collector of Datadog's agent writes them, on one."""
    held = json.loads(record())
    marker = {"header": held["header"], "metadata": {}, "dump_stats": {"coll_records": 2}}
    perf = {"coll_perf": held["coll_perf"] | {"coll_algo": "RING", "coll_proto": "LL"}}
    text = "\n".join(json.dumps(one, indent=2) for one in (marker, perf, {"record_type": "proxy_op"}, perf))
    (cell,) = read("nccl-inspector", text).cells
    assert (cell["us"], cell["ranks"], cell["nodes"], cell["calls"]) == (61, 8, 1, 2)
    flat = {"id": "abc123", "rank": 0, "n_ranks": 8, "nnodes": 1} | {"coll_perf": held["coll_perf"]}
    (cell,) = read("nccl-inspector", json.dumps(flat) + "\n").cells
    assert (cell["us"], cell["ranks"]) == (61, 8)


def test_an_object_of_the_inspector_that_contradicts_itself_is_left_out(read):
    """4194304 bytes in 150.30 µs are no 0.027907 GB/s, as another profiler's document has it."""
    wrong = record(coll_msg_size_bytes=4194304, coll_exec_time_us=150.30, coll_algobw_gbs=0.027907)
    found = read("nccl-inspector", f"{record()}\n{wrong}\n")
    assert [cell["bytes"] for cell in found.cells] == [1 << 20]
    assert "line 2: 4194304 bytes / 150.3 µs is not 0.027907 GB/s" in found.files[0]["reasons"]["time_contradicted"]


def test_an_object_of_the_inspector_as_a_job_on_three_nodes_wrote_it(read):
    perf = {"coll": "AllReduce", "coll_sn": 8995, "coll_msg_size_bytes": 2360832, "coll_exec_time_us": 5663.0,
            "coll_algobw_gbs": 0.416887, "coll_busbw_gbs": 0.555850}  # fmt: skip
    header = {"id": "0xad56c683b0c4ef", "rank": 1, "n_ranks": 3, "nnodes": 3}
    (cell,) = read("nccl-inspector", json.dumps({"header": header, "metadata": {}, "coll_perf": perf}) + "\n").cells
    assert (cell["bytes"], cell["us"], cell["ranks"], cell["nodes"]) == (2360832, 5663.0, 3, 3)
