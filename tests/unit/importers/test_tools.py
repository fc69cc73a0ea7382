"""Benchmarks beside nccl-tests, OSU and IMB: what they print, in the units they print it."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError

DS_BENCH = """
---- Performance of {} on {} devices ---------------------------------------------------------
Size (Bytes)         Description               Duration             Throughput ({unit})    BusBW ({unit})
----------------------------------------------------------------------------------------------------
{}
"""


@pytest.mark.parametrize(
    "collective, row, unit, wanted",
    [
        ("all_reduce", "1.0 MB 524288x2 96.500 us 173.864 152.131", "Gbps", ("all_reduce", 1 << 20, 96.5)),
        ("all_reduce", "1.0 GB 268435456x4 8.500 ms 252.645 221.064", "GBps", ("all_reduce", 1 << 30, 8500)),
        ("all_reduce", "1048576 524288x2 96.500 173.864 152.131", "Gbps", ("all_reduce", 1 << 20, 96.5)),
        ("all_gather", "1.0 MB 524288x2 100.000 us 671.089 587.203", "Gbps", ("all_gather", 8 << 20, 100)),
        ("all_gather", "8.0 MB 4194304x2 100.000 us 671.089 587.203", "Gbps", ("all_gather", 8 << 20, 100)),
        ("all_to_all", "1.0 MB 524288x2 50.000 us 167.772 146.800", "Gbps", ("all_to_all", 1 << 20, 50)),
        ("broadcast", "1.0 MB 524288x2 50.000 us 167.772 167.772", "Gbps", ("broadcast", 1 << 20, 50)),
        ("pt2pt", "1.0 MB 524288x2 50.000 us 167.772 167.772", "Gbps", ("send_recv", 1 << 20, 50)),
    ],
)
def test_ds_bench(read, collective, row, unit, wanted):
    (cell,) = read("ds_bench", DS_BENCH.format(collective, 8, row, unit=unit), settings="nodes=1").cells
    assert (cell["collective"], cell["bytes"], cell["us"]) == wanted
    assert cell["ranks"] == (2 if collective == "pt2pt" else 8)


def test_ds_bench_in_another_unit_cannot_pass(read):
    found = read("ds_bench", DS_BENCH.format("all_reduce", 8, "1.0 MB 524288x2 96.500 ms 173.864 152.131", unit="Gbps"))
    assert found.cells == [] and found.files[0]["excluded"] == {"time_contradicted": 1}
    with pytest.raises(InputError, match="no table of DeepSpeed's communication benchmark"):
        read("ds_bench", "Performance\n")


PERFTEST = """---------------------------------------------------------------------------------------
                    {} Test
 Dual-port       : OFF          Device         : mlx5_0
 Number of qps   : 1            Transport type : IB
---------------------------------------------------------------------------------------
 {}
 {}
