"""What nccl-tests' columns mean by version, what a row says twice, and what is no repetition."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.errors import InputError

OLD_HEAD = "#       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error\n"
FIRST_HEAD = "#      bytes             N    type      op     time  algbw  busbw      res     time  algbw  busbw      res\n"
NO_REDOP_HEAD = "#      bytes             N    type     time  algbw  busbw      res     time  algbw  busbw      res\n"


def old_row(size, ranks, error="2e-07", in_place_error="2e-07", dtype="float", item=4, redop="sum", factor=None, parts=1):
    time = 20 + size / 1e4
    algbw = size / time / 1e3
    busbw = algbw * (2 * (ranks - 1) / ranks if factor is None else factor)
    cell = f"{time:8.2f} {algbw:7.2f} {busbw:7.2f}"
    return f"{size:12d} {size // item // parts:12d} {dtype} {redop} {cell} {error} {cell} {in_place_error}\n"


FOOTER = "# Out of bounds values : {} {}\n# Avg bus bandwidth    : 10\n"


@pytest.mark.parametrize(
    "error, dtype, item, footer, wrong",
    [
        ("2e-07", "float", 4, FOOTER.format(0, "OK"), False),
        ("1e-06", "float", 4, "", False),
        ("0e+00", "int32", 4, FOOTER.format(0, "OK"), False),
        ("5e-04", "half", 2, "", False),
        ("4e-07", "float", 4, FOOTER.format(3, "FAILED"), True),
        ("1e+00", "float", 4, "", True),
        ("7e-01", "float", 4, "", True),
        ("1e+00", "float", 4, FOOTER.format(0, "OK"), False),  # the footer decides
        ("3e-05*", "float", 4, "", True),  # the tool's own mark
        ("N/A", "float", 4, FOOTER.format(0, "OK"), False),
    ],
)
def test_relative_errors_of_versions_before_august_2022(read, error, dtype, item, footer, wrong):
    rows = "".join(old_row(2**k, 8, error, error, dtype, item) for k in range(14, 24))
    found = read("nccl-tests", OLD_HEAD + rows + footer, settings="nodes=1")
    (entry,) = found.files
    assert ("wrong_data" in entry["flags"]) == wrong and len(found.cells) == (0 if wrong else 10)
    assert entry["tool_version"] == "2019 to August 2022"
    assert ("unchecked" in entry["flags"]) == (error == "N/A")


def test_differences_are_known_without_a_head(read):
    rows = "".join(old_row(2**k, 8) for k in range(14, 24))
    (entry,) = read("nccl-tests", rows).files
    assert "wrong_data" not in entry["flags"] and entry["cells"] == 10 and entry["ranks"] == 8


def test_alltoall_in_place_failed_by_design(read):
    rows = "".join(old_row(2**k, 4, "0e+00", "1e+00", redop="", factor=0.75, parts=4) for k in range(14, 24))
    found = read("nccl-tests", OLD_HEAD + rows + FOOTER.format(10, "FAILED"), settings="nodes=1")
    assert found.files[0]["collective"] == "alltoall" and len(found.cells) == 10 and found.files[0]["ranks"] == 4


@pytest.mark.parametrize("head, redop", [(FIRST_HEAD, "sum"), (FIRST_HEAD, "max"), (NO_REDOP_HEAD, "")])
def test_milliseconds_until_march_2019(read, head, redop):
    rows = ""
    for k in range(20, 25):
        ms = (20 + 2**k / 1e4) / 1e3
        algbw = 2**k / ms / 1e6
        cell = f"{ms:8.3f} {algbw:7.2f} {algbw * (1.5 if redop else 0.75):7.2f}  0e+00"
        rows += f"{2**k:12d} {2**k // 4 // (1 if redop else 4):12d} float {redop} {cell} {cell}\n"
    found = read("nccl-tests", head + rows, settings=None if redop else "collective=all_gather")
    assert found.files[0]["ranks"] == 4 and "milliseconds" in found.files[0]["flags"]
    assert [cell["us"] for cell in found.cells] == pytest.approx([20 + 2**k / 1e4 for k in range(20, 25)], abs=0.5)
    assert {cell["implementation"] for cell in found.cells} == {"nccl/max" if redop == "max" else "nccl"}


def test_a_time_in_another_unit_than_its_bandwidth_cannot_pass(log, read):
    lines = [line.split() for line in log().lines()]
    seconds = [" ".join([*p[:5], f"{float(p[5]) / 1e6:.8f}", *p[6:9], f"{float(p[9]) / 1e6:.8f}", *p[10:]])
               if p and p[0].isdigit() else " ".join(p) for p in lines]  # fmt: skip
    found = read("nccl-tests", "\n".join(seconds) + "\n")
    assert found.cells == [] and "unit_unknown" in found.files[0]["flags"]


def test_a_row_that_contradicts_itself_is_left_out(log, read):
    text = log(sizes=[2**k for k in range(20, 26)]).text
    row = next(line for line in text.split("\n") if line.split()[:1] == [str(2**22)])
    edited = row.replace(str(2**22), str(2**22 + 2**21), 1)
    found = read("nccl-tests", text.replace(row, edited))
    (entry,) = found.files
    assert (
        entry["excluded"] == {"size_contradicted": 1}
        and "6291456 / (1048576 × 4) = 1.5" in entry["reasons"]["size_contradicted"]
    )
    slower = row.replace(row.split()[5], "999.00", 1)
    (entry,) = read("nccl-tests", text.replace(row, slower)).files
    assert (
        entry["excluded"] == {"time_contradicted": 1}
        and "4194304 bytes / 999.00 µs = 4.199 GB/s" in entry["reasons"]["time_contradicted"]
    )


@pytest.mark.parametrize("collective", ["all_gather", "reduce_scatter", "alltoall"])
@pytest.mark.parametrize("ranks", [24, 768, 2048])
def test_the_count_column_tells_ranks_that_bandwidths_do_not(log, read, collective, ranks):
    text = log(
        collective=collective, ranks=ranks, devices=False, settings=False, sizes=[ranks * 2**k for k in range(6, 16)]
    ).text
    (entry,) = read("nccl-tests", text).files
    assert entry["ranks"] == ranks and "size / count" in entry["reasons"]["inferred"]
    with pytest.raises(InputError, match=rf"--set ranks={ranks // 2}, but size / count tells .* = {ranks} ranks"):
        read("nccl-tests", text, settings=f"ranks={ranks // 2}")


def test_a_list_that_the_count_column_denies(log, read):
    text = log(collective="all_gather", ranks=8, printed_ranks=16).text
    (entry,) = read("nccl-tests", text).files
    assert entry["ranks"] is None and entry["excluded"] == {"ranks_contradicted": 21}
    assert "the log lists 8 ranks, but size / count tells" in entry["reasons"]["ranks_contradicted"]


def test_fused_and_registered_calls_are_other_operations(log, read):
    plain = log().text
    fused = plain.replace("agg iters: 1", "agg iters: 8")
    registered = "mpirun ./all_reduce_perf -b 8 -e 128M -R 1\n" + plain
    implementations = [{c["implementation"] for c in read("nccl-tests", text).cells} for text in (plain, fused, registered)]
    assert implementations == [{"nccl"}, {"nccl/fused8"}, {"nccl/registered"}]


def test_roots_of_one_sweep_are_no_launches(log, read):
    lines = [log(collective="reduce").row(size) for size in (512, 1024)]
    rows = [line.replace("      0 ", f"      {root} ", 1) for root in (0, 1) for line in lines]
    text = "\n".join([*log(collective="reduce", sizes=[], footer=False, settings=False).lines(), *rows]) + "\n"
    found = read("nccl-tests", text)
    assert {(c["implementation"], c["launch"]) for c in found.cells} == {("nccl", 0), ("nccl/root1", 0)}


def test_launches_that_lie_far_apart_are_named(log, read, tmp_path):
    slow = {2**k: 3 * (9 + 0.7 * 4 + 2**k / 150e3) for k in range(7, 28)}
    found = read("nccl-tests", log(ranks=4).text * 2 + log(ranks=4, times=slow).text)
    flagged = [entry for entry in found.files if "launches_apart" in entry["flags"]]
    assert len(flagged) == 1 and "typically 3 times the other launches" in flagged[0]["reasons"]["launches_apart"]
    assert any("launches_apart" in cell["flags"] for cell in found.cells)


def test_statistics_of_iterations_ride_along(log, read):
    def wider(line):
        parts = line.split()
        more = ["8.00", "12.00", "11.00", "4.20"]
        return "  ".join([*parts[:9], *more, *parts[9:], *more]) if parts[0].isdigit() else line

    cell = read("nccl-tests", "\n".join(wider(line) for line in log().lines()) + "\n").cells[0]
    assert (cell["min_us"], cell["max_us"], cell["p99_us"], cell["cv_percent"]) == (8, 12, 11, 4.2)


def document(times_us):
    cell = {"time": 20.0, "alg_bw": 1024 / 20e3, "bus_bw": 1024 / 20e3 * 1.75, "nwrong": None}
    result = {"size": 1024, "count": 256, "type": "float", "redop": "sum", "root": "-1", "out_of_place": cell | times_us}
    devices = [{"rank": r, "hostname": "h", "device_info": "G"} for r in range(8)]
    return json.dumps(
        {"args": ["all_reduce_perf"], "results": [result], "config": {"devices": devices, "ngpus": 1, "nthreads": 1}}
    )


@pytest.mark.parametrize(
    "times", [{"times_us": [19.0, 20.0, 21.0]}, {"per_iter": {"skip": 1, "times_us": [90, 19.0, 20.0, 21.0]}}]
)
def test_single_iterations_are_samples_of_one_launch(read, times):
    (cell,) = read("nccl-tests", document(times)).cells
    assert (cell["n"], cell["start_ns"], cell["stop_ns"]) == (3, [[0, 19000, 39000]], [[19000, 39000, 60000]])


@pytest.mark.parametrize(
    "text, why",
    [
        ("1024 256 20.0 0.05 0.09 0\n", "line 1 looks like a row, but has no size, count and type at its start"),
        (FIRST_HEAD + "torn\n", "the run ended before its first size"),
        (
            OLD_HEAD + "1,024 2,56 float sum 20.0 0.05 0.09 0 20.0 0.05 0.09 0\n",
            "line 2 looks like a row, but its size and count",
        ),
        (
            OLD_HEAD + "1024 256 float sum nan nan nan 0 20.0 0.05 0.09 0\n",
            "line 2 looks like a row, but has no root and groups",
        ),
    ],
)
def test_a_refusal_says_what_was_seen(read, text, why):
    with pytest.raises(InputError, match=why):
        read("nccl-tests", text)


def test_a_wrong_rank_count_is_refused_with_the_arithmetic(log, read):
    with pytest.raises(
        InputError, match=r"--set ranks=16, but busbw/algbw is 1\.7\d* to 1\.75\d*, which fits 8 ranks; 16 ranks need 1\.875"
    ):
        read("nccl-tests", log(ranks=8, devices=False).text, settings="ranks=16")


def test_lines_of_a_container_in_objects(log, read):
    lines = [json.dumps({"log": line + "\n", "stream": "stdout", "time": "2026-01-01T00:00:00Z"}) for line in log().lines()]
    (entry,) = read("nccl-tests", "\n".join(lines) + "\n").files
    assert (entry["collective"], entry["ranks"], entry["rows"]) == ("all_reduce", 8, 21)


@pytest.mark.parametrize("redop, name", [("", "all_gather"), ("sum", "reduce_scatter")])
@pytest.mark.parametrize("ranks", [2, 8])
def test_until_2020_algbw_left_a_ranks_own_part_out(read, redop, name, ranks):
    """As in NVIDIA/nccl's issue 340: 65536 bytes of 8192 floats on 2 ranks in 16.57 µs, algbw = busbw = 1.98."""
    rows = [(2**exponent, 16.57 + 2**exponent / 20e3) for exponent in range(16, 24)]
    lines = []
    for size, us in rows:
        rate = size * (ranks - 1) / ranks / us / 1e3
        cell = f"{us:8.2f} {rate:7.2f} {rate:7.2f}  0e+00"
        lines.append(f"{size:12d} {size // 4 // ranks:12d}   float {redop} {cell} {cell}")
    head = "#       size         count    type   redop  time   algbw   busbw  error     time   algbw   busbw  error\n"
    found = read(
        "nccl-tests", head + "\n".join(lines) + "\n# Out of bounds values : 0 OK\n# Avg bus bandwidth    : 6.6972\n"
    )
    (entry,) = found.files
    assert (entry["collective"], entry["ranks"], entry["cells"]) == (name, ranks, 8)
    assert [cell["us"] for cell in found.cells] == [round(us, 2) for _, us in rows]
