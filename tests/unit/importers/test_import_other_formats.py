"""The formats beside nccl-tests' text: what their columns mean, and what they do not say."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys

import pytest

from inferometer.emulator.errors import InputError


def document(ranks=8, **changes):
    """As ``nccl-tests -J`` writes it: one device entry per process, root as text, nwrong null where unchecked."""

    def times(size, unchecked):
        time = 20 + size / 1e5
        algbw = size / time / 1e3
        return {
            "time": time,
            "alg_bw": algbw,
            "bus_bw": algbw * 2 * (ranks - 1) / ranks,
            "nwrong": None if unchecked else 0.0,
        }

    results = [
        {"size": size, "count": size // 4, "type": "float", "redop": "sum", "root": "    -1",
         "out_of_place": times(size, False), "in_place": times(size, False), "experiment_name": "all_reduce_perf"}
        for size in (1024, 2048, 4096)
    ]  # fmt: skip
    config = {"nthreads": 1, "ngpus": 4, "minimum_bytes": 1024, "maximum_bytes": 4096, "step_factor": 2, "iterations": 20,
              "graph": 1, "devices": [{"rank": r, "group": 0, "pid": 1, "hostname": f"h{r}", "device": 0, "device_info": "G"}
                                      for r in range(0, ranks, 4)]}  # fmt: skip
    return {
        "version": 2,
        "args": ["./all_reduce_perf"],
        "nccl_version": 22807,
        "config": config,
        "results": results,
    } | changes


def test_json_of_nccl_tests(read):
    found = read("nccl-tests", json.dumps(document() | {"average_bus_bandwidth": {"bandwidth": 0.2}}))
    (entry,) = found.files
    assert (entry["collective"], entry["ranks"], entry["nodes"], entry["rows"]) == ("all_reduce", 8, 2, 3)
    assert entry["launch_mode"] == "graph" and entry["backend_version"] == "2.28.7" and entry["device"] == "G"
    assert [cell["us"] for cell in found.cells] == pytest.approx([20.01024, 20.02048, 20.04096])


@pytest.mark.parametrize(
    "content, words",
    [
        ("{}", "no key 'results'"),
        ('{"results": 3}', "results"),
        ('{"results": [{"size": -1, "type": "float"}]}', "results.0.size"),
        ('{"results": []}', "no rows"),
        ('{"a": ' * 5000, "not JSON"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "not JSON"),
        ('{"results": ' + "9" * 5000 + "}", "not JSON"),
        ('{"results": [], "x": "', "not JSON"),
    ],
)
def test_json_of_something_else(read, content, words):
    with pytest.raises(InputError, match=words):
        read("nccl-tests", content)


def test_rccl_tests_text_and_rows(log, read):
    text = log().text
    assert read("rccl-tests", "RCCL version : 2.27.7-HEAD:1\n" + text).cells[0]["implementation"] == "rccl"
    rows = [
        {"name": "AllReduce", "gpus": 4, "inPlace": place, "size": size, "type": "half", "redop": "sum", "time": 10 + place,
         "algBw": size / (10 + place) / 1e3, "busBw": size / (10 + place) / 1e3 * 1.5, "#wrong": "0"}
        for size in (64, 128) for place in (0, 1)
    ]  # fmt: skip
    as_csv = "name, gpus, inPlace, size, type, redop, time, algBw, busBw, #wrong\n"
    as_csv += "".join(", ".join(str(value) for value in row.values()) + "\n" for row in rows)
    lines = "\n".join(json.dumps(row) for row in rows)
    for content in (json.dumps(rows), lines, as_csv):
        found = read("rccl-tests", content)
        (entry,) = found.files
        assert (entry["collective"], entry["ranks"], entry["nodes"], entry["rows"]) == ("all_reduce", 4, None, 4)
        assert [(cell["bytes"], cell["us"], cell["dtype"]) for cell in found.cells] == [
            (64, 10, "float16"),
            (128, 10, "float16"),
        ]
        assert entry["excluded"] == {"in_place": 2}


def parquet(tmp_path, **columns):
    pyarrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "t.parquet"
    writer.write_table(pyarrow.table(columns), path)
    return path.read_bytes()


def test_aiconfigurator_counts_elements_and_milliseconds(read, tmp_path):
    content = parquet(
        tmp_path, op_name=["all_reduce", "alltoall", "all_reduce"], num_gpus=[8, 8, 8], message_size=[256, 512, 256],
        latency=[0.0156, 0.0078, 0.0157], kernel_source=["NCCL"] * 3, nccl_dtype=["half", "int8", "half"],
        version=["2.29.2"] * 3, device=["G"] * 3,
    )  # fmt: skip
    found = read("aiconfigurator", content)
    assert [(c["collective"], c["bytes"], c["us"], c["dtype"], c["launch"]) for c in found.cells] == [
        ("all_reduce", 512, 15.6, "float16", 0),
        ("all_reduce", 512, 15.7, "float16", 1),
        ("all_to_all", 512, 7.8, "int8", 0),
    ]
    assert {(e["ranks"], e["nodes"], e["launch_mode"], e["backend_version"]) for e in found.files} == {
        (8, 1, "stream", "2.29.2")
    }


def test_aiconfigurator_tells_graph_from_eager(read, tmp_path):
    kernels = ["vLLM_custom_graph", "vLLM_custom_eager", "TRTLLM"]
    content = parquet(
        tmp_path, op_name=["all_reduce"] * 3, num_gpus=[2] * 3, message_size=[128] * 3, latency=[0.005, 0.02, 0.003],
        kernel_source=kernels, allreduce_dtype=["bfloat16"] * 3,
    )  # fmt: skip
    cells = read("aiconfigurator", content).cells
    assert [(c["implementation"], c["backend"], c["launch_mode"], c["us"]) for c in cells] == [
        ("vllm_custom", "vllm", "graph", 5), ("vllm_custom", "vllm", "eager", 20), ("trtllm", "trtllm", "graph", 3),
    ]  # fmt: skip


def test_parquet_that_is_none(read, tmp_path):
    whole = parquet(tmp_path, a=[1])
    with pytest.raises(InputError, match="no column op_name"):
        read("aiconfigurator", whole)
    for content in (b"", b"PAR1", whole[:-9], whole[:20] + b"\xff" * 40 + whole[60:], b"PAR1" + b"\0" * 100 + b"PAR1"):
        with pytest.raises(InputError):
            read("aiconfigurator", content)


def test_without_pyarrow_one_line_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pip install 'inferometer\[parquet\]'"):
        read("aiconfigurator", b"PAR1")


VIDUR = (
    ",time_stats.all_reduce.min,time_stats.all_reduce.max,time_stats.all_reduce.mean,time_stats.all_reduce.median,"
    "time_stats.all_reduce.std,rank,num_workers,size,collective,devices_per_node,max_devices_per_node\n"
)


def test_vidur_counts_bytes_and_milliseconds(read):
    found = read("vidur", VIDUR + "0,0.007,0.009,0.008,0.0075,0.001,0,8,2048,all_reduce,4,8\n" * 2)
    assert [(c["us"], c["bytes"], c["launch"], c["min_us"]) for c in found.cells] == [(7.5, 2048, 0, 7), (7.5, 2048, 1, 7)]
    (entry,) = found.files
    assert (entry["ranks"], entry["nodes"], entry["dtype"]) == (8, 2, ["float16"]) and "kernel_time" in entry["flags"]
    with pytest.raises(InputError, match="line 2: num_workers is 'x'"):
        read("vidur", VIDUR + "0,0.007,0.009,0.008,0.0075,0.001,0,x,2048,all_reduce,4,8\n")
    with pytest.raises(InputError, match="no column 'num_workers'"):
        read("vidur", "a,b\n1,2\n")


OSU = "# OSU MPI {} Latency Test v7.4\n# Datatype: MPI_FLOAT.\n# Size       Avg Latency(us)\n4        1.50\n8        2.50\n"


def test_osu(read):
    (entry,) = read("osu", OSU.format("Allreduce")).files
    assert (entry["collective"], entry["ranks"], entry["rows"], entry["dtype"]) == ("all_reduce", None, 2, ["float32"])
    assert "ranks_unknown" in entry["flags"] and entry["cells"] == 2
    unknown = read("osu", OSU.format("Allgather"))
    assert unknown.cells == [] and unknown.files[0]["excluded"] == {"size_needs_ranks": 2}
    known = read("osu", OSU.format("Allgather"), settings="ranks=16,nodes=2")
    assert [(cell["bytes"], cell["us"]) for cell in known.cells] == [(64, 1.5), (128, 2.5)]
    full = OSU.format("Alltoall").replace(
        "Avg Latency(us)", "Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations"
    )
    cells = read("osu", full.replace("1.50", "1.50 1.00 2.00 1000").replace("2.50", "2.5 2 3 9"), settings="ranks=2").cells
    assert cells[0]["us"] == 1.5 and cells[0]["min_us"] == 1 and cells[0]["max_us"] == 2 and cells[0]["bytes"] == 8


IMB = """# MPI_Datatype for reductions    :   MPI_FLOAT
#----------------------------------------------------------------
# Benchmarking {}
# #processes = {}
#----------------------------------------------------------------
       #bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]
            0         1000         0.03         0.03         0.03
            8         1000         4.50        18.59        11.69
