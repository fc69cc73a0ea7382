"""``inferometer import``: the report, the samples file, and every bad input in one line with exit status 2."""

from __future__ import annotations

import errno
import json
import os
import tracemalloc
from pathlib import Path

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.importers.imports import KNOWN
from inferometer.emulator.importers.source import Source
from inferometer.emulator.samples.samples import SamplesFile, load_samples
from inferometer.launch.cli import main


@pytest.fixture
def logs(log, tmp_path):
    paths = []
    for ranks, nodes in ((4, 1), (8, 1), (16, 2), (32, 4)):
        paths.append(tmp_path / f"{ranks}.log")
        paths[-1].write_text(log(ranks=ranks, nodes=nodes).text)
    return [str(path) for path in paths]


def test_report_on_stdout_samples_in_a_file(logs, tmp_path, capsys):
    out = tmp_path / "all.samples.jsonl"
    assert main(["import", "nccl-tests", *logs, "-o", str(out), "--json", "-"]) == 0
    printed = capsys.readouterr()
    files = json.loads(printed.out)["files"]
    assert [(f["file"], f["ranks"], f["nodes"], f["rows"], f["flags"]) for f in files] == [
        (path, ranks, nodes, 21, []) for path, ranks, nodes in zip(logs, (4, 8, 16, 32), (1, 1, 2, 4))
    ]
    assert "4 runs, 84 rows, 84 cells" in printed.err
    table = load_samples(out)
    assert len(table) == 84 and set(table["statistic"]) == {"mean"} and set(table["ranks"]) == {4, 8, 16, 32}
    head = json.loads(out.read_text().splitlines()[0])
    assert head["provenance"]["kind"] == "imported" and head["provenance"]["files"][0]["path"] == logs[0]
    assert len(head["provenance"]["files"][0]["sha256"]) == 64


def test_imported_samples_go_through_fit(logs, tmp_path, capsys):
    out, calibration = tmp_path / "all.samples.jsonl", tmp_path / "c.json"
    assert main(["import", "nccl-tests", *logs, "-o", str(out)]) == 0
    assert main(["fit", str(out), "--law", "affine", "-o", str(calibration)]) == 0
    fitted = json.loads(calibration.read_text())
    assert fitted["provenance"]["kind"] == "imported" and fitted["provenance"]["topology"]["ranks"] == 32
    assert fitted["network_laws"][0]["domain"]["ranks"] == [4, 8, 16, 32]
    assert "Calibration of Test GPU; 32 ranks on 4 nodes" in capsys.readouterr().out


def test_cells_of_unknown_layout_are_left_out_of_a_fit(log, logs, tmp_path, capsys):
    pasted, out, calibration = tmp_path / "p.log", tmp_path / "p.samples.jsonl", tmp_path / "c.json"
    pasted.write_text(log(ranks=64, devices=False).text)
    assert main(["import", "nccl-tests", str(pasted), "-o", str(out)]) == 0
    assert main(["fit", str(out), "-o", str(calibration)]) == 2
    assert "--set ranks=…,nodes=…" in capsys.readouterr().err
    both = tmp_path / "b.samples.jsonl"
    assert main(["import", "nccl-tests", str(pasted), *logs, "-o", str(both)]) == 0
    assert main(["fit", str(both), "--law", "affine", "-o", str(calibration)]) == 0
    fitted = json.loads(calibration.read_text())
    assert fitted["method"]["left_out"] == {"ranks or nodes unknown": 21}
    assert fitted["network_laws"][0]["domain"]["ranks"] == [4, 8, 16, 32]


def test_a_fit_refuses_an_import_of_two_machines(log, logs, tmp_path, capsys):
    other, out = tmp_path / "other.log", tmp_path / "two.samples.jsonl"
    other.write_text(log(ranks=8).text.replace("Test GPU", "Other GPU"))
    assert main(["import", "nccl-tests", logs[0], str(other), "-o", str(out)]) == 0
    assert main(["fit", str(out), "-o", str(tmp_path / "c.json")]) == 2
    assert "2 kinds of GPU (Other GPU, Test GPU)" in capsys.readouterr().err


