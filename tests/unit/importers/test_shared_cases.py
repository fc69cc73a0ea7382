"""Cases of public files with the values that their publishers stand for: every one read right, or refused saying why."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.importers.settings import parse_settings
from tests.places import SHARED_DATA

CASES = SHARED_DATA / "cases"

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="no ../shared/data/cases beside the repository")


def imported(case, file, format_name, settings=None):
    return import_files(format_name, [CASES / case / file], parse_settings(settings))


def refused(case, file, format_name, settings=None):
    with pytest.raises(InputError) as caught:
        imported(case, file, format_name, settings)
    message = str(caught.value).replace(str(CASES), "")
    assert "\n" not in message and len(message) < 300
    return message


def times(found):
    return [cell["us"] for cell in found.cells]


def place(entry):
    return entry["collective"], entry["ranks"], entry["nodes"], entry["rows"]


def test_osu_alltoall_by_its_long_name():
    found = imported("01-osu-alltoall-header", "osu_alltoall.txt", "osu", "ranks=4,nodes=4")
    assert place(found.files[0]) == ("alltoall", 4, 4, 13)
    assert [cell["bytes"] for cell in found.cells] == [4 * 2**i for i in range(13)]
    assert found.cells[-1]["us"] == 104.60 and {cell["dtype"] for cell in found.cells} == {"int8"}


def test_osu_percentiles_are_not_the_mean():
    found = imported("02-osu-percentiles", "osu_bcast_z.txt", "osu", "ranks=384,nodes=32")
    (cell,) = found.cells
    assert (cell["us"], cell["min_us"], cell["max_us"], cell["iterations"]) == (467.38, 460.43, 474.05, 1000)
    assert (cell["p50_us"], cell["p90_us"], cell["p99_us"]) == (407.18, 584.22, 634.30)
    assert times(imported("02-osu-percentiles", "osu_z_only.txt", "osu", "ranks=384,nodes=32")) == [467.38]


def test_osu_barrier_latency_and_non_blocking():
    case, settings = "03-osu-barrier-latency", "ranks=8,nodes=2"
    (barrier,) = imported(case, "barrier.txt", "osu", settings).cells
    assert (barrier["collective"], barrier["ranks"], barrier["bytes"], barrier["us"]) == ("barrier", 8, 0, 41.14)
    pair = imported(case, "latency.txt", "osu", settings).cells
    assert [(c["collective"], c["ranks"], c["bytes"], c["us"]) for c in pair] == [
        ("send_recv", 2, 4, 25.21),
        ("send_recv", 2, 8, 25.03),
    ]
    pure = imported(case, "iallreduce.txt", "osu", settings).cells
    assert [(c["collective"], c["us"], c["implementation"]) for c in pure] == [
        ("all_reduce", 50.52, "mpi/nonblocking"),
        ("all_reduce", 66.14, "mpi/nonblocking"),
    ]


def test_imb_multi_groups():
    found = imported("04-imb-multi-groups", "imb_multi.txt", "imb")
    assert [(c["collective"], c["ranks"], c["concurrent_groups"], c["bytes"], c["us"]) for c in found.cells] == [
        ("all_gather", 2, "all", 1024, 33.80),
        ("all_gather", 120, 1, 61440, 177.07),
    ]


@pytest.mark.parametrize("file", ["pingpong.txt", "pingpong_old.txt"])
def test_imb_pingpong(file):
    (cell,) = imported("05-imb-pingpong", file, "imb", "nodes=2").cells
    assert (cell["collective"], cell["ranks"], cell["bytes"], cell["us"]) == ("send_recv", 2, 1024, 1.80)


def test_imb_sendrecv():
    cells = imported("05-imb-pingpong", "sendrecv.txt", "imb", "nodes=2").cells
    assert (cells[0]["collective"], cells[0]["bytes"], cells[0]["us"]) == ("send_recv_ring", 262144, 32.24)


@pytest.mark.parametrize(
    "file, settings, wanted",
    [
        ("deepops_roce.log", None, ("all_reduce", 16, None, 8)),
        ("rtx2080_2020.log", None, ("all_reduce", 8, 1, 9)),
        ("issue78.log", "ranks=64,nodes=8", ("all_reduce", 64, 8, 2)),
    ],
)
def test_rounding_errors_are_no_wrong_data(file, settings, wanted):
    found = imported("06-nccl-old-error-column", file, "nccl-tests", settings)
    assert place(found.files[0]) == wanted and len(found.cells) == wanted[3]
    assert "wrong_data" not in found.files[0]["flags"]


def test_milliseconds_of_the_first_versions():
    found = imported("08-nccl-v1-milliseconds", "nccl1_readme.log", "nccl-tests", "nodes=1")
    assert sorted(times(found)) == [1611, 1621, 1628] and {c["dtype"] for c in found.cells} == {"int8", "int32"}
    assert times(imported("08-nccl-v1-milliseconds", "nccl_tests_2019.log", "nccl-tests", "nodes=1")) == [279, 1628]


def test_reductions_of_one_sweep_are_no_launches():
    found = imported("09-nccl-op-all", "op_all.log", "nccl-tests")
    assert len(found.cells) == 9 and {cell["launch"] for cell in found.cells} == {0}
    assert {cell["implementation"] for cell in found.cells} == {"nccl", "nccl/max", "nccl/min"}


def test_two_processes_side_by_side():
    found = imported("10-nccl-two-processes", "issue213.log", "nccl-tests")
    assert found.cells == [] and found.files[0]["ranks"] is None and "repeated_ranks" in found.files[0]["flags"]


@pytest.mark.parametrize(
    "file, ranks, nodes, wanted",
    [
        ("pr93_mpi.json", 4, 1, [18.978075, 19.044075]),
        ("pr6004_fixed.csv", 8, 1, [55.66]),
        ("pr6004_misaligned.csv", 8, 1, [55.66]),
        ("gpus.csv", 8, None, [55.66, 75.20]),
        ("spaces.csv", 8, None, [55.66]),
        ("list.json", 4, None, [19.18, 19.28]),
    ],
)
def test_rccl_rows_of_every_release(file, ranks, nodes, wanted):
    found = imported("11-rccl-mpi-json-csv", file, "rccl-tests")
    assert place(found.files[0])[:3] == ("all_reduce", ranks, nodes) and times(found) == wanted


def test_the_count_column_tells_the_ranks():
    case, file = "12-rccl-slurm-label", "rccl1490.log"
    (entry,) = imported(case, file, "rccl-tests").files
    assert place(entry) == ("all_gather", 32, None, 6) and "launcher_prefix" in entry["flags"]
    assert len(imported(case, file, "rccl-tests", "ranks=32,nodes=4").cells) == 6
    assert "/ (16384 × 4) = 32 ranks" in refused(case, file, "rccl-tests", "ranks=16,nodes=4")


def test_all_programs_in_one_file():
    found = imported("13-rccl-all-tests-one-file", "pr2075.log", "rccl-tests")
    assert [(e["collective"], e["cells"]) for e in found.files] == [
        ("all_reduce", 3), ("alltoall", 3), ("sendrecv", 3), ("alltoallv", 0),
    ]  # fmt: skip
    assert found.files[3]["excluded"] == {"no_law": 3}


def test_a_form_that_was_never_merged_is_refused():
    assert "no key 'results'" in refused("14-nccl-json-fork", "pr318.json", "nccl-tests")


def test_mscclpp():
    assert "mscclpp" in refused("15-mscclpp-test", "pr87.log", "nccl-tests")
    found = imported("15-mscclpp-test", "pr646_fp8.log", "nccl-tests")
    assert place(found.files[0]) == ("all_reduce", 8, None, 4) and found.files[0]["dtype"] == ["float8_e5m2"]


@pytest.mark.parametrize(
    "file, format_name, settings",
    [
        ("mpibenchmarks_jl.csv", "csv", "ranks=2,nodes=1,collective=all_reduce"),
        ("ibm1.txt", "csv", None),
        ("deepspeed7019.txt", "nccl-tests", None),
        ("out.ibm1.csv", "csv", "ranks=8"),
    ],
)
def test_other_tables_are_refused_with_the_columns_that_are_needed(file, format_name, settings):
    message = refused("16-torch-allreduce-table", file, format_name, settings)
    assert "bytes (B) and us (µs of one operation)" in message


def test_oneccl_is_no_graph():
    pytest.importorskip("pyarrow")
    found = imported("18-aiconfigurator-oneccl", "oneccl_perf.parquet", "aiconfigurator")
    assert len(found.cells) == 252 and {(c["backend"], c["launch_mode"]) for c in found.cells} == {("oneccl", "stream")}


def test_hashes_that_markdown_ate():
    (entry,) = imported("23-nccl-hashes-lost", "issue583.log", "nccl-tests").files
    assert place(entry) == ("all_reduce", 8, 1, 4) and "truncated" not in entry["flags"]


def test_the_newest_version():
    (entry,) = imported("24-nccl-tests-2.20-spark", "pr103.log", "nccl-tests").files
    assert place(entry) == ("all_reduce", 2, 2, 4)
    assert (entry["iterations"], entry["backend_version"], entry["device"]) == (100, "2.31.2", "NVIDIA GB10")


def test_a_device_list_with_an_ellipsis():
    case, file = "25-nccl-ellipsis-device-list", "issue1531.log"
    (entry,) = imported(case, file, "nccl-tests").files
    assert place(entry) == ("alltoall", 64, None, 3) and "device_list_incomplete" in entry["flags"]
    assert {(c["ranks"], c["nodes"]) for c in imported(case, file, "nccl-tests", "nodes=8").cells} == {(64, 8)}


def test_quoted_lines_of_an_mpi_operator():
    (entry,) = imported("27-nccl-mpi-operator-quoted", "pr503.log", "nccl-tests").files
    assert place(entry) == ("all_reduce", 8, None, 4) and {"launcher_prefix", "inferred"} <= set(entry["flags"])