"""


@pytest.mark.parametrize("name", ["osu", "imb"])
def test_imb(read, name):
    found = read(name, IMB.format("Allreduce", 144) + "\n" + IMB.format("Alltoall", 4) + "\n# All processes entering\n")
    assert [(e["collective"], e["ranks"], e["rows"]) for e in found.files] == [("all_reduce", 144, 2), ("alltoall", 4, 2)]
    assert [(c["bytes"], c["us"], c["max_us"]) for c in found.cells] == [(8, 11.69, 18.59), (32, 11.69, 18.59)]
    assert all(e["excluded"] == {"size_zero": 1} and e["nodes"] is None for e in found.files)


def test_the_plain_csv(read):
    text = "# a comment\ncollective,bytes,us,ranks,nodes,dtype,launch_mode\nall_reduce,64,12.5,8,,float,graph\n"
    found = read("csv", text + "AllToAll,64,7.5,8,1,bfloat16,\n")
    assert [(e["collective"], e["ranks"], e["nodes"], e["launch_mode"]) for e in found.files] == [
        ("all_reduce", 8, None, "graph"), ("alltoall", 8, 1, None),
    ]  # fmt: skip
    assert [(c["collective"], c["us"], c["dtype"]) for c in found.cells] == [
        ("all_reduce", 12.5, "float32"), ("all_to_all", 7.5, "bfloat16"),
    ]  # fmt: skip


def test_a_csv_of_sizes_and_times_only(read):
    text = "size_bytes,type,out_of_place_time_us,in_place_time_us\n8,float,83,34\n16,float,34,34\n32,float,35,35\n"
    (entry,) = read("csv", text, name="4n32_all_reduce.csv", settings="ranks=32,nodes=4").files
    assert (entry["collective"], entry["ranks"], entry["nodes"], entry["rows"]) == ("all_reduce", 32, 4, 3)
    assert set(entry["flags"]) == {"collective_from_file_name", "ranks_given", "nodes_given", "cold_first_row"}
    assert entry["excluded"] == {"cold_first_row": 1}


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "empty"),
        ("no table at all\n", "no list of columns"),
        ("bytes,busbw\n1,2\n", "no column us"),
        ("bytes,us\n", "no rows"),
        ("bytes,us\n1\n", "line 2: 1 cells, the head has 2"),
        ("bytes,us\n1,nan\n1,-1\n", "line 3: us is '-1'"),
        ("bytes,us\n1.5,1\n", "bytes is '1.5'"),
        ("bytes,us,ranks\n1,1,0\n", "ranks is '0'"),
        ("bytes,us,collective\n1,1,frobnicate\n", "unknown"),
        ('bytes,us\n"1,1\n', "no CSV"),
        ("bytes,us\n1,1e999\n", "us is '1e999'"),
        ("bytes,us,us\n1,1,2\n", "two columns are called 'us'"),
        ("bytes,size_bytes,us\n1,2,1\n", "columns bytes and size_bytes both say bytes"),
        ("bytes,us,time_us\n1,2,1\n", "columns us and time_us both say us"),
        ("bytes,us,statistic\n1,1,banana\n", "line 2: statistic is 'banana', known are mean, median"),
        ("bytes,us,timing\n1,1,bar\n", "line 2: timing is 'bar', known are isolated, pipelined, kernel"),
        ("bytes,us,launch_mode\n1,1,bar\n", "launch_mode is 'bar'"),
    ],
)
def test_a_bad_csv(read, text, words):
    with pytest.raises(InputError, match=words):
        read("csv", text)


def test_columns_of_a_csv_that_are_not_known_are_named(read):
    (entry,) = read("csv", "collective,bytes,us,rank,statistic\nall_reduce,64,12.5,8,median\n").files
    assert entry["reasons"]["columns_ignored"] == "columns that are not known: rank"
    assert entry["ranks"] is None and "ranks_unknown" in entry["flags"]


@pytest.mark.parametrize("setting", ["timing=banana", "launch_mode=banana"])
def test_a_setting_of_few_values_is_one_of_them(read, setting):
    with pytest.raises(InputError, match=f"--set {setting}: .* is 'banana', known are"):
        read("csv", "collective,bytes,us\nall_reduce,64,1\n", settings=setting)


MPI_HEAD = "numCycle,collective,nodes,ranks,ranksPerNode,gpusPerRank,size,type,redop,inPlace,time,algBw,busBw,#wrong\n"


@pytest.mark.parametrize("head", [MPI_HEAD, MPI_HEAD.replace("nodes,", "").lower(), MPI_HEAD.replace("collective", "name")])
def test_rccl_rows_of_mpi_builds(read, head):
    rows = '0,"AllReduce",2,8,4,2,1048576,"float","sum",0,55.66,18.84,35.32,"0"\n'
    found = read("rccl-tests", head + rows)
    assert [(c["collective"], c["ranks"], c["nodes"], c["us"]) for c in found.cells] == [("all_reduce", 16, 2, 55.66)]
    with pytest.raises(InputError, match="2 nodes × 3 ranksPerNode are not 8 ranks"):
        read("rccl-tests", head + rows.replace("8,4,2", "8,3,2"))


def test_rccl_rows_that_contradict_themselves(read):
    rows = '0,"AllReduce",1,8,8,1,1048576,"float","sum",0,{},"0"\n'
    for cells in ("0.05566,18.84,32.97", "55.66,18.84,28.26", "55.66,37.68,65.94"):  # ms, four ranks' busbw, twice the bytes
        (entry,) = read("rccl-tests", MPI_HEAD + rows.format(cells)).files
        assert entry["excluded"] == {"contradicted": 1} and "rows contradict themselves" in entry["reasons"]["contradicted"]


def test_rccl_cycles_are_samples_of_one_launch(read):
    rows = "".join(
        f'{cycle},"AllReduce",1,8,8,1,1048576,"float","sum",0,{us},18.8,32.9,"0"\n' for cycle, us in ((0, 55), (1, 57))
    )
    (cell,) = read("rccl-tests", MPI_HEAD + rows).cells
    assert (cell["launch"], cell["n"], cell["us"]) == (0, 2, 56)


def test_aiconfigurator_as_text_and_its_unknown_kernels(read):
    head = "framework,version,device,op_name,kernel_source,nccl_dtype,num_gpus,message_size,latency\n"
    found = read("aiconfigurator", head + "TRTLLM,2.29.2,G,all_reduce,NCCL,half,8,256,0.0156\n", name="nccl_perf.txt")
    assert [(c["bytes"], c["us"], c["launch_mode"]) for c in found.cells] == [(512, 15.6, "stream")]
    (entry,) = read("aiconfigurator", head + "X,1,G,all_reduce,Mystery,half,8,256,0.0156\n", name="p.txt").files
    assert entry["launch_mode"] is None and "launch_mode_unknown" in entry["flags"]


def test_tables_of_expert_dispatch_are_named(read, tmp_path):
    content = parquet(
        tmp_path, op_name=["ll"], kernel_source=["deepep"], num_token=[1], num_topk=[8], dispatch_avg_t_us=[16.0]
    )
    with pytest.raises(InputError, match="a table of expert dispatch and combine"):
        read("aiconfigurator", content)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, bz2.compress])
def test_packed_tables(read, pack):
    content = pack((VIDUR + "0,0.007,0.009,0.008,0.0075,0.001,0,8,2048,all_reduce,4,8\n").encode())
    assert read("vidur", content, name="all_reduce.csv.xz").cells[0]["us"] == 7.5
    with pytest.raises(InputError, match="cannot be unpacked"):
        read("vidur", content[:-20])
