"""The real launchers: torchrun, and the command's own start of ranks, write the same kind of samples."""

from __future__ import annotations

import json
import sys

import jsonschema
import pytest

from inferometer import load_calibration, load_samples
from inferometer.emulator.calibrate.evaluate.file import SCHEMA_FILE
from inferometer.emulator.samples.samples import read_records

SMALL = "--collectives all_reduce,send_recv -b 64 -e 64K -f 8 --timings isolated --iters 20 --budget none".split()
TORCHRUN = (
    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
    *("-m", "inferometer.launch"),
)


@pytest.mark.slow
def test_torchrun_and_the_own_launcher_write_the_same_kind_of_samples(command, tmp_path):
    runs = [
        command("measure", "-n", "2", "--launches", "1", *SMALL, "-o", "own.samples.jsonl"),
        command("measure", *SMALL, "-o", "torchrun.samples.jsonl", prefix=TORCHRUN, module=False),
    ]
    for run in runs:
        out, err = run.communicate(timeout=100)
        assert run.returncode == 0, err
    records = [list(read_records(tmp_path / f"{name}.samples.jsonl")) for name in ("own", "torchrun")]
    for one, other in zip(*(sorted(r, key=lambda x: (x["record"], x.get("cell", ""))) for r in records)):
        assert one.keys() == other.keys()
        assert one.get("cell") == other.get("cell")
    frames = [load_samples(tmp_path / f"{name}.samples.jsonl") for name in ("own", "torchrun")]
    assert list(frames[0].columns) == list(frames[1].columns)
    assert all((frame["us"] > 0).all() and set(frame["ranks"]) == {2} for frame in frames)

    again = command("measure", *SMALL, "-o", "torchrun.samples.jsonl", "--append", prefix=TORCHRUN, module=False)
    out, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    assert set(load_samples(tmp_path / "torchrun.samples.jsonl")["launch"]) == {0, 1}


def test_torchrun_refuses_n_with_one_line(command):
    run = command("measure", "-n", "2", prefix=TORCHRUN, module=False)
    _, err = run.communicate(timeout=100)
    assert run.returncode == 1  # torchrun turns any failure into 1
    assert "inferometer: -n 2: torchrun has already started 2 ranks; leave -n out" in err


@pytest.fixture
def calibration(command, tmp_path):
    run = command(
        "calibrate", "-n", "3", "--launches", "3", "--budget", "25", "--collectives", "all_reduce,null", "-f", "16",
        "--iters", "20", "-o", "cal.json", "--json", "-",
    )  # fmt: skip
    out, err = run.communicate(timeout=110)
    assert run.returncode == 0, err
    return out, err


@pytest.mark.verify
def test_calibrate_prints_one_json_document_and_nothing_else(calibration, tmp_path):
    out, err = calibration
    document = json.loads(out)  # one document: json.loads refuses anything around it
    jsonschema.validate(document, json.loads(SCHEMA_FILE.read_text()))
    assert json.loads((tmp_path / "cal.json").read_text()) == document
    assert document["schema"] == "inferometer/calibration/2"
    assert document["method"]["launches"] >= 3 and len(document["provenance"]["raw"][0]["sha256"]) == 64
    assert "Verdict: " in err and "all_reduce" in err
    assert (tmp_path / "cal.png").read_bytes().startswith(b"\x89PNG")

    loaded = load_calibration(tmp_path / "cal.json")
    times = loaded.time_s("all_reduce", [64, 1 << 20], 3)
    assert 0 < times[0] < times[1]
    parameter = document["network_laws"][0]["params"]["c"]
    assert parameter["value"] is None and parameter["status"] == "not_identified" and "one node" in parameter["reason"]

    # the same samples and seed give the same bytes
    from inferometer.emulator.calibrate.evaluate.file import to_json
    from inferometer.emulator.calibrate.fit.from_samples import fit

    assert to_json(fit([tmp_path / "cal.samples.jsonl"])) == (tmp_path / "cal.json").read_text()