"""
LAT = (
    "#bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]"
    "   99% percentile[usec]"
)
BW = "#bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]"


def test_perftest(read):
    text = PERFTEST.format("RDMA_Write Latency", LAT, "1048576 1000 50.1 90.0 51.0 52.5 1.1 60.0")
    (cell,) = read("perftest", text).cells
    assert (cell["collective"], cell["ranks"], cell["nodes"], cell["bytes"], cell["us"]) == (
        "send_recv",
        2,
        2,
        1 << 20,
        52.5,
    )
    assert (cell["timing"], cell["median_us"], cell["p99_us"], cell["iterations"]) == ("isolated", 51.0, 60.0, 1000)
    (cell,) = read("perftest", PERFTEST.format("RDMA_Write BW", BW, "1048576 5000 20000.0 10000.0 0.01")).cells
    assert (cell["us"], cell["timing"]) == (100, "pipelined")  # 1 MiB at 10000 MiB/s
    gigabits = BW.replace("MB/sec", "Gb/sec")
    (cell,) = read("perftest", PERFTEST.format("Send BW", gigabits, "1000000 5000 90.0 80.0 0.01")).cells
    assert cell["us"] == 100
    found = read("perftest", PERFTEST.format("RDMA_Read Latency", LAT, "8 1000 1 2 1.5 1.6 0.1 1.9"))
    assert found.cells == [] and found.files[0]["excluded"] == {"no_law": 1}


def test_param(read):
    head = "\tCOMMS-RES-all_reduce-float32\t size (B)\t nElementsPerRank\tLatency(us):p50\tp75\tp95\tMin\tMax"
    head += "\tAlgBW(GB/s)\tBusBW(GB/s)\n"
    rows = "\tCOMMS-RES-all_reduce-float32\t1048576\t262144\t61.2\t62.0\t63.0\t60.1\t70.0\t17.13\t29.98\n"
    (cell,) = read("param", head + rows, settings="nodes=1").cells
    assert (cell["collective"], cell["bytes"], cell["us"], cell["ranks"]) == ("all_reduce", 1 << 20, 61.2, 8)
    assert cell["dtype"] == "float32" and cell["rank_max_us"] == 70.0
    seconds = read("param", head + rows.replace("61.2", "0.0612"))
    assert seconds.files[0]["excluded"] == {"time_contradicted": 1}
    with pytest.raises(InputError, match="line 2 has 3 cells after COMMS-RES, not 9"):
        read("param", "x\nCOMMS-RES-all_reduce-float32 8 2 1.0\n")


MSCCLPP = (
    "#                                    in-place                       out-of-place\n"
    "#       size         count     time   algbw   busbw  #wrong     time   algbw   busbw  #wrong\n"
    "#        (B)    (elements)     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)\n"
)


@pytest.mark.parametrize("prefix", ["", "[1,0]<stdout>:"])
def test_mscclpp_tells_the_blank_group_by_its_place(read, prefix):
    def lines(row):
        return "".join(f"{prefix}{line}\n" for line in (MSCCLPP + row).split("\n"))

    left = "     1048576        262144    30.17   34.75   60.82       0"
    right = "     1048576        262144                                     30.17   34.75   60.82       0"
    both = "     1048576        262144    30.17   34.75   60.82       0    32.00   32.77   57.34       0"
    wanted = {left: ("in_place", 30.17), right: ("out_of_place", 30.17), both: ("out_of_place", 32.0)}
    for row, (place, us) in wanted.items():
        (cell,) = read("mscclpp", lines(row), settings="nodes=1").cells
        assert (cell["collective"], cell["ranks"], cell["place"], cell["us"]) == ("all_reduce", 8, place, us)


def test_mscclpp_wrong_data_and_no_table(read):
    found = read("mscclpp", MSCCLPP + "     1048576        262144    30.17   34.75   60.82       3\n")
    assert found.cells == []
    with pytest.raises(InputError, match="line 1 looks like a row, but has 6 cells and no head"):
        read("mscclpp", "1048576 262144 30.17 34.75 60.82 0\n")


@pytest.mark.parametrize(
    "text, named",
    [
        ("# OSU MPI Bcast Latency Test v7\n# Size  Avg Latency(us)\n4 1.5\n", "osu"),
        (PERFTEST.format("Send BW", BW, "8 1 1 1 1"), "perftest"),
        (DS_BENCH.format("all_reduce", 8, "1.0 MB 1x2 3 us 1 1", unit="Gbps"), "ds_bench"),
        (MSCCLPP + "     1048576        262144    30.17   34.75   60.82       0\n", "mscclpp"),
        ('{"header": {"id": "0x1"}, "coll_perf": {"coll": "AllReduce", "coll_sn": 1}}\n', "nccl-inspector"),
    ],
)
def test_a_file_of_another_tool_is_named(read, text, named):
    with pytest.raises(InputError, match=f"it looks like {named}'s output: import it as {named}"):
        read("vidur", text)


def test_the_pointer_of_git_lfs_is_named(read):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    for format_name in ("aiconfigurator", "vidur", "nccl-tests"):
        with pytest.raises(InputError, match="a Git LFS pointer, not the file itself"):
            read(format_name, pointer)


NVBANDWIDTH = """nvbandwidth Version: v0.4
Built from Git version: v0.4.2-12-g8857188

NOTE: This tool reports current measured bandwidth on your system.

CUDA Runtime Version: 12020
Driver Version: 570.133.20

Device 0: NVIDIA H100 80GB HBM3
Device 1: NVIDIA H100 80GB HBM3