def one_line(capsys, *args):
    assert main(["import", *map(str, args)]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    return printed.err


@pytest.mark.parametrize("format_name", KNOWN)
@pytest.mark.parametrize("kind", ["empty", "binary", "prose", "missing", "folder", "fifo", "nul", "locked", "deep", "long"])
def test_hostile_files(format_name, kind, tmp_path, capsys):
    path = tmp_path / "in\nput"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "locked":
        path.write_text("x")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user reads everything")
    elif kind != "missing":
        content = {"empty": b"", "binary": bytes(range(256)) * 99, "prose": b"It was a dark night.\n" * 9, "nul": b"",
                   "deep": b'{"results": ' + b"[" * 100_000, "long": b"7" * 300_000 + b"\n"}[kind]  # fmt: skip
        path.write_bytes(content)
    name = "in\0put" if kind == "nul" else str(path)
    assert "put" in one_line(capsys, format_name, name)


@pytest.mark.parametrize(
    "settings, words",
    [
        ("ranks", "KEY=VALUE"),
        ("ranks=0", "whole number"),
        ("ranks=²", "whole number"),
        ("ranks=8,ranks=8", "twice"),
        ("speed=9", "KEY=VALUE"),
        ("ranks=2,nodes=4", "cannot be on 4 nodes"),
        ("collective=dance", "unknown collective"),
    ],
)
def test_bad_settings(settings, words, logs, capsys):
    assert words in one_line(capsys, "nccl-tests", logs[0], "--set", settings)


def test_the_same_contents_twice(logs, tmp_path, capsys):
    copy = tmp_path / "copy.log"
    copy.write_bytes(Path(logs[0]).read_bytes())
    assert "same contents" in one_line(capsys, "nccl-tests", logs[0], copy)


def test_samples_are_never_overwritten(logs, tmp_path, capsys):
    out = tmp_path / "s.jsonl"
    assert main(["import", "nccl-tests", logs[0], "-o", str(out)]) == 0
    capsys.readouterr()
    assert "s.jsonl: exists, and samples never replace a file" in one_line(capsys, "nccl-tests", logs[1], "-o", out)


def test_a_long_log_is_read_in_little_memory(log, tmp_path):
    from inferometer.emulator.importers.imports import import_files

    path = tmp_path / "debug.log"
    with path.open("w") as file:
        file.write(log(footer=False).text)
        file.writelines(["node0:1:2 [0] NCCL INFO Channel 00/02 : 0 1 2 3 4 5 6 7 via P2P/CUMEM/read\n"] * 100_000)
        file.write("x" * 4_000_000)
    tracemalloc.start()
    found = import_files("nccl-tests", [path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.files[0]["rows"] == 21 and peak < 2_000_000 < path.stat().st_size / 4


def test_a_file_of_rows_only_is_refused_before_it_fills_the_memory(log, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("inferometer.emulator.importers.nccl.text.MAX_ROWS", 1000)
    path = tmp_path / "rows.log"
    path.write_text(log(sizes=[64]).row(64) + "\n" + (log().row(64) + "\n") * 1000)
    assert "more than 1000 rows" in one_line(capsys, "nccl-tests", path)


def test_lines_without_an_end_come_in_pieces_that_are_passed_over(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(b"a" * 200_000 + b"\nshort\n" + b"b" * 70_000 + b"\nlast")
    source = Source(path)
    assert [line for line in source.lines() if len(line[1]) < 10] == [(2, "short"), (4, "last")] and source.cut_off


def test_what_tells_runs_apart_is_shown(tmp_path, capsys):
    table = tmp_path / "t.csv"
    rows = "".join(f"all_reduce,4,1,{dtype},64,12.5\n" for dtype in ("float16", "int8"))
    table.write_text("collective,ranks,nodes,dtype,bytes,us\n" + rows)
    assert main(["import", "csv", str(table)]) == 0
    first, second, _ = capsys.readouterr().out.splitlines()
    assert "all_reduce, float16, ranks 4" in first and "all_reduce, int8, ranks 4" in second


def test_a_full_disk_leaves_no_part_of_the_samples(logs, tmp_path, capsys, monkeypatch):
    def full(self):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(SamplesFile, "close", full)
    out = tmp_path / "s.jsonl"
    assert "s.jsonl: cannot be written: No space left" in one_line(capsys, "nccl-tests", logs[0], "-o", out)
    assert not out.exists()


def test_launches_that_lie_far_apart_weaken_the_verdict(log, tmp_path, capsys):
    paths = []
    for factor in (1, 1, 4):
        path = tmp_path / f"{len(paths)}.log"
        times = {2**k: factor * (11.8 + 2**k / 150e3) for k in range(7, 28)}
        path.write_text(log(ranks=4, times=times).text + "#\n" * len(paths))
        paths.append(str(path))
    out, calibration = tmp_path / "s.samples.jsonl", tmp_path / "c.json"
    assert main(["import", "nccl-tests", *paths, "-o", str(out)]) == 0
    assert "launches_apart" in capsys.readouterr().out
    assert main(["fit", str(out), "-o", str(calibration)]) == 0
    assert any("differ widely" in reason for reason in json.loads(calibration.read_text())["quality"]["reasons"])


def test_a_sweep_over_reductions_is_fitted_and_its_plain_sum_is_what_is_priced(log, tmp_path, capsys):
    """-o all: sum, max and min are laws of their own; who names none of them means the sum."""
    text = log(ranks=8).text
    sweep = "".join(text.replace("   sum ", f"   {redop} ") for redop in ("sum", "max", "min"))
    (tmp_path / "all.log").write_text(sweep)
    samples, calibration = tmp_path / "s.samples.jsonl", tmp_path / "c.json"
    assert main(["import", "nccl-tests", str(tmp_path / "all.log"), "-o", str(samples)]) == 0
    assert main(["fit", str(samples), "--law", "affine", "-o", str(calibration)]) == 0
    laws = json.loads(calibration.read_text())["network_laws"]
    assert {law["target"]["implementation"] for law in laws} == {"nccl", "nccl/max", "nccl/min"}
    fitted = load_calibration(calibration)
    assert fitted.law("all_reduce").target.implementation == "nccl"
    assert fitted.law("all_reduce", implementation="nccl/max").target.implementation == "nccl/max"
    assert fitted.time_s("all_reduce", 1 << 20, 8, 1) > 0
