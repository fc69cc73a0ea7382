"""The OSU and Intel MPI benchmarks in the forms they print: titles, heads, options, versions, launchers' prefixes."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.importers.imports import import_files

AVG = "# Size       Avg Latency(us)"
OLD = "# Size          Latency (us)"
FULL = "# Size       Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations"
TAILS = "  P50 Tail Lat(us)  P90 Tail Lat(us)  P99 Tail Lat(us)"
NBC = "# Size           Overall(us)       Compute(us)    Pure Comm.(us)        Overlap(%)"
NBC_FULL = (
    "# Size           Overall(us)       Compute(us)    Coll. Init(us)      MPI_Test(us)      MPI_Wait(us)    Pure Comm.(us)"
    "     Min Comm.(us)     Max Comm.(us)        Overlap(%)"
)

#: Title, head, a row; what is read of it with 4 ranks: collective, bytes, µs.
FORMS = [
    ("MPI Allreduce Latency Test v7.4", AVG, "1024  12.50", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test", OLD, "1024  12.50", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test v5.9", FULL, "1024  12.50 11.00 14.00 1000", ("all_reduce", 1024, 12.5)),
    (
        "MPI Allreduce Latency Test v7.5",
        FULL + TAILS,
        "1024 12.50 11.00 14.00 1000 12.1 15.0 40.0",
        ("all_reduce", 1024, 12.5),
    ),
    ("MPI Allreduce Latency Test v7.5", AVG + TAILS, "1024 12.50 12.1 15.0 40.0", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test v7.4", AVG + "  P99.9 Tail Lat(us)", "1024 12.50 99.0", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test v7.4", AVG + "        Validation", "1024 12.50 Pass", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test v7.4", AVG + "   Validation" + TAILS, "1024 12.5 Pass 1 2 3", ("all_reduce", 1024, 12.5)),
    ("MPI-CUDA Allreduce Latency Test v7.4", AVG, "1024 12.50", ("all_reduce", 1024, 12.5)),
    ("MPI-ROCM Allreduce Latency Test v7.2", AVG, "1024 12.50", ("all_reduce", 1024, 12.5)),
    ("MPI-OPENACC Broadcast Latency Test v5.6", AVG, "1024 12.50", ("broadcast", 1024, 12.5)),
    ("MPI-SYCL Broadcast Latency Test v7.5", AVG, "1024 12.50", ("broadcast", 1024, 12.5)),
    ("NCCL Allreduce Latency Test v7.4", AVG, "1024 12.50", ("all_reduce", 1024, 12.5)),
    ("RCCL Reduce Latency Test v7.4", AVG, "1024 12.50", ("reduce", 1024, 12.5)),
    ("MPI-CUDA NCCL Allreduce Latency Test v7.4", AVG, "1024 12.50", ("all_reduce", 1024, 12.5)),
    ("MPI Allreduce Latency Test", "# Size (B)          Avg Latency (us)", "1024 12.50", ("all_reduce", 1024, 12.5)),
    ("MPI Allgather Latency Test v7.4", AVG, "1024 12.50", ("all_gather", 4096, 12.5)),
    ("NCCL Allgather Latency Test v7.4", FULL, "1024 12.50 12 13 100", ("all_gather", 4096, 12.5)),
    ("MPI All-to-All Personalized Exchange Latency Test v7.4", AVG, "1024 12.50", ("all_to_all", 4096, 12.5)),
    ("MPI Alltoall Latency Test v3.9", OLD, "1024 12.50", ("all_to_all", 4096, 12.5)),
    ("MPI-CUDA All-to-All Personalized Exchange Latency Test v5.8", FULL, "8 9.5 9 10 100", ("all_to_all", 32, 9.5)),
    ("MPI Broadcast Latency Test v7.4", AVG, "1024 12.50", ("broadcast", 1024, 12.5)),
    ("MPI Bcast Latency Test v4.4", AVG, "1024 12.50", ("broadcast", 1024, 12.5)),
    ("MPI Reduce Latency Test v7.4", AVG, "1024 12.50", ("reduce", 1024, 12.5)),
    ("MPI Reduce_scatter Latency Test v7.4", AVG, "1024 12.50", ("reduce_scatter", 1024, 12.5)),
    ("MPI Reduce_scatter_block Latency Test v7.4", AVG, "1024 12.50", ("reduce_scatter", 1024, 12.5)),
    ("MPI Gather Latency Test v7.4", AVG, "1024 12.50", ("gather", 4096, 12.5)),
    ("MPI Scatter Latency Test v7.4", AVG, "1024 12.50", ("scatter", 4096, 12.5)),
    ("MPI Non-blocking Allreduce Latency Test v7.4", NBC, "4 70.27 54.17 50.52 68.15", ("all_reduce", 4, 50.52)),
    ("MPI Non-blocking Allreduce Latency Test v5.7", NBC_FULL, "4 70 54 4.9 0 11 50.5 26 74 68", ("all_reduce", 4, 50.5)),
    ("MPI Non-blocking Broadcast Latency Test v5.3", NBC, "4 70.27 54.17 50.52 68.15", ("broadcast", 4, 50.52)),
    ("MPI Non-blocking All-to-All Latency Test v7.4", NBC, "4 70.27 54.17 50.52 68.15", ("all_to_all", 16, 50.52)),
    ("MPI Iallgather Latency Test v5.3", NBC, "4 70.27 54.17 50.52 68.15", ("all_gather", 16, 50.52)),
    ("MPI Persistent Allreduce Latency Test v7.4", AVG, "4 7.5", ("all_reduce", 4, 7.5)),
    ("MPI Allreduce Persistent Latency Test v7.4", NBC, "4 70 54 50.5 68", ("all_reduce", 4, 50.5)),
    ("MPI Barrier Latency Test v7.4", "# Avg Latency(us)", "41.14", ("barrier", 0, 41.14)),
    (
        "MPI Barrier Latency Test v5.7.1",
        "# Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations",
        "41.14 41.11 41.15 1000",
        ("barrier", 0, 41.14),
    ),
    (
        "MPI Non-blocking Barrier Latency Test v5.7.1",
        "# Overall(us)       Compute(us)    Pure Comm.(us)        Overlap(%)",
        "41.14 20.11 30.15 10.0",
        ("barrier", 0, 30.15),
    ),
    ("MPI Latency Test v5.7.1", OLD, "1024 25.21", ("send_recv", 1024, 25.21)),
    ("MPI Latency Test v7.4", AVG, "1024 25.21", ("send_recv", 1024, 25.21)),
    (
        "MPI-CUDA Latency Test v7.4",
        "# Send Buffer on DEVICE (D) and Receive Buffer on DEVICE (D)\n" + AVG,
        "1024 25.21",
        ("send_recv", 1024, 25.21),
    ),
    ("MPI Latency Test v7.4", AVG + "        Validation", "1024 25.21 Pass", ("send_recv", 1024, 25.21)),
    ("MPI Multi Latency Test v5.6", OLD, "1024 25.21", ("send_recv", 1024, 25.21)),
    (
        "MPI Multi-threaded Latency Test v5.6",
        "# Number of Sender threads: 1 \n# Number of Receiver threads: 2\n" + OLD,
        "1024 25.21",
        ("send_recv", 1024, 25.21),
    ),
    ("MPI Bandwidth Test v7.4", "# Size      Bandwidth (MB/s)", "1000000 12500.00", ("send_recv", 1000000, 80.0)),
    (
        "MPI Multiple Bandwidth / Message Rate Test v7.4",
        "# [ pairs: 4 ] [ window size: 64 ]\n# Size                  MB/s        Messages/s",
        "1000000 12500.00 12500.0",
        ("send_recv", 1000000, 320.0),
    ),
]


@pytest.mark.parametrize("title, head, row, wanted", FORMS, ids=[f"{form[0]}-{i}" for i, form in enumerate(FORMS)])
@pytest.mark.parametrize("prefix", ["", "[1,0]<stdout>:", "0: ", "2026-01-01T00:00:00.123Z "])
def test_osu_forms(read, title, head, row, wanted, prefix):
    lines = ["", f"# OSU {title}", "# Datatype: MPI_CHAR.", *head.split("\n"), row]
    found = read("osu", "".join(f"{prefix}{line}\n" for line in lines), settings="ranks=4,nodes=2")
    (cell,) = found.cells
    assert (cell["collective"], cell["bytes"], cell["us"]) == wanted
    assert ("launcher_prefix" in cell["flags"]) == (prefix in ("[1,0]<stdout>:", "0: "))


def test_of_the_printed_forms_none_is_refused():
    assert len(FORMS) >= 40


@pytest.mark.parametrize(
    "title, why",
    [
        ("MPI Bi-Directional Bandwidth Test v7.4", "both directions"),
        ("MPI Congestion Bandwidth Test v7.4", "both directions"),
        ("MPI_Put Latency Test v7.4", "one-sided"),
        ("MPI Neighborhood Allgather Latency Test v7.4", "no cost law"),
        ("MPI All-to-Allv Personalized Exchange Latency Test v7.4", "no cost law for alltoallv"),
    ],
)
def test_what_has_no_law_is_named_and_left_out(read, title, why):
    head = "# Size      Bandwidth (MB/s)" if "Bandwidth" in title else AVG
    found = read("osu", f"# OSU {title}\n{head}\n8 2.5\n", settings="ranks=4,nodes=1")
    assert found.cells == [] and found.files[0]["excluded"] == {"no_law": 1}
    assert why in found.files[0]["reasons"]["no_law"]


def test_failed_validation_is_wrong_data(read):
    found = read(
        "osu", f"# OSU MPI Bcast Latency Test v7.4\n{AVG}  Validation\n4 1.5 Pass\n8 2.5 Fail\n", settings="ranks=2"
    )
    assert found.cells == [] and found.files[0]["excluded"] == {"wrong_data": 2}


def test_several_tables_in_a_log_and_other_lines_between(read):
    text = (
        f"srun: job 1\n# OSU MPI Allreduce Latency Test v7.4\n# Datatype: MPI_FLOAT.\n{AVG}\n4 1.5\n8 2.5\n"
        f"Warning: eth0\n\n# OSU MPI Allgather Latency Test v7.4\n{AVG}\n4 3.5\n"
    )
    found = read("osu", text, settings="ranks=8,nodes=2")
    assert [(e["collective"], e["rows"]) for e in found.files] == [("all_reduce", 2), ("all_gather", 1)]


def test_runs_of_two_mpi_libraries_are_no_launches_of_one(read):
    table = f"# OSU MPI Allreduce Latency Test v7.4\n{AVG}\n4 1.5\n8 2.5\n"
    log = f"module load openmpi/4.1.5\n{table}\nMPICH Version: 4.2.0\n{table}"
    cells = read("osu", log, settings="ranks=8,nodes=2").cells
    assert [(c["implementation"], c["launch"]) for c in cells] == [("mpi/openmpi", 0)] * 2 + [("mpi/mpich", 0)] * 2
    assert {c["launch"] for c in read("osu", table * 2, settings="ranks=8,nodes=2").cells} == {0, 1}


def test_reductions_before_version_7_were_of_floats(read):
    cells = read("osu", f"# OSU MPI Allreduce Latency Test v5.9\n{AVG}\n4 1.5\n", settings="ranks=8,nodes=2").cells
    assert cells[0]["dtype"] == "float32"
    cells = read("osu", f"# OSU MPI Bcast Latency Test v5.9\n{AVG}\n4 1.5\n", settings="ranks=8,nodes=2").cells
    assert cells[0]["dtype"] is None


def test_rows_of_another_width_than_the_head_are_torn(read):
    (entry,) = read("osu", f"# OSU MPI Bcast Latency Test v7\n{FULL}\n4 1.5 1 2 100\n8 2.5\n").files
    assert entry["rows"] == 1 and "1 rows are torn" in entry["reasons"]["torn_rows"]


def test_a_mean_outside_its_extremes_is_a_column_misread(read):
    found = read("osu", f"# OSU MPI Bcast Latency Test v7\n{FULL}\n4 9.5 1 2 100\n8 2.5 2 3 100\n", settings="ranks=2")
    assert found.files[0]["excluded"] == {"statistics_contradicted": 1} and len(found.cells) == 1


@pytest.mark.parametrize(
    "text, why",
    [
        (f"# OSU MPI Bcast Latency Test v7.4\n{AVG}\n", "line 1: a title of OSU's Bcast Latency, but no row follows"),
        ("4 1.5\n8 2.5\n", "line 1 looks like a row, but no title and head of a table stands before it"),
        (
            f"# OSU MPI Bcast Latency Test v7.4\n{FULL}\n4 1.5\n",
            "line 3 looks like a row, but has 2 cells under a head of 5",
        ),
    ],
)
def test_a_refusal_names_the_first_line_that_looked_like_a_row(read, text, why):
    with pytest.raises(InputError, match=why):
        read("osu", text)


def imb(
    name, rows, version="2021.7, MPI-1 part", ranks=4, head="#bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]"
):
    about = f"#    Intel(R) MPI Benchmarks {version}\n# MPI_Datatype for reductions    :   MPI_FLOAT\n" if version else ""
    return f"{about}# Benchmarking {name}\n# #processes = {ranks}\n       {head}\n{rows}\n"


@pytest.mark.parametrize(
    "version, factor",
    [
        ("2021.7, MPI-1 part", 4),
        ("2019 Update 1, MPI-1 part", 4),
        ("2019, MPI-1 part", 1),
        ("4.1 Update 1", 1),
        ("2018.1", 1),
    ],
)
@pytest.mark.parametrize("name", ["Reduce_scatter", "Reduce_scatter_block"])
def test_imb_counts_one_ranks_part_since_2019_update_1(read, name, version, factor):
    (cell,) = read("imb", imb(name, "64 100 1.5 2.5 2.0", version)).cells
    assert (cell["collective"], cell["bytes"], cell["dtype"]) == ("reduce_scatter", 64 * factor, "float32")


def test_imb_of_an_unknown_version_is_not_guessed(read):
    found = read("imb", imb("Reduce_scatter", "64 100 1.5 2.5 2.0", version=""))
    assert found.cells == [] and found.files[0]["excluded"] == {"size_needs_version": 1}
    assert len(read("imb", imb("Allreduce", "64 100 1.5 2.5 2.0", version="")).cells) == 1


@pytest.mark.parametrize(
    "name, head, row, wanted",
    [
        ("Barrier", "#repetitions  t_min[usec]  t_max[usec]  t_avg[usec]", "1000 3.10 3.30 3.20", ("barrier", 0, 3.2)),
        ("PingPong", "#bytes #repetitions      t[usec]   Mbytes/sec", "1024 1000 1.80 569.96", ("send_recv", 1024, 1.8)),
        (
            "PingPongAnySource",
            "#bytes #repetitions t_avg[usec] Mbytes/sec",
            "1024 1000 1.80 569.96",
            ("send_recv", 1024, 1.8),
        ),
        ("Iallreduce_pure", "#bytes #repetitions t_min[usec] t_max[usec] t_avg[usec]", "8 9 1 3 2", ("all_reduce", 8, 2)),
        (
            "Iallgather",
            "#bytes #repetitions t_ovrl[usec] t_pure[usec] t_CPU[usec] overlap[%]",
            "8 9 5 3 4 90",
            ("all_gather", 32, 3),
        ),
        (
            "Allreduce",
            "#bytes #repetitions t_min[usec] t_max[usec] t_avg[usec] defects",
            "8 9 1 3 2 0.00",
            ("all_reduce", 8, 2),
        ),
        (
            "Multi-Allreduce",
            "Group #bytes #repetitions t_min[usec] t_max[usec] t_avg[usec]",
            "0 8 9 1 3 2",
            ("all_reduce", 8, 2),
        ),
    ],
)
def test_imb_forms(read, name, head, row, wanted):
    (cell,) = read("imb", imb(name, row, head=head)).cells
    assert (cell["collective"], cell["bytes"], cell["us"]) == wanted


def test_imb_defects_are_wrong_data_and_seconds_cannot_pass(read):
    head = "#bytes #repetitions t_min[usec] t_max[usec] t_avg[usec] defects"
    assert read("imb", imb("Allreduce", "8 9 1 3 2 0.25", head=head)).files[0]["excluded"] == {"wrong_data": 1}
    head = "#bytes #repetitions t[usec] Mbytes/sec"
    found = read("imb", imb("PingPong", "1048576 9 0.000105 9986.4", head=head))
    assert found.files[0]["excluded"] == {"time_contradicted": 1}


def test_imb_with_a_benchmarks_name_in_each_row(read):
    """As a mail of 2008 on Open MPI's list shows it."""
    text = (
        "#    Intel (R) MPI Benchmark Suite V2.3, MPI-1 part\n# Benchmarking Allreduce\n# #processes = 96\n"
        "#Benchmarking  #procs  #bytes #repetitions  t_min[usec]  t_max[usec]  t_avg[usec]\n"
        "Allreduce       96        4         1000       297.88  298.07       297.95\n"
    )
    (cell,) = read("imb", text, settings="nodes=12").cells
    assert (cell["collective"], cell["ranks"], cell["bytes"], cell["us"]) == ("all_reduce", 96, 4, 297.95)


