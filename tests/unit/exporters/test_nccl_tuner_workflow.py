"""Runs with the algorithm forced: logs → import → fit → the tuner's file."""

from __future__ import annotations

import pytest

from inferometer.launch.cli import main

SIZES = [2**k for k in range(10, 25)]
TIMES_US = {"ring/ll": (10.0, 1e3), "ring/simple": (40.0, 1e5)}
"""Latency, and bytes per µs: LL is faster below some 30 kB."""


def log(pair: str, ranks: int) -> str:
    latency, rate = TIMES_US[pair]
    lines = ["# Collective test starting: all_reduce_perf"]
    lines += ["# nThread 1 nGpus 1 minBytes 1024 maxBytes 16777216 step: 2(factor) warmup iters: 5 iters: 20 graph: 0"]
    lines += ["# Using devices"]
    lines += [f"#  Rank {r:2d} Group  0 Pid {r + 1} on node0 device {r:2d} [0x07] Test GPU" for r in range(ranks)]
    lines += [
        "#       size         count      type   redop    root     time   algbw   busbw #wrong    time   algbw   busbw #wrong"
    ]
    for size in SIZES:
        us = latency + ranks + size / rate
        cells = f"{us:.2f} {size / us / 1e3:.4f} {size / us / 1e3 * 2 * (ranks - 1) / ranks:.4f} 0"
        lines.append(f"{size} {size // 4} float sum -1 {cells} {cells}")
    return "\n".join([*lines, "# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 1"]) + "\n"


def test_forced_runs_become_a_choice(tmp_path, capsys):
    samples = []
    for pair in TIMES_US:
        logs = []
        for ranks in (2, 4, 8):
            logs.append(tmp_path / f"{pair.replace('/', '-')}-{ranks}.log")
            logs[-1].write_text(log(pair, ranks))
        samples.append(str(tmp_path / f"{pair.replace('/', '-')}.samples.jsonl"))
        given = ["--set", f"implementation=nccl/{pair}"]
        assert main(["import", "nccl-tests", *map(str, logs), "-o", samples[-1], *given]) == 0
    calibration, tuner = str(tmp_path / "c.json"), tmp_path / "tuner.conf"
    assert main(["fit", *samples, "-o", calibration]) == 0
    assert main(["export", calibration, "--to", "nccl-tuner", "-o", str(tuner)]) == 0
    lines = [line.split(",") for line in tuner.read_text().splitlines() if line and not line.startswith("#")]
    of_eight = [(int(first), int(last), *pair) for _, first, last, *pair, _, _, ranks in lines if ranks == "8"]
    assert [pair[2:] for pair in of_eight] == [("ring", "ll"), ("ring", "simple")]
    assert of_eight[0][0] == SIZES[0] and of_eight[-1][1] == SIZES[-1]
    assert of_eight[0][1] == pytest.approx(30 / (1 / 1e3 - 1 / 1e5), rel=0.2), "where both take as long"


@pytest.mark.parametrize("value", ["ncclx/ring/ll", "rccl/ring/ll", "mpi"])
def test_set_refines_what_the_file_says_but_never_overrules_it(tmp_path, capsys, value):
    file = tmp_path / "a.log"
    file.write_text(log("ring/ll", 4))
    assert main(["import", "nccl-tests", str(file), "--set", f"implementation={value}"]) == 2
    assert f"implementation is nccl in the file, --set says {value}" in capsys.readouterr().err
