"""nccl-tests' text in every shape it is met: what is known is taken, what is not is null and flagged."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError


def known(entry):
    return entry["collective"], entry["ranks"], entry["nodes"], entry["rows"]


def test_a_whole_log(log, entry):
    found = entry("nccl-tests", log(ranks=16, nodes=2).text)
    assert known(found) == ("all_reduce", 16, 2, 21)
    assert found["flags"] == [] and found["excluded"] == {} and found["cells"] == 21
    assert found["device"] == "Test GPU" and found["iterations"] == 20 and found["launch_mode"] == "stream"


def test_the_cells_are_ordinary_imported_samples(log, read):
    cells = read("nccl-tests", log(collective="alltoall", ranks=4, options={"graph": 1}).text).cells
    first = cells[0]
    assert first["collective"] == "all_to_all" and first["launch_mode"] == "graph" and first["dtype"] == "float32"
    assert first["start_ns"] is None and first["stop_ns"] is None and first["statistic"] == "mean"
    assert first["bytes"] == 128 and first["us"] == pytest.approx(9 + 0.7 * 4 + 128 / 150e3, abs=0.006)
    assert first["in_place_us"] == first["us"] and first["wrong"] == 0 and first["launch"] == 0


@pytest.mark.parametrize(
    "prefix", ["0: ", "   0: ", "[1,0]<stdout>:", "[1,0]<stdout>: ", "worker-0 | ", "2026-01-01T00:00:00Z "]
)
def test_launcher_prefixes(log, entry, prefix):
    found = entry("nccl-tests", log(ranks=16, nodes=2, prefix=prefix).text)
    assert known(found) == ("all_reduce", 16, 2, 21) and found["flags"] == ["launcher_prefix"]


@pytest.mark.parametrize("collective", ["all_reduce", "reduce_scatter", "broadcast", "reduce"])
def test_old_versions_do_not_name_the_collective_but_their_tables_do(log, entry, collective):
    text = log(collective=collective, named=False, old=True, per_process=8, options={}).text.replace("#wrong", "error")
    found = entry("nccl-tests", text)
    assert known(found) == (collective, 8, 1, 21) and found["launch_mode"] == "stream"
    assert found["flags"] == ["collective_inferred", "unchecked"]


def test_a_table_that_fits_two_collectives_is_named_by_its_file_or_not_at_all(log, entry, read):
    text = log(collective="all_gather", named=False, old=True).text
    assert entry("nccl-tests", text)["collective"] is None
    assert entry("nccl-tests", text)["flags"] == ["collective_unknown", "unchecked"]
    assert entry("nccl-tests", text)["excluded"] == {"collective_unknown": 21}
    named = entry("nccl-tests", text, name="a100_all-gather.log")
    assert named["collective"] == "all_gather" and named["flags"] == ["collective_from_file_name", "unchecked"]
    assert entry("nccl-tests", text, name="all_reduce.log")["collective"] is None  # its bandwidths are none's
    given = read("nccl-tests", text, settings="collective=alltoall")
    assert given.files[0]["collective"] == "alltoall" and given.cells[0]["collective"] == "all_to_all"


@pytest.mark.parametrize("collective", ["all_gather", "alltoall", "sendrecv", "all_reduce"])
def test_newer_tables_without_a_name(log, entry, collective):
    assert entry("nccl-tests", log(collective=collective, ranks=2, nodes=2, named=False).text)["collective"] == collective


def test_a_pasted_table_without_device_list(log, entry):
    found = entry("nccl-tests", log(ranks=16, devices=False, settings=False, named=False, footer=False).text)
    assert known(found) == ("all_reduce", 16, None, 21)
    assert found["flags"] == ["collective_inferred", "inferred", "truncated", "nodes_unknown"]
    assert found["launch_mode"] is None


def test_rank_counts_that_the_digits_do_not_determine_stay_unknown(log, entry):
    found = entry("nccl-tests", log(ranks=2048, devices=False, settings=False).text)
    assert found["ranks"] is None and "ranks_unknown" in found["flags"] and "inferred" not in found["flags"]
    low, high = found["ranks_implied"]
    assert low < 2048 < (high or 1e9)


def test_a_process_that_drives_all_ranks_is_on_one_node(log, entry):
    found = entry("nccl-tests", log(devices=False, per_process=8).text)
    assert known(found) == ("all_reduce", 8, 1, 21) and "nodes_inferred" in found["flags"]


def test_a_large_rank_count_is_not_contradicted_by_rounding(log, entry):
    found = entry("nccl-tests", log(ranks=1024, nodes=128).text)
    assert known(found) == ("all_reduce", 1024, 128, 21) and found["flags"] == []


def test_a_contradicted_rank_count_is_null_and_nothing_is_fitted(log, read):
    text = log(ranks=8, printed_ranks=16).text
    found = read("nccl-tests", text)
    (entry,) = found.files
    assert entry["ranks"] is None and entry["ranks_listed"] == 8 and entry["ranks_implied"] == [16, 16]
    assert entry["flags"] == ["ranks_contradicted", "ranks_unknown", "nodes_unknown"]
    assert "8" in entry["reasons"]["ranks_contradicted"] and "16" in entry["reasons"]["ranks_contradicted"]
    assert found.cells == [] and entry["excluded"] == {"ranks_contradicted": 21}
    assert len(read("nccl-tests", text, settings="ranks=16").cells) == 21
    with pytest.raises(InputError, match="--set ranks=12"):
        read("nccl-tests", text, settings="ranks=12")


@pytest.mark.parametrize("last, ranks, flag", [(7, 8, "inferred"), (70, None, "ranks_contradicted"), (3, 8, "inferred")])
def test_an_incomplete_device_list(log, entry, last, ranks, flag):
    lines = log(ranks=8).lines()
    kept = [line for line in lines if "Rank" not in line]
    kept.insert(3, f"#  Rank {last:2d} Group  0 Pid 9 on node0 device  3 [0x01] Test GPU")
    found = entry("nccl-tests", "\n".join(kept) + "\n")
    assert found["ranks"] == ranks and found["nodes"] is None and flag in found["flags"]


def test_several_groups_at_once(log, read):
    lines = log(ranks=8, printed_ranks=4).lines()
    lines = [line.replace("Group  0", f"Group  {int(line.split()[2]) % 2}") if "Rank" in line else line for line in lines]
    found = read("nccl-tests", "\n".join(lines) + "\n")
    assert found.files[0]["ranks"] == 4 and found.files[0]["nodes"] == 1 and found.files[0]["groups"] == 2
    assert found.cells[0]["concurrent_groups"] == "all"


def test_one_rank(log, read):
    found = read("nccl-tests", log(ranks=1).text)
    assert found.files[0]["ranks"] == 1 and "one_rank" in found.files[0]["flags"] and found.cells == []


def test_no_row_of_a_run_with_wrong_data_is_fitted(log, read):
    found = read("nccl-tests", log(wrong={1024: "3"}).text)
    assert found.files[0]["flags"] == ["wrong_data"] and found.cells == []
    scientific = read("nccl-tests", log(wrong={1024: "1e+06"}).text)
    assert scientific.files[0]["flags"] == ["wrong_data"] and scientific.files[0]["rows"] == 21


def test_rows_of_size_zero_are_counted_but_not_cells(log, read):
    found = read("nccl-tests", log(collective="all_gather", sizes=[0, 0, 128, 256, 512]).text)
    assert found.files[0]["rows"] == 5 and found.files[0]["excluded"] == {"size_zero": 2}
    assert "size_zero_rows" in found.files[0]["flags"] and [cell["bytes"] for cell in found.cells] == [128, 256, 512]


def test_cold_first_rows(log, read):
    found = read("nccl-tests", log(times={128: 83.0, 256: 40.0}).text)
    assert found.files[0]["excluded"] == {"cold_first_row": 2} and found.cells[0]["bytes"] == 512
    assert read("nccl-tests", log(times={1024: 83.0}).text).files[0]["flags"] == []  # one spike, not at the start


def test_a_noisy_run(log, entry):
    assert entry("nccl-tests", log(times={1024: 80.0, 65536: 900.0}).text)["flags"] == ["noisy"]


def test_a_log_cut_in_a_line(log, entry):
    text = log().text
    at = text.index("     1048576 ") + 60
    found = entry("nccl-tests", text[:at])
    assert found["flags"] == ["torn_rows", "truncated"] and found["rows"] == 13 and found["torn_rows"] == 1


def test_rows_torn_by_other_output(log, entry):
    lines = log().lines()
    at = next(i for i, line in enumerate(lines) if line.split()[:1] == ["4096"])
    whole = lines[at]
    lines[at : at + 1] = [whole[:40] + "node0:1:2 [0] NCCL INFO Connected", whole[40:]]
    found = entry("nccl-tests", "\n".join(lines) + "\n")
    assert found["rows"] == 20 and "torn_rows" in found["flags"] and "4096" not in str(found["excluded"])


def test_other_output_between_the_lines_is_passed_over(log, entry):
    noise = [
        "NCCL version 2.26.6+cuda12.8",
        "node0:12:12 [0] NCCL INFO Bootstrap : Using eth0",
        "\x1b[32mok\x1b[0m",
        "x" * 90_000,
    ]
    found = entry("nccl-tests", log(extra=noise).text)
    assert found["flags"] == [] and found["backend_version"] == "2.26.6" and found["rows"] == 21


def test_different_runs_in_one_file_are_kept_separate(log, read):
    found = read("nccl-tests", log(ranks=4).text + log(collective="alltoall", ranks=8).text)
    assert [(e["collective"], e["ranks"], e["rows"]) for e in found.files] == [("all_reduce", 4, 21), ("alltoall", 8, 21)]
    assert {cell["launch"] for cell in found.cells} == {0} and all("several_kinds" in e["flags"] for e in found.files)


def test_the_same_run_several_times_in_one_file_is_several_launches(log, read):
    found = read("nccl-tests", log(ranks=4).text * 3)
    assert [(e["collective"], e["ranks"], e["rows"]) for e in found.files] == [("all_reduce", 4, 21)] * 3
    assert all("several_runs" in e["flags"] for e in found.files)
    assert sorted({cell["launch"] for cell in found.cells}) == [0, 1, 2]


def test_processes_that_ran_at_the_same_time_without_mpi(log, read):
    mine, other = log(prefix="0: ", named=False).text.splitlines(), log(prefix="1: ", named=False).text.splitlines()
    text = "\n".join(line for pair in zip(mine, other) for line in pair) + "\n"
    found = read("nccl-tests", text)
    assert len(found.files) == 2 and found.cells == []
    assert all("runs_at_once" in entry["flags"] for entry in found.files)


def test_a_device_list_with_a_rank_twice(log, read):
    lines = log().lines()
    devices = [line for line in lines if "Rank" in line]
    at = lines.index(devices[-1]) + 1
    found = read("nccl-tests", "\n".join([*lines[:at], *devices, *lines[at:]]) + "\n")
    assert "repeated_ranks" in found.files[0]["flags"] and found.files[0]["ranks"] is None and found.cells == []


def test_interleaved_rows(log, read):
    text = log(sizes=[128, 256, 128, 512, 256, 1024]).text
    assert "interleaved" in read("nccl-tests", text).files[0]["flags"] and read("nccl-tests", text).cells == []


def test_repeated_sweeps_of_one_start_are_samples_of_one_launch(log, read, tmp_path):
    text = log(sizes=[128, 256, 512] * 3).text
    found = read("nccl-tests", text)
    assert found.files[0]["flags"] == ["repeated_cycles"] and found.files[0]["excluded"] == {"further_cycle": 6}
    assert [(cell["launch"], cell["n"], len(cell["start_ns"][0])) for cell in found.cells] == [(0, 3, 3)] * 3


def test_per_iteration_columns_and_timestamps(log, entry):
    def wider(line: str) -> str:
        parts = line.split()
        if not parts[0].isdigit():
            return line
        more = ["8.00", "12.00", "11.00", "4.20"]
        return "  ".join([*parts[:9], *more, *parts[9:], *more, "2026-08-01", "12:00:00"])

    found = entry("nccl-tests", "\n".join(wider(line) for line in log().lines()) + "\n")
    assert found["rows"] == 21 and found["flags"] == []


def test_cpu_times_are_no_times_of_the_collective(log, read):
    found = read("nccl-tests", log().text.replace("root     time", "root  cputime"))
    assert found.files[0]["flags"] == ["cpu_time"] and found.cells == []


def test_rows_left_out_by_whoever_pasted_the_log(log, entry):
    lines = [line for line in log().lines() if line.split()[:1] not in (["33554432"], ["67108864"])]
    assert "average_contradicted" in entry("nccl-tests", "\n".join(lines) + "\n")["flags"]


def test_settings_of_another_run(log, entry):
    text = log().text.replace("maxBytes 134217728", "maxBytes 1048576")
    assert "settings_contradicted" in entry("nccl-tests", text)["flags"]


def test_set_fills_in_and_never_overrules(log, read):
    text = log(ranks=16, devices=False).text
    assert read("nccl-tests", text, settings="nodes=2").cells[0]["nodes"] == 2
    with pytest.raises(InputError, match="--set ranks=8"):
        read("nccl-tests", text, settings="ranks=8")
    with pytest.raises(InputError, match="dtype is float32 in the file"):
        read("nccl-tests", text, settings="dtype=float16")


def test_no_law_for_some_collectives(log, read):
    text = log(collective="alltoall").text
    found = read("nccl-tests", text.replace("alltoall_perf", "alltoallv_perf"))
    assert found.files[0]["collective"] == "alltoallv" and found.files[0]["excluded"] == {"no_law": 21}
    gathered = read("nccl-tests", text.replace("alltoall_perf", "gather_perf"))
    assert gathered.files[0]["collective"] == "gather" and "no_law" not in gathered.files[0]["excluded"]