VARIED = """# OSU MPI Multiple Bandwidth / Message Rate Test v7.4
# [ pairs: 2 ] [ window size: varied ]

# Uni-directional Bandwidth (MB/sec)
# Datatype: MPI_CHAR.
#                 1           2          64
64             0.02        0.04        1.06
1024           0.22        0.44       16.19
"""
RATES = """
# Message Rate Profile
#                 1           2          64
64           256.18      591.35    16626.22
1024         212.50      427.04    15814.09
"""


def test_a_column_for_each_window(tmp_path):
    """osu_mbw_mr -V: each window is an operation, timed by the rates of both pairs, which have more digits."""
    path = tmp_path / "mbw.txt"
    path.write_text(VARIED + RATES)
    imported = import_files("osu", [path])
    assert [entry["implementation"] for entry in imported.files] == ["mpi/window1", "mpi/window2", "mpi"]
    assert [(cell["bytes"], cell["us"]) for cell in imported.cells] == [
        (64, 7807.01), (1024, 9411.76), (64, 3382.09), (1024, 4683.4), (64, 120.292), (1024, 126.469),
    ]  # fmt: skip
    assert {(cell["concurrent_groups"], cell["timing"], cell["dtype"]) for cell in imported.cells} == {
        ("all", "pipelined", "int8")
    }


