"""Hosts on this machine, joined by a wire of known rate: a measurement finds the rate, and nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferometer.launch.ranks.local import processes_with
from inferometer.launch.runs.lab import LabSettings, missing

REASON = missing(LabSettings(rate_bit_per_s=1e9))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=f"lab: {REASON}")]
RATE_BIT_PER_S = 200e6
GOODPUT = 1448 / 1514
"""Payload of an Ethernet frame of 1500 bytes over all of it, TCP with time stamps."""
MARK = "INFEROMETER_LAB_TEST"


def start(folder: Path, *arguments: str, mark: str = "x") -> subprocess.Popen:
    lab = [sys.executable, "-m", "inferometer.launch", "lab", *arguments]
    return subprocess.Popen(lab, cwd=folder, env=os.environ | {MARK: mark}, stderr=subprocess.PIPE, text=True)


def namespaces() -> set[str]:
    folder = Path("/run/netns")
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def test_all_reduce_finds_the_rate_of_the_wire(tmp_path):
    before = namespaces()
    sweep = ["--collectives", "all_reduce", "--timings", "isolated", "-b", "1M", "-e", "1M", "--iters", "20", "-T", "30"]
    process = start(tmp_path, "--nodes", "2", "--rate", "200mbit", "--", "measure", *sweep, "-o", "wire.samples.jsonl")
    assert process.wait(180) == 0, process.stderr.read()
    records = [json.loads(line) for line in (tmp_path / "wire.samples.jsonl").read_text().splitlines()]
    (launch,) = [record for record in records if record["record"] == "launch"]
    (cell,) = [record for record in records if record["record"] == "cell"]
    assert launch["node_of"] == [0, 1] and cell["nodes"] == 2
    spans = [max(stops) - max(starts) for starts, stops in zip(zip(*cell["start_ns"]), zip(*cell["stop_ns"]))]
    bit_per_s = 8 * cell["bytes"] / (sorted(spans)[len(spans) // 2] * 1e-9)
    assert 0.85 * GOODPUT < bit_per_s / RATE_BIT_PER_S < 1.02  # a bus factor of 1: two ranks
    assert namespaces() == before and not list(processes_with(MARK, "x"))


def test_nothing_is_left_where_the_command_is_killed(tmp_path):
    before = namespaces()
    process = start(tmp_path, "--nodes", "2", "--", "measure", "-o", "x.samples.jsonl", mark=str(tmp_path))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(processes_with(MARK, str(tmp_path)))) < 5:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (left := list(processes_with(MARK, str(tmp_path)))):
        time.sleep(0.1)
    assert not left and namespaces() == before


def test_a_host_that_fails_ends_the_others_with_its_status(tmp_path):
    process = start(tmp_path, "--nodes", "2", "--", "measure", "--backend", "nccl", "-o", "x.samples.jsonl")
    assert process.wait(120) != 0
    assert "nccl" in process.stderr.read()
