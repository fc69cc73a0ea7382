"""A rank that dies, stops or is interrupted, as a user meets it: the message, the samples, the status, no process left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from inferometer.emulator.samples.samples import read_records
from inferometer.launch.ranks.local import processes_with
from inferometer.launch.runs.schemas import schema

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds the ranks through /proc (Linux)"),
]

SWEEP = (
    "measure -n 3 --collectives all_reduce --timings isolated -b 64 -e 64K -i 64 --budget none --launches 1 --timeout 4 "
    "-o s.samples.jsonl -v"
).split()


def wait_for_cells(process: subprocess.Popen[str], count: int) -> None:
    """Read the table until it has ``count`` rows: the sweep is then in full swing."""
    assert process.stdout is not None
    rows = 0
    for line in process.stdout:
        rows += line.lstrip()[:1].isdigit()
        if rows >= count:
            return
    raise AssertionError(f"the command ended after {rows} rows: {process.communicate()[1]}")


def rank_pids(process: subprocess.Popen[str]) -> dict[int, int]:
    """Process id of each rank that the command has started: a rank is a process that writes to a rank's log."""
    found = {}
    for pid in processes_with("INFEROMETER_PARENT", str(process.pid)):
        log = re.search(r"/rank-(\d+)\.log$", str(Path(f"/proc/{pid}/fd/1").readlink()))
        if log:
            found[int(log[1])] = pid
    return found


def cells_in(path: Path) -> list[str]:
    return [record["cell"] for record in read_records(path, allow_cut=True) if record["record"] == "cell"]


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "rank 2 died"), (signal.SIGSTOP, "rank 2 is stopped")])
def test_a_lost_rank_is_named_with_collective_and_log_and_nothing_is_lost(command, tmp_path, number, words):
    process = command(*SWEEP)
    wait_for_cells(process, 3)
    pids = rank_pids(process)
    assert sorted(pids) == [0, 1, 2]
    os.kill(pids[2], number)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 30  # the limit is 4 s; starting and clearing up are not its business
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert words in last
    assert re.search(r"all_reduce of \d+ bytes \(float32, [23] ranks", last)
    log = re.search(r"its log: (\S+rank-2\.log)", last)
    assert log and Path(log[1]).exists()
    kept = cells_in(tmp_path / "s.samples.jsonl")
    assert len(kept) >= 3 and f"{len(kept)} cells kept in s.samples.jsonl" in last
    assert list(processes_with("INFEROMETER_PARENT", str(process.pid))) == []


def test_ctrl_c_keeps_the_cells_and_resume_completes_them(command, tmp_path):
    sweep = [*SWEEP[: SWEEP.index("-e")], "-e", "2K", *SWEEP[SWEEP.index("-i") :]]
    process = command(*sweep)
    wait_for_cells(process, 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err and "--resume" in err and "Traceback" not in err
    assert list(processes_with("INFEROMETER_PARENT", str(process.pid))) == []
    path = tmp_path / "s.samples.jsonl"
    first = cells_in(path)
    assert len(first) >= 3

    with path.open("a") as file:  # as if the machine had gone down in the middle of a line
        file.write('{"record":"cell","launch":0,"ce')
    other = subprocess.run(
        [sys.executable, "-m", "inferometer.launch", *sweep, "--resume", "-w", "7"],
        cwd=tmp_path,
        text=True,
        capture_output=True,
    )
    assert other.returncode == 2 and "method.warmup is 3 in the file and 7 here" in other.stderr

    advice = re.search(r"`inferometer (.*)` goes on", err)[1].split()
    assert advice == ["measure", "--resume", "-o", "s.samples.jsonl"]
    resumed = command(*advice, "--json", "summary.json")
    out, err = resumed.communicate(timeout=100)
    assert resumed.returncode == 0, err
    cells = cells_in(path)
    assert cells[: len(first)] == first
    assert len(cells) == len(set(cells)) == 2 * 32  # 2 and 3 ranks × the sizes 64, 128 … 2048
    records = list(read_records(path))  # the line that was cut off is gone
    assert [r["reason"] for r in records if r["record"] == "launch_end"] == ["interrupted", "complete"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert len(summary["cells"]) == 64
    jsonschema.validate(summary, schema("measurement-summary"))


PLANTED = """
import os
if "INFEROMETER_EVENTS" in os.environ:
    from inferometer.emulator.measure.work import Work
    calls, plain = [], Work.check_again
    def planted(work, *launched):
        calls.append(work)
        if len(calls) == 12 and os.environ["RANK"] == "1":
            raise ValueError("planted in rank 1")
        return plain(work, *launched)
    Work.check_again = planted
"""


def test_a_rank_that_raises_is_named_with_its_error(command, tmp_path):
    process = command(*SWEEP, planted=PLANTED)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    last = err.strip().splitlines()[-1]
    assert re.search(r"rank 1 failed in all_reduce of \d+ bytes \(float32.*ValueError: planted in rank 1", last)
    log = re.search(r"its log: (\S+rank-1\.log)", last)
    assert log and "ValueError: planted in rank 1" in Path(log[1]).read_text()
    assert 1 <= len(cells_in(tmp_path / "s.samples.jsonl")) <= 8
    assert list(processes_with("INFEROMETER_PARENT", str(process.pid))) == []


@pytest.mark.verify
def test_a_rank_that_is_terminated_from_outside_is_named(command, tmp_path):
    """What a batch system or an out-of-memory daemon does: SIGTERM to one rank. Its peers are not to blame."""
    process = command(*SWEEP)
    wait_for_cells(process, 2)
    os.kill(rank_pids(process)[1], signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "rank 1 was terminated from outside" in err.strip().splitlines()[-1]
    assert list(processes_with("INFEROMETER_PARENT", str(process.pid))) == []
