"""Samples as DataFrames: load_samples and cell_table, against times worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from inferometer import load_samples
from inferometer.emulator.errors import InputError
from inferometer.emulator.samples.samples import CELL_COLUMNS, cell_table, times_us

LAUNCH = {"record": "launch", "launch": 0, "node_of": [0, 0], "conditions": {"load_1m": 0.0}}


def test_times_of_a_cell_are_those_of_its_definition(cell):
    np.testing.assert_allclose(times_us(cell()), [2, 4, 9])
    np.testing.assert_allclose(times_us(cell(time_definition="longest_duration", operations=2)), [1.5, 2.5, 4.75])


def test_groups_name_ranks_not_rows(cell):
    """Ranks 4 and 6 took part: the rows of the readings are in the order of ``participants``."""
    np.testing.assert_allclose(times_us(cell(participants=[6, 4], groups_ranks=[[4, 6]])), [2, 4, 9])
    swapped = cell(participants=[6, 4], groups_ranks=[[4, 6]], time_definition="half_round_trip")
    np.testing.assert_allclose(times_us(swapped), [1.5, 5, 8.5])


def test_an_iteration_is_a_row(cell, write_samples):
    table = load_samples(write_samples(LAUNCH, cell(), cell(launch=1, bytes=2048)))
    assert len(table) == 6
    assert set(CELL_COLUMNS) | {"iteration", "us", "start_skew_us"} == set(table.columns)
    first = table[table.launch == 0]
    assert first.us.tolist() == [2, 4, 9]
    assert first.iteration.tolist() == [0, 1, 2]
    assert first.start_skew_us.tolist() == [1, 1, 0.5]
    assert set(table[table.launch == 1].bytes) == {2048}


def test_per_rank_rows_hold_the_clock_readings(cell, write_samples):
    table = load_samples(write_samples(cell(participants=[3, 5], groups_ranks=[[3, 5]])), per_rank=True)
    assert table["rank"].tolist() == [3, 3, 3, 5, 5, 5]
    assert table.iteration.tolist() == [0, 1, 2] * 2
    assert table.start_ns.tolist() == [5_000_000 + t for t in (0, 20_000, 40_000, 1_000, 19_000, 40_500)]
    assert table.stop_ns.tolist() == [5_000_000 + t for t in (3_000, 23_000, 49_500, 2_500, 24_000, 49_000)]


def imported(cell, **changes):
    bare = {key: value for key, value in cell().items() if key not in ("start_ns", "stop_ns")}
    return bare | {"start_ns": None, "stop_ns": None, "statistic": "mean", "us": 7.5} | changes


def test_an_imported_cell_is_one_row_with_its_statistic(cell, write_samples):
    path = write_samples(imported(cell), cell(launch=1))
    assert times_us(imported(cell)) is None
    row = load_samples(path).iloc[0]
    assert (row.us, row.statistic) == (7.5, "mean")
    assert pd.isna(row.iteration)
    table = cell_table(path)
    assert table.us.tolist() == [7.5, 4.0]
    assert table.iterations_us[0] is None


def test_a_file_without_cells_is_an_empty_table_with_columns(write_samples):
    table = load_samples(write_samples(LAUNCH))
    assert len(table) == 0
    assert {"collective", "us", "iteration"} <= set(table.columns)


def test_the_cell_table_has_the_median_of_each_cell(cell, write_samples):
    table = cell_table(write_samples(LAUNCH, cell(), cell(launch=1, flags=["drift"], operations=2)))
    assert table.us.tolist() == [4, 2]
    assert table.n.tolist() == [3, 3]
    assert table.launch.tolist() == [0, 1]
    assert table["flags"].tolist() == [[], ["drift"]]
    np.testing.assert_allclose(table.iterations_us[0], [2, 4, 9])


def test_several_files_are_several_sets_of_launches(cell, write_samples):
    first = write_samples(cell(launch=0), cell(launch=2), name="a")
    second = write_samples(cell(launch=0), cell(launch=1), name="b")
    assert cell_table(first, second).launch.tolist() == [0, 2, 3, 4]
    assert cell_table(second, first).launch.tolist() == [0, 1, 2, 4]


def test_a_cell_measured_twice_in_a_launch_keeps_the_last(cell, write_samples):
    path = write_samples(cell(bus_factor=1.0), cell(cell="another"), cell(operations=4))
    table = cell_table(path)
    assert len(table) == 2
    assert sorted(table.us) == [1, 4]  # 4 us / 4 operations; the other cell


def test_unmeasured_cells_are_left_out(cell, write_samples):
    path = write_samples(cell(), cell(cell="x", unmeasured="MPI cannot sum float16"))
    assert len(cell_table(path)) == 1
    assert len(load_samples(path)) == 3


@pytest.mark.parametrize("key", ["cell", "launch", "collective", "bytes", "ranks"])
def test_a_cell_without_its_name_is_refused_by_line_and_key(cell, write_samples, key):
    record = cell()
    del record[key]
    path = write_samples(LAUNCH, record)
    for read in (load_samples, cell_table):
        with pytest.raises(InputError, match=f"line 3: {key}: missing"):
            read(path)


MEASURED = {
    "record": "cell", "cell": "c", "launch": 0, "collective": "all_reduce", "timing": "isolated", "dtype": "float32",
    "bytes": 64, "ranks": 2, "nodes": 1, "participants": [0, 1], "groups_ranks": [[0, 1]], "operations": 1,
    "time_definition": "longest_duration", "origin_ns": 0, "start_ns": [[0], [0]], "stop_ns": [[5], [7]],
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ranks": "x"}, "line 2: ranks = 'x': input should be a valid integer"),
        ({"ranks": 0}, "line 2: ranks = 0: "),
        ({"bytes": -4}, "line 2: bytes = -4: "),
        ({"launch": 1.5}, "line 2: launch = 1.5: "),
        ({"collective": ["a"]}, "line 2: collective: "),
        ({"flags": 3}, "line 2: flags = 3: "),
        ({"start_ns": [["a"], [0]]}, "line 2: start_ns.0.0 = 'a': "),
        ({"start_ns": [[0, 1], [0]]}, "line 2: start_ns and stop_ns need a row for each of 2 participants"),
        ({"start_ns": [[], []], "stop_ns": [[], []]}, "line 2: start_ns and stop_ns need a row"),
        ({"participants": [4, 5]}, "line 2: groups_ranks holds no rank, or one that is not among"),
        ({"start_ns": [[0], [10**40]]}, "line 2: "),
        ({"time_definition": "guess"}, "line 2: unknown time definition"),
        ({"start_ns": None}, "line 2: a cell without start_ns needs us and statistic"),
        ({"timing": "in_step"}, "line 2: a cell timed in_step needs requested_compute_gap_us and compute_gap_us"),
        ({"record": "sell"}, "line 2: record: 'sell' is none of header, launch, launch_end, cell"),
        ({"record": ["cell"]}, "line 2: record: "),
    ],
)
def test_a_hostile_cell_is_refused_with_its_line(write_samples, change, words):
    assert cell_table(write_samples(MEASURED))["us"].tolist() == [7e-3]  # as it stands, the cell is a good one
    path = write_samples(MEASURED | change)
    for read in (cell_table, load_samples):
        with pytest.raises(InputError, match=f"x.samples.jsonl: {words}"):
            read(path)
