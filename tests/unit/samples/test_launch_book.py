"""A launch counts once, in however many files it stands; software that took no part in a measurement is no difference."""

from __future__ import annotations

import pytest

from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.header import comparable
from inferometer.emulator.samples.samples import checked_records, load_samples


@pytest.fixture
def launches(cell):
    """``launches(0, 1)``: the records of these launches, four sizes each, as a measurement leaves them."""

    def make(*numbers, sizes=(64, 1024, 4096, 65536)):
        records = []
        for number in numbers:
            start = {"record": "launch", "launch": number, "node_of": [0, 0], "conditions": {"load_1m": 0.1}}
            records.append(start | {"started_unix_s": 1e9 + number, "ranks": [{"pid": 100 + number}, {"pid": 200}]})
            for size in sizes:
                took = [1000 + size + 13 * number + 7 * at for at in range(3)]
                times = {"start_ns": [[0, 10**6, 2 * 10**6]] * 2}
                times["stop_ns"] = [[at * 10**6 + us for at, us in enumerate(took)]] * 2
                name = f"all_reduce/float32/{size}/2x1/alone/isolated"
                records.append(cell(launch=number, cell=name, bytes=size, requested_bytes=size, count=size // 4, **times))
        return records

    return make


def test_an_older_copy_with_another_header_adds_nothing(launches, write_samples):
    whole = write_samples(*launches(0, 1, 2), name="whole.jsonl")
    copy = write_samples(*launches(0, 1), name="copy.jsonl", header={"created": "2020-01-01"})
    alone, both, turned = fit([whole]), fit([whole, copy]), fit([copy, whole])
    assert [cell.launch_medians for cell in both.cells] == [cell.launch_medians for cell in alone.cells]
    assert [cell.launch_medians for cell in turned.cells] == [cell.launch_medians for cell in alone.cells]
    assert both.method["launches"] == turned.method["launches"] == 3
    assert both.method["left_out"] == {"launches of copy.jsonl that are in whole.jsonl": 2}
    assert alone.method["left_out"] == {}


def test_of_a_launch_in_two_files_the_one_with_more_cells_counts(launches, write_samples):
    cut = write_samples(*launches(0, sizes=(64, 1024)), name="cut.jsonl")
    whole = write_samples(*launches(0), name="whole.jsonl")
    assert {cell.bytes for cell in fit([cut, whole]).cells} == {64, 1024, 4096, 65536}


def test_imported_launches_that_are_equal_to_the_digit_count_once(launches, write_samples):
    def imported(records):
        return [
            {name: value for name, value in record.items() if name not in ("start_ns", "stop_ns")}
            | {"start_ns": None, "us": record["bytes"] / 100 + 10, "statistic": "mean"}
            for record in records
            if record["record"] == "cell"
        ]

    one = write_samples(*imported(launches(0)), name="one.jsonl")
    two = write_samples(*imported(launches(0)), name="two.jsonl", header={"created": "2020-01-01"})
    assert fit([one, two]).method["left_out"] == {"launches of two.jsonl that are in one.jsonl": 1}


@pytest.mark.parametrize(("backend", "same"), [("gloo", True), ("mpi", False)])
def test_packages_that_did_not_run_are_not_compared(method, backend, same, launches, write_samples):
    headers = [
        {
            "environment": {"hardware": {}, "software": {"torch": "2", "mpi4py": version, "pandas": version}},
            "method": method(backend=backend).model_dump(mode="json"),
        }
        for version in (None, "4.1.2")
    ]
    assert (comparable(headers[0]) == comparable(headers[1])) is same
    paths = [write_samples(*launches(at), name=f"{at}.jsonl", header=header) for at, header in enumerate(headers)]
    if same:
        assert fit(paths).method["launches"] == 2
    else:
        with pytest.raises(InputError, match=r"software\.mpi4py is None in the file and '4\.1\.2' here"):
            fit(paths)


@pytest.mark.parametrize("part", ["hardware", "software", "variables"])
def test_a_header_that_is_no_object_is_named(write_samples, part):
    path = write_samples(header={"environment": {part: "a lot"}})
    with pytest.raises(InputError, match=rf"line 1: environment\.{part}"):
        list(checked_records(path))


def test_what_a_cell_leaves_out_has_its_default_and_half_surrogates_are_refused(cell, write_samples):
    short = {name: value for name, value in cell().items() if name != "operations"}
    assert len(load_samples(write_samples(short))) == 3
    path = write_samples(cell(implementation="\ud800"))
    with pytest.raises(InputError, match="line 2 is not JSON"):
        load_samples(path)