def test_windows_without_rates(tmp_path):
    path = tmp_path / "mbw.txt"
    path.write_text(VARIED)
    assert [cell["us"] for cell in import_files("osu", [path]).cells][:2] == [6400.0, 9309.0]


def test_windows_of_two_dtypes(tmp_path):
    path = tmp_path / "mbw.txt"
    second = VARIED[VARIED.index("# Datatype") :].replace("CHAR", "FLOAT").replace("0.22", "0.33")
    path.write_text(VARIED + RATES + second + RATES.replace("212.50", "322.27"))
    imported = import_files("osu", [path])
    assert [entry["dtype"] for entry in imported.files] == [["float32", "int8"]] * 3
    one = [(cell["dtype"], cell["us"]) for cell in imported.cells if cell["implementation"] == "mpi/window1"]
    assert one[1] == ("int8", 9411.76) and one[3] == ("float32", 6205.98)


def test_another_window_is_another_operation(tmp_path):
    path = tmp_path / "mbw.txt"
    path.write_text(
        "# OSU MPI Multiple Bandwidth / Message Rate Test v7.4\n# [ pairs: 2 ] [ window size: 16 ]\n"
        "# Size                  MB/s        Messages/s\n64                      0.19           2983.74\n"
    )
    (cell,) = import_files("osu", [path]).cells
    assert (cell["implementation"], cell["us"]) == ("mpi/window16", 670.3)