Running device_to_device_memcpy_read_ce.
memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)
          0         1         2         3         4         5         6         7
0       N/A    370.90    370.90    370.90    370.38    370.64    370.26    371.67
1    370.90       N/A    370.90    370.90    371.67    370.90    370.38    371.67
2    372.05    370.90       N/A    370.90    372.96    370.38    371.67    371.67
3    370.90    372.05    372.05       N/A    371.79    371.02    370.77    370.90
4    370.38    371.54    370.38    371.02       N/A    372.05    370.90    370.90
5    371.02    370.51    371.92    372.18    370.90       N/A    372.05    370.90
6    371.41    371.79    371.67    370.38    370.90    372.05       N/A    370.90
7    370.51    371.67    371.67    370.38    370.90    370.90    370.90       N/A

SUM device_to_device_memcpy_read_ce 20785.58

Running device_to_host_memcpy_ce.
memcpy CE CPU(row) <- GPU(column) bandwidth (GB/s)
          0         1         2         3         4         5         6         7
0     55.15     55.15     55.15     55.15     55.09     55.13     55.10     55.13

SUM device_to_host_memcpy_ce 441.05
"""


def test_nvbandwidth_text(read):
    """The copies of eight H100 as Azure's node health checks print them, and those of another eight to their host."""
    found = read("nvbandwidth", NVBANDWIDTH)
    (cell,) = found.cells
    assert (cell["collective"], cell["ranks"], cell["nodes"], cell["bytes"]) == ("send_recv", 2, 1, 512 << 20)
    assert cell["us"] == pytest.approx((512 << 20) / (20785.58 / 56) / 1e3, rel=1e-5)
    assert cell["implementation"] == "cuda/ce_read" and found.files[0]["device"] == "NVIDIA H100 80GB HBM3"
    assert {"size_assumed", "mean_over_pairs"} <= set(cell["flags"]) and found.files[0]["tool_version"] == "v0.4"
    assert found.files[1]["collective"] == "device_to_host_memcpy_ce" and found.files[1]["excluded"] == {"no_law": 1}
    (cell,) = read("nvbandwidth", f"$ ./nvbandwidth -b 64\n{NVBANDWIDTH}").cells
    assert cell["bytes"] == 64 << 20 and "size_assumed" not in cell["flags"]
    cut = NVBANDWIDTH.replace("6    371.41", "# 6    371.41")
    assert read("nvbandwidth", cut).files[0]["excluded"] == {"sum_contradicted": 1}


def test_nvbandwidth_json(read):
    case = {
        "name": "device_to_device_memcpy_write_ce",
        "status": "Passed",
        "bandwidth_description": "memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)",
        "bandwidth_matrix": [["N/A", "276.1"], ["276.3", "N/A"]],
    }
    waived = {"name": "device_to_device_memcpy_read_ce", "status": "Waived"}
    document = {"nvbandwidth": {"version": "v0.10.0", "testcases": [waived, case]}}
    (cell,) = read("nvbandwidth", json.dumps(document)).cells
    assert (cell["us"], cell["implementation"]) == (pytest.approx((512 << 20) / 276.2e3, rel=1e-5), "cuda/ce_write")
    with pytest.raises(InputError, match="nvbandwidth says: No devices found"):
        read("nvbandwidth", json.dumps({"nvbandwidth": {"error": "No devices found"}}))


