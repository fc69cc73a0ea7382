"""Benchmarks beside nccl-tests, OSU and IMB: what they print, in the units they print it."""

from __future__ import annotations

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