def test_neighbourhood_collectives_have_no_law(tmp_path):
    path = tmp_path / "neighbor.txt"
    path.write_text(
        "Dimensions size = 4\nTime took to create topology graph:2489.17 us.\n\n"
        "# OSU MPI Neighborhood Allgather Latency Test v7.4\n# Datatype: MPI_CHAR.\n# Size       Avg Latency(us)\n"
        "4                    4801.78\n8                    4965.05\n"
    )
    imported = import_files("osu", [path])
    (entry,) = imported.files
    assert not imported.cells
    assert (entry["collective"], entry["rows"], entry["excluded"]) == ("neighborhood", 2, {"no_law": 2})
    assert "Neighborhood Allgather" in entry["reasons"]["no_law"]


def test_usage_is_called_so(tmp_path):
    path = tmp_path / "allgather.txt"
    path.write_text("Usage: osu_allgather [options]\nOptions:\n  -m, --message-size [MIN:]MAX\n")
    with pytest.raises(InputError, match="line 1: osu_allgather printed its usage: it refused an option"):
        import_files("osu", [path])


def test_many_pairs_do_not_contradict_their_bandwidth(tmp_path):
    """MB/s and messages/s are of all pairs together."""
    path = tmp_path / "mbw.txt"
    path.write_text(
        "# OSU MPI Multiple Bandwidth / Message Rate Test v5.7\n# [ pairs: 620 ] [ window size: 64 ]\n"
        "# Size                  MB/s        Messages/s\n1                    1348.55     1348549706.72\n"
        "4096               367815.47       89798698.53\n"
    )
    imported = import_files("osu", [path])
    assert [(cell["bytes"], cell["us"]) for cell in imported.cells] == [(1, 0.459753), (4096, 6.90433)]
    path.write_text(path.read_text().replace("367815.47", "367.81547"))
    assert import_files("osu", [path]).files[0]["excluded"] == {"time_contradicted": 1}