@pytest.mark.parametrize(
    "row, wanted",
    [
        ("COMMS-RES\t1048576\t262144\t61.2\t62.0\t63.0\t17.13\t29.98", (None, 1 << 20, 61.2, None)),
        (
            "COMMS-RES-all_gather_base-float32     8388608   262144   61.2   62.0   63.0  60.1  70.0   137.07   119.93",
            ("all_gather", 8 << 20, 61.2, 8),
        ),
        (
            "COMMS-RES-all_to_all_single-bfloat16-try1  1048576  65536  61.2  62.0  63.0  60.1  70.0   17.13   14.99",
            ("all_to_all", 1 << 20, 61.2, 8),
        ),
        (
            "COMMS-RES-all_reduce-float32  1048576  262144  61.2  62.0  63.0  60.1  70.0  17.13  29.98  80.0  70.0  0.5",
            ("all_reduce", 1 << 20, 61.2, 8),
        ),
        (
            "COMMS-RES-pt2pt-float32  8  9.0  9.1  9.2  20.0  21.0  22.0  0.001  0.001  0.002  0.002",
            ("send_recv", 8, 10.0, 2),
        ),
    ],
)
def test_param_of_every_version(read, row, wanted):
    """By comms.py's own formats: rows without name and extremes, names of calls, a tag, computing beside, pt2pt."""
    found = read("param", f"\t{row}\n")
    if wanted[0] is None:
        assert found.files[0]["excluded"] == {"collective_unknown": 1}
        found = read("param", f"\t{row}\n", settings="collective=all_reduce,ranks=8")
        wanted = ("all_reduce", *wanted[1:3], 8)
    (cell,) = found.cells
    assert (cell["collective"], cell["bytes"], cell["us"], cell["ranks"]) == wanted
    assert cell["implementation"] == ("nccl/beside_compute" if "80.0" in row else "nccl")


@pytest.mark.parametrize(
    "title, head, row, wanted",
    [
        (
            "RDMA_Write Latency",
            "#bytes #iterations t_min[usec] t_max[usec] t_typical[usec] t_avg[usec] t_stdev[usec] 99% percentile[usec] "
            "99.9% percentile[usec]",
            "64 1000 0.81 2.58 0.85 0.86 0.06 0.89 2.58",
            (64, 0.86, "mean"),
        ),
        (
            "Send Latency",
            "#bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]",
            "Conflicting CPU frequency values detected: 2400.000000 != 1873.463000. CPU Frequency is not max.\n"
            " 2        1000          1.76           6.12         1.79",
            (2, 1.79, "median"),
        ),
        (
            "RDMA_Write BW",
            "#bytes     #iterations    BW_peak[MiB/sec]    BW_average[MiB/sec]   MsgRate[Mpps]",
            "1048576  5000 20000.0 10000.0 0.01",
            (1 << 20, 100.0, "mean"),
        ),
        (
            "RDMA_Write BW",
            "#bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]",
            "8388608    5000             197.10             196.92               0.002934",
            (8388608, 340.79, "mean"),
        ),
    ],
)
def test_perftest_of_every_version(read, title, head, row, wanted):
    """Heads with single blanks, the first versions' median alone, both spellings of a bandwidth."""
    (cell,) = read("perftest", PERFTEST.format(title, head, row)).cells
    assert (cell["bytes"], cell["us"], cell["statistic"]) == wanted


def test_perftest_without_its_title(read):
    text = f"{LAT}\n 8 1000 1.0 2.0 1.5 1.6 0.1 1.9\n"
    assert read("perftest", text).files[0]["excluded"] == {"collective_unknown": 1}
    (cell,) = read("perftest", text, settings="collective=send_recv").cells
    assert (cell["collective"], cell["us"]) == ("send_recv", 1.6)


def test_ds_bench_of_a_launcher_that_names_its_hosts(read):
    """Of a mail on two nodes of Polaris: 34 GB in 3.18 s."""
    lines = DS_BENCH.format("all_reduce", 8, "31.67 GB 8501054668x4 3176.620 ms 171.272 149.863", unit="Gbps")
    text = "".join(f"> x3211c0s37b0n0: {line}\n" for line in lines.strip().split("\n"))
    (cell,) = read("ds_bench", text, settings="nodes=2").cells
    assert (cell["collective"], cell["bytes"], cell["us"], cell["ranks"]) == ("all_reduce", 34004218672, 3176620.0, 8)


def test_mscclpp_writes_an_object_a_row(read):
    """Rows of microsoft/mscclpp's own baselines of its continuous integration."""
    text = (
        '{"name":"allgather", "kernel":1, "ranks":8, "ranksPerNode":8, "algBw":291.52, "busBw":255.08, "size":1073741824, '
        '"time":3683.13, "target":"throughput"}\n'
        '{"name":"allgather", "kernel":2, "ranks":16,"ranksPerNode":8, "algBw":244.61, "busBw":229.33, "size":3221225472, '
        '"time":13168.31,"target":"throughput"}\n'
        '{"name":"allreduce", "kernel":1, "ranks":8, "algBw":1.0, "busBw":1.0, "size":8192, "time":83.41}\n'
    )
    found = read("mscclpp", text)
    keys = ("collective", "implementation", "ranks", "nodes", "bytes", "us")
    assert [tuple(cell[key] for key in keys) for cell in found.cells] == [
        ("all_gather", "mscclpp/kernel1", 8, 1, 1073741824, 3683.13),
        ("all_gather", "mscclpp/kernel2", 16, 2, 3221225472, 13168.31),
    ]
    assert found.files[2]["excluded"] == {"time_contradicted": 1}


