"""`import kernels`: tables of kernel times as the records of own probes."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.samples.probe_table import probe_table
from inferometer.launch.cli import main
from tests.places import SHARED_DATA
from tests.studies.planted_kernels import table

CSV = """kind,op,rows,inner,outer,dtype,launch_mode,device,us
# a comment
matmul,,8,1024,4096,bf16,graph,NVIDIA L4,12.5
matmul,,16,1024,4096,bf16,graph,NVIDIA L4,13.5
null,,,,,,eager,NVIDIA L4,6
"""


def imported(tmp_path, content, *arguments, name="table.csv"):
    path, out = tmp_path / name, tmp_path / f"{name}.samples.jsonl"
    path.write_text(content)
    return main(["import", "kernels", str(path), "-o", str(out), *arguments]), out


def test_a_csv_becomes_compute_records_without_raw_times(tmp_path, capsys):
    status, out = imported(tmp_path, CSV)
    assert status == 0
    assert (
        "NVIDIA L4 (torch), graph, bfloat16: 2 matmul; NVIDIA L4 (torch), eager, bfloat16: 1 null" in capsys.readouterr().out
    )
    head, first, second = (json.loads(line) for line in out.read_text().splitlines())
    assert head["environment"]["hardware"]["devices"] == ["NVIDIA L4"]
    assert (first["device"], first["launch_mode"], first["dtype"]) == ("NVIDIA L4", "graph", "bfloat16")
    op = first["ops"][0]
    assert op["ns"] is None and (op["us"], op["statistic"]) == (12.5, "median")
    assert op["flop"] == 2 * 8 * 1024 * 4096 and op["weight_bytes"] == 1024 * 4096 * 2
    assert second["launch_mode"] == "eager" and second["ops"][0]["kind"] == "null"
    assert list(probe_table(out)["us"]) == [12.5, 13.5, 6.0]


def test_json_says_the_same_as_csv(tmp_path):
    rows = [
        {"kind": "matmul", "rows": 8, "inner": 1024, "outer": 4096, "dtype": "bf16", "launch_mode": "graph", "us": 12.5},
        {"kind": "matmul", "rows": 16, "inner": 1024, "outer": 4096, "dtype": "bf16", "launch_mode": "graph", "us": 13.5},
        {"kind": "null", "launch_mode": "eager", "us": 6},
    ]
    status, out = imported(tmp_path, json.dumps({"kernels": [{**r, "device": "NVIDIA L4"} for r in rows]}), name="t.json")
    _, other = imported(tmp_path, CSV)
    assert status == 0
    ours, theirs = (path.read_text().splitlines()[1:] for path in (out, other))
    assert ours == theirs


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("12.5", "fast", "line 3: us is 'fast', not a number"),
        ("12.5", "0", "line 3: us is 0"),
        ("8,1024,4096", "8,,4096", "line 3: inner is 'None', not a number"),
        ("matmul,,8", "product,,8", "line 3: kind is 'product', known are matmul"),
        ("bf16", "int7", "line 3: dtype is 'int7'"),
        ("graph", "host", "line 3: launch_mode is 'host'"),
        ("NVIDIA L4,12.5", ",12.5", "line 3: device is missing"),
        ("kind,op", "sort,op", "needs columns kind and us"),
    ],
)
def test_bad_rows_are_named_in_one_line(tmp_path, capsys, old, new, words):
    status, out = imported(tmp_path, CSV.replace(old, new, 1))
    error = capsys.readouterr().err
    assert status == 2 and words in error and error.count("\n") == 1
    assert not out.exists()


def test_the_same_table_in_another_file_is_another_launch(tmp_path):
    paths = []
    for seed in range(3):
        paths.append(tmp_path / f"{seed}.json")
        paths[-1].write_text(json.dumps(table(0.01, seed)))
    out = tmp_path / "all.samples.jsonl"
    assert main(["import", "kernels", *map(str, paths), "-o", str(out)]) == 0
    assert sorted(probe_table(out)["launch"].unique()) == [0, 1, 2]


def test_a_setting_of_collectives_is_refused(tmp_path, capsys):
    assert imported(tmp_path, CSV, "--set", "timing=isolated")[0] == 2
    assert "kernels have dtype, launch_mode and backend" in capsys.readouterr().err


def test_the_summary_of_one_gpu(tmp_path):
    path = SHARED_DATA / "gpu" / "h200" / "kernels_and_steps.json"
    if not path.exists():
        pytest.skip(f"no {path}")
    out = tmp_path / "k.samples.jsonl"
    assert main(["import", "kernels", str(path), "-o", str(out)]) == 0
    found = probe_table(out)
    document = json.loads(path.read_text())
    assert (found["kind"] == "matmul").sum() == len(document["matmul_bf16_us"])
    assert (found["one_tensor"] == 1).sum() == len(document["attention_us_keys_and_values_one_tensor"])
    assert set(found["device"]) == {document["gpu"]}
