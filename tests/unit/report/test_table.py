"""The running table: nccl-tests' columns first, as a reader of nccl-tests' output splits them."""

from __future__ import annotations

import pytest

from inferometer.emulator.report.table import HEADER, Cells, bandwidths, row
from inferometer.emulator.samples.statistics import summary

NCCL_COLUMNS = ["size", "count", "type", "redop", "root", "time", "algbw", "busbw", "wrong"]


@pytest.fixture
def shown(cell):
    """``shown(**changes)``: a cell with the numbers of six iterations: median 10 us, mean 12 us."""

    def make(**changes):
        import numpy as np

        return cell(**(summary(np.array([8.0, 9, 10, 10, 11, 24])) | changes))

    return make


def parsed(line):
    """The first nine columns, and the rest."""
    fields = line.split()
    return dict(zip(NCCL_COLUMNS, fields)), fields[9:]


def test_a_row_reads_as_nccl_tests_output(shown):
    columns, rest = parsed(row(shown(bytes=40_000, count=10_000, bus_factor=1.5)))
    assert columns == {
        "size": "40000", "count": "10000", "type": "float", "redop": "sum", "root": "-1", "time": "12",
        "algbw": "4.000", "busbw": "6.000", "wrong": "0",
    }  # fmt: skip
    assert rest == ["10", "20.8", "80.0%", "6", "all_reduce", "2", "1", "1", "isolated"]  # p95 by linear interpolation


def test_the_header_names_the_columns_in_their_order():
    first, second = HEADER.splitlines()
    names = first.removeprefix("#").replace("#wrong", "wrong").split()
    assert names[:9] == NCCL_COLUMNS
    assert names[9:] == ["median", "p95", "±95%", "n", "collective", "ranks", "nodes", "groups", "timing"]
    assert second.startswith("#")


@pytest.mark.parametrize(
    ("collective", "redop", "root"),
    [("all_reduce", "sum", "-1"), ("reduce_scatter", "sum", "-1"), ("broadcast", "none", "0"), ("all_to_all", "none", "-1")],
)
def test_operator_and_root(shown, collective, redop, root):
    columns, _ = parsed(row(shown(collective=collective)))
    assert (columns["redop"], columns["root"]) == (redop, root)


@pytest.mark.parametrize(("dtype", "name"), [("float32", "float"), ("float16", "half"), ("bfloat16", "bfloat16")])
def test_types_have_nccl_tests_names(shown, dtype, name):
    assert parsed(row(shown(dtype=dtype)))[0]["type"] == name


@pytest.mark.parametrize(("wrong", "text"), [(None, "N/A"), (0, "0"), (17, "17")])
def test_wrong_elements(shown, wrong, text):
    assert parsed(row(shown(wrong=wrong)))[0]["wrong"] == text


def test_a_cell_in_a_step_says_its_compute_gap(shown):
    line = row(shown(timing="in_step", requested_compute_gap_us=300.0, flags=["drift"]))
    assert line.endswith(" in_step, 300 µs compute gap  [drift]")


def test_without_an_interval_there_is_a_dash_and_flags_stand_last(shown):
    line = row(shown(ci95=None, flags=["oversubscribed", "drift"]))
    assert parsed(line)[1][2] == "–"
    assert line.endswith("  [oversubscribed, drift]")


def test_a_cell_that_was_not_measured_is_a_comment(cell):
    line = row(cell(unmeasured="MPI cannot sum torch.float16", dtype="float16"))
    assert line.startswith("# all_reduce")
    assert line.endswith("1024 B float16: not measured: MPI cannot sum torch.float16")


def test_columns_line_up_whatever_the_size(shown):
    lines = [row(shown(bytes=size, count=size // 4, median=us, mean=us)) for size, us in ((8, 3.25), (1 << 34, 123456.0))]
    assert len({line.index("all_reduce") for line in lines}) == 1


def test_bandwidths_by_hand():
    """1e9 bytes in 1 s are 1 GB/s."""
    assert bandwidths(10**9, 1e6, 1.5) == pytest.approx((1.0, 1.5))
    assert bandwidths(0, 5.0, 1.0) == (0.0, 0.0)


def test_all_cells_are_one_table_sorted_by_collective_ranks_and_size(shown):
    cells = Cells()
    for ranks, size, us in ((4, 64, 915_342.0), (2, 65536, 20.0), (2, 1024, 10.0), (2, 1024, 14.0)):
        cells.add(shown(ranks=ranks, bytes=size, median=us, bus_factor=2.0))
    cells.add(shown(collective="barrier", bytes=0, median=2500.0, timing="in_step", requested_compute_gap_us=15e3))
    cells.add(shown(unmeasured="MPI cannot sum float16"))
    head, *rows, unmeasured, wrong = cells.lines()
    assert (
        [row.split() for row in rows]
        == [
            ["all_reduce", "isolated", "2", "1K", "12", "µs", "17%", "0.085", "0.171"],  # 10 and 14 in two launches
            ["all_reduce", "isolated", "2", "64K", "20", "µs", *rows[1].split()[6:]],
            ["all_reduce", "isolated", "4", "64", "915", "ms", *rows[2].split()[6:]],
            ["barrier", "in_step", "15ms", "2", "–", "2.5", "ms", *rows[3].split()[7:9], "–"],
        ]
    )
    assert max(map(len, [head, *rows])) <= 80 and len({row.index("s", 45) for row in rows}) == 1
    assert unmeasured.startswith("# ") and wrong == "wrong data: none"


def test_wrong_data_and_dtypes_are_said_where_they_are(shown):
    cells = Cells()
    cells.add(shown(wrong=3))
    cells.add(shown(dtype="float16", wrong=None))
    lines = list(cells.lines())
    assert lines[1:4:2] == ["float16:", "float32:"]
    assert lines[4].endswith("  3 WRONG") and lines[-1] == "wrong data: 3"
    assert list(Cells().lines()) == []