GID = "GID: 00:00:00:00:00:00:00:00:00:00:255:255:10:00:00"
WRITE = """{before}                    {title}
 Device         : mlx5_0
 local address: LID {local} QPN 0x00dc PSN 0xf0a0c8
 {gid}:01
 remote address: LID {remote} QPN 0x064b PSN 0x21791
 {gid}:{last}
 #bytes     #iterations    BW peak[MiB/sec]    BW average[MiB/sec]   MsgRate[Mpps]
 1048576    5000             15128.13            15121.79              0.015122
"""


@pytest.mark.parametrize(
    ("title", "local", "remote", "last", "nodes"),
    [
        ("RDMA_Write BW Test", "0x08", "0x02", "02", 2),
        ("RDMA_Write BW Test", "0x08", "0x08", "02", 1),
        ("RDMA_Write BW Test", "0000", "0000", "02", 2),
        ("RDMA_Write BW Test", "0000", "0000", "01", 1),
        ("RDMA Write BW Test", "0x08", "0x02", "02", 2),
    ],
)
def test_perftest_of_one_host_or_two(read, title, local, remote, last, nodes):
    text = WRITE.format(before="", title=title, local=local, remote=remote, last=last, gid=GID)
    (cell,) = read("perftest", text).cells
    assert (cell["collective"], cell["nodes"], cell["implementation"]) == ("send_recv", nodes, "ibverbs")
    assert cell["us"] == pytest.approx(1048576 / 15121.79 / 2**20 * 1e6, rel=1e-4)


def test_perftest_between_gpus(read):
    before = "initializing CUDA\nallocated GPU buffer address at 00007f2418000000 pointer=0x7f2418000000\n"
    text = WRITE.format(before=before, title="RDMA_Write BW Test", local="0x08", remote="0x02", last="02", gid=GID)
    found = read("perftest", text)
    assert found.cells[0]["implementation"] == "ibverbs/gpu_memory"
    assert "two GPUs' memories" in found.files[0]["reasons"]["host_to_host"]


MULTINODE = """Process 0 (worker-0): device 0: HGX GB200 (00000008:01:00)
Process 1 (worker-0): device 1: HGX GB200 (00000009:01:00)
Process 2 (worker-1): device 0: HGX GB200 (00000008:01:00)

Running multinode_device_to_device_memcpy_read_ce.
memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)
           0         1         2
 0       N/A    800.00    400.00
 1    800.00       N/A    400.00
 2    400.00    400.00       N/A

SUM multinode_device_to_device_memcpy_read_ce 3200.00
"""


def test_nvbandwidth_of_several_nodes(read):
    """Copies inside a node are other links than those between two."""
    found = read("nvbandwidth", MULTINODE)
    cells = [(cell["nodes"], cell["bytes"], cell["us"], cell["pairs"]) for cell in found.cells]
    assert cells == [(1, 512 << 20, 671.089, 2), (2, 512 << 20, 1342.18, 4)]
    assert found.files[0]["device"] == "HGX GB200"
    unknown = read("nvbandwidth", MULTINODE[MULTINODE.index("Running") :])
    assert [entry["nodes"] for entry in unknown.files] == [None]


def test_nvbandwidth_of_the_first_versions(read):
    """They copied 64 MiB unless told otherwise, and printed 0.00 for a GPU to itself."""
    text = (
        "Running device_to_device_memcpy_read_ce.\nmemcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)\n"
        "          0         1\n0      0.00    264.36\n1    264.60      0.00\n"
    )
    found = read("nvbandwidth", text)
    assert found.cells[0]["bytes"] == 64 << 20
    assert "64 MiB" in found.files[0]["reasons"]["size_assumed"]
