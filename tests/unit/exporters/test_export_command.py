"""inferometer export: the files, the JSON, and one line and exit status 2 for what cannot be exported."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.calibrate.evaluate.file import write_calibration
from inferometer.emulator.exporters.targets import TARGETS
from inferometer.launch.cli import main
from inferometer.launch.commands.export import layouts
from tests.unit.exporters.known_calibrations import ONE_NODE, cells_of, made_from


@pytest.fixture
def run(tmp_path, capsys):
    """(exit status, stdout, stderr) of export -o FILE in an empty folder."""

    def call(calibration, *args, name="out.txt"):
        status = main(["export", str(calibration), "-o", str(tmp_path / name), *args])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def written(tmp_path, calibration, name="calibration.json"):
    write_calibration(calibration, tmp_path / name)
    return tmp_path / name


def refused(outcome, *words):
    status, out, err = outcome
    assert status == 2 and out == ""
    assert err.startswith("inferometer: ") and err.count("\n") == 1
    for word in words:
        assert word in err


def test_the_statement_is_printed_written_beside_the_file_and_in_the_json(run, node_file, tmp_path):
    status, out, err = run(node_file, "--to", "vidur", "--json", "-", name="all_reduce.csv")
    assert status == 0
    document = json.loads(out)
    assert [file.rsplit("/")[-1] for file in document["files"]] == ["all_reduce.csv", "all_reduce.csv.loss.txt"]
    assert document["target"] == "vidur" and document["tolerance"] == 0.05
    beside = (tmp_path / "all_reduce.csv.loss.txt").read_text()
    assert beside in err
    assert "all_reduce 8 ranks/1 node: within 5 %" in beside


def test_aiconfigurator_writes_its_meta_file_and_leaves_anothers_alone(run, node_file, tmp_path):
    assert run(node_file, "--to", "aiconfigurator", name="nccl_perf.parquet")[0] == 0
    assert run(node_file, "--to", "aiconfigurator", name="nccl_perf.parquet")[0] == 0, "its own may be written again"
    (tmp_path / "collection_meta.yaml").write_text("tables: {}\n")
    refused(run(node_file, "--to", "aiconfigurator", name="nccl_perf.parquet"), "collection_meta.yaml", "already")
    assert (tmp_path / "collection_meta.yaml").read_text() == "tables: {}\n"


def test_ranks_and_sizes_choose_the_rows(run, node_file, tmp_path):
    assert run(node_file, "--to", "aiconfigurator", "--ranks", "2,8", "-b", "1K", "-e", "16K", "-f", "4")[0] == 0
    rows = [line.split(",") for line in (tmp_path / "out.txt").read_text().splitlines()[1:]]
    assert {row[6] for row in rows} == {"2", "8"}
    assert sorted({int(row[7]) for row in rows}) == [512, 2048, 8192], "elements of 2 bytes"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--to", "excel"], ["excel", "paper"]),
        (["--to", "nccl-tuner"], ["forced algorithms", "nccl/ring/ll", "has nccl"]),
        (["--to", "paper", "--key", "collective=broadcast"], ["broadcast", "all_reduce"]),
        (["--to", "vidur", "--key", "collective=all_to_all"], ["all_to_all", "all_reduce, send_recv"]),
        (["--to", "paper", "--key", "backend=gloo"], ["backend=gloo", "nccl"]),
        (["--to", "paper", "--key", "colour=red"], ["colour=red", "backend"]),
        (["--to", "paper", "--key", "backend=nccl", "--key", "backend=gloo"], ["twice"]),
        (["--to", "vidur", "--ranks", "16"], ["16 ranks", "2/1, 4/1, 8/1"]),
        (["--to", "vidur", "--ranks", "8/2"], ["8 ranks on 2 nodes"]),
        (["--to", "vidur", "--ranks", "0"], ["RANKS/NODES"]),
        (["--to", "vidur", "-e", "1G"], ["1073741824", "33554432"]),
        (["--to", "vidur", "-b", "8"], ["-b 8", "512"]),
        (["--to", "vidur", "-f", "1"], ["-f 1"]),
        (["--to", "aiconfigurator", "-b", "513", "-f", "2"], ["-b 513", "2-byte"]),
        (["--to", "astra-sim", "--ranks", "2,4"], ["one layout", "2/1, 4/1"]),
    ],
)
def test_what_cannot_be_exported_is_one_line(run, node_file, tmp_path, args, words):
    refused(run(node_file, *args), *words)
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_several_laws_are_named(run, tmp_path):
    both = made_from([cells_of("all_reduce", ONE_NODE), cells_of("all_reduce", ONE_NODE, backend="gloo")])
    refused(run(written(tmp_path, both), "--to", "paper"), "choose among", "gloo|nccl")
    assert run(tmp_path / "calibration.json", "--to", "paper", "--key", "backend=gloo")[0] == 0


def test_times_that_no_cell_determines_are_refused_not_written(run, tmp_path, merged):
    file = written(tmp_path, merged)
    refused(run(file, "--to", "aiconfigurator"), "one node")
    refused(run(file, "--to", "llm-analysis"), "one node")
    refused(run(file, "--to", "astra-sim"), "4 ranks on one node")


def test_the_calibration_itself_is_never_overwritten(node_file, capsys):
    before = node_file.read_bytes()
    assert main(["export", str(node_file), "--to", "paper", "-o", str(node_file)]) == 2
    assert "the file is read by this command" in capsys.readouterr().err
    assert node_file.read_bytes() == before


@pytest.mark.parametrize("content", ["", "{}", "[1", '{"schema": "inferometer/samples/1"}'])
def test_what_is_no_calibration_is_one_line(run, tmp_path, content):
    path = tmp_path / "bad.json"
    path.write_text(content)
    refused(run(path, "--to", "paper"), "bad.json")


def test_every_target_is_in_the_help_and_says_what_it_needs(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    assert all(name in said for name in TARGETS)
    assert all(target.needs and target.carries for target in TARGETS.values())


@pytest.mark.parametrize(
    "domain", [{"ranks": []}, {"bytes": [9, 3]}, {"nodes": [0]}, {"bytes": [1, 10**30]}, {"bytes": [0, 0]}]
)
def test_a_domain_that_is_none_is_one_line(run, node_file, tmp_path, domain):
    document = json.loads(node_file.read_text())
    for model in document["network_laws"]:
        model["domain"] |= domain
    (tmp_path / "odd.json").write_text(json.dumps(document))
    for target in TARGETS:
        refused(run(tmp_path / "odd.json", "--to", target))


def test_a_calibration_that_is_not_there_is_one_line(run, tmp_path):
    (tmp_path / "out.txt").write_text("mine")
    refused(run(tmp_path / "missing.json", "--to", "paper"), "missing.json")
    assert (tmp_path / "out.txt").read_text() == "mine"


@given(st.text(max_size=12))
def test_any_text_for_ranks_parses_or_is_refused(text):
    import argparse

    try:
        found = layouts(text)
    except argparse.ArgumentTypeError:
        return
    assert all(ranks > 0 and (nodes is None or nodes > 0) for ranks, nodes in found)
