"""Every reader takes its files packed, and from standard input, and reads of them what it reads of the plain file."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import sys
import types

import pytest

from inferometer.emulator.importers.imports import KNOWN, import_files
from inferometer.emulator.importers.settings import parse_settings
from inferometer.launch.cli import main

DS_BENCH = """---- Performance of all_reduce on 8 devices -----------------
Size (Bytes)         Description               Duration             Throughput (Gbps)    BusBW (Gbps)
1.0 MB               524288x2                  96.500 us            173.864              152.131
"""
PERFTEST = """                    RDMA_Write Latency Test
 #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]
 8       1000          1.01           4.54         1.06
"""
ENTRY = {
    "profiling_name": "nccl:all_reduce", "input_sizes": [[1024]], "input_dtypes": ["Float"], "output_sizes": [[1024]],
    "process_group": ("0", "default_pg"), "duration_ms": 0.25,
}  # fmt: skip
DUMP = {"pg_config": {"0": {"ranks": "[0, 1]"}}, "entries": [ENTRY]}
KERNEL = {
    "ph": "X", "cat": "kernel", "name": "ncclDevKernel", "ts": 1, "dur": 30,
    "args": {"Collective name": "allreduce", "In msg nelems": 64, "Out msg nelems": 64, "Group size": 8, "dtype": "Float"},
}  # fmt: skip
INSPECTED = {
    "header": {"id": "0x1", "rank": 0, "n_ranks": 8, "nnodes": 1},
    "coll_perf": {"coll": "AllReduce", "coll_msg_size_bytes": 1 << 20, "coll_exec_time_us": 61, "coll_algobw_gbs": 17.19},
}
EXAMPLES = {
    "rccl-tests": "numCycle,name,nranks,gpus,size,type,redop,inPlace,time,algBw,busBw,#wrong\n"
    "1,AllReduce,8,8,1048576,float,sum,0,30.0,34.95,61.17,0\n",
    "aiconfigurator": "framework,version,device,op_name,kernel_source,nccl_dtype,num_gpus,message_size,latency\n"
    "TRTLLM,1.0,H100,all_reduce,NCCL,half,8,256,0.015\n",
    "vidur": "time_stats.all_reduce.median,rank,num_workers,size,collective,devices_per_node,max_devices_per_node\n"
    "0.015,0,8,512,all_reduce,8,8\n",
    "osu": "# OSU MPI Bcast Latency Test v7.4\n# Size       Avg Latency(us)\n4 1.5\n",
    "imb": "# Benchmarking Bcast\n# #processes = 4\n#bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]\n8 9 1 3 2\n",
    "csv": "collective,bytes,us\nall_reduce,8,1.5\n",
    "mscclpp": "#       size         count     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong\n"
    "     1048576        262144    30.17    34.75    60.82       0    30.17    34.75    60.82       0\n",
    "ds_bench": DS_BENCH,
    "param": "COMMS-RES-all_reduce-float32\t1048576\t262144\t61.2\t62.0\t63.0\t60.1\t70.0\t17.13\t29.98\n",
    "perftest": PERFTEST,
    "nvbandwidth": "Running device_to_device_memcpy_read_ce.\nmemcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)\n"
    "          0         1\n0       N/A    370.90\n1    370.90       N/A\n",
    "torch-trace": json.dumps({"traceEvents": [KERNEL]}),
    "flight-recorder": pickle.dumps(DUMP),
    "nccl-inspector": json.dumps(INSPECTED) + "\n",
    "kernels": "kind,us,device,dtype,launch_mode,rows,inner,outer\nmatmul,12.5,H100,bfloat16,graph,8,4096,4096\n",
}
PACKED = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


@pytest.fixture
def examples(log):
    return {"nccl-tests": log(ranks=8).text, **EXAMPLES}


@pytest.fixture
def content_of(examples):
    def content(format_name):
        found = examples[format_name]
        return found if isinstance(found, bytes) else found.encode()

    return content


def read(format_name, path):
    found = import_files(
        format_name, [path], parse_settings("nodes=1" if format_name not in ("perftest", "kernels", "nvbandwidth") else None)
    )
    volatile = ("source", "sha256", "file")
    return [{key: value for key, value in cell.items() if key not in volatile} for cell in found.cells]


@pytest.mark.parametrize("format_name", KNOWN)
def test_packed_and_from_stdin(format_name, content_of, tmp_path, monkeypatch):
    content = content_of(format_name)
    plain = tmp_path / "plain"
    plain.write_bytes(content)
    wanted = read(format_name, plain)
    assert wanted
    for suffix, pack in PACKED.items():
        path = tmp_path / f"packed.{suffix}"
        path.write_bytes(pack(content))
        assert read(format_name, path) == wanted
        monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(pack(content))))
        assert read(format_name, "-") == wanted
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(content)))
    assert read(format_name, "-") == wanted


def test_stdin_by_the_command(log, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(log(ranks=8).text.encode())))
    assert main(["import", "nccl-tests", "-"]) == 0
    assert capsys.readouterr().out.startswith("stdin: all_reduce, ranks 8")
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"")))
    assert main(["import", "nccl-tests", "-"]) == 2
    assert capsys.readouterr().err == "inferometer: stdin: the file is empty\n"
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"x")))
    assert main(["import", "nccl-tests", "-", "-"]) == 2
    assert "stdin is named twice" in capsys.readouterr().err


def test_a_packed_parquet_table(tmp_path, monkeypatch):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {"op_name": ["all_reduce"], "num_gpus": [8], "message_size": [256], "latency": [0.01], "kernel_source": ["NCCL"],
             "nccl_dtype": ["half"]}  # fmt: skip
    path = tmp_path / "nccl_perf.parquet"
    parquet.write_table(pyarrow.table(table), path)
    wanted = read("aiconfigurator", path)
    (tmp_path / "packed").write_bytes(gzip.compress(path.read_bytes()))
    assert read("aiconfigurator", tmp_path / "packed") == wanted != []
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    assert read("aiconfigurator", "-") == wanted
