"""Nodes that die, links that go down, installations that differ: each ends within its limit with one line that says which.

The lab's ranks have a time limit of 4 s.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from inferometer.emulator.samples.samples import cell_table, read_records
from inferometer.launch.runs.lab import LabSettings, missing
from tests.nodes.lab import CELLS, SWEEP, cells_in, ended, kill, on_host, processes, start, wait_for_cells

REASON = missing(LabSettings(delay_us=0.0))
pytestmark = [pytest.mark.slow, pytest.mark.skipif(REASON is not None, reason=f"lab: {REASON}")]
WHERE = r"all_reduce of \d+ bytes \(float32, [23] ranks"
LIMIT_S = 30
"""Of an end: the ranks' limit, what they wait for each other's word, what is left is killed."""


@pytest.fixture
def measuring(tmp_path):
    """A measurement on three hosts, in full swing; nothing of it is left afterwards."""
    process = start(tmp_path, "--nodes", "3", "--", "measure", *SWEEP)
    wait_for_cells(process, tmp_path / "s.samples.jsonl", 3)
    yield process
    assert processes(tmp_path) == []


def fault_line(said: str) -> str:
    """The one line that says who is to blame; a node that nobody reaches any more may have one of its own."""
    lines = [line for line in said.splitlines() if re.match("inferometer: rank .*; its log:", line)]
    lines = [line for line in lines if "where all ranks meet" not in line or "rank 2 was" not in line]
    assert len(lines) == 1 and "Traceback" not in said, said
    return lines[0]


def test_a_host_that_dies_is_named_and_resume_completes_the_file(measuring, tmp_path):
    path = tmp_path / "s.samples.jsonl"
    kill(tmp_path, 2)
    status, said = ended(measuring, LIMIT_S)
    assert status != 0
    assert re.search(rf"rank 2 \(node 2\) died; the others were .*{WHERE}", fault_line(said))
    kept = cells_in(path)
    assert 3 <= len(kept) < CELLS

    status, said = ended(start(tmp_path, "--nodes", "3", "--", "measure", *SWEEP, "--resume"), 60)
    assert status == 0, said
    cells = cells_in(path)
    assert cells[: len(kept)] == kept and len(cells) == len(set(cells)) == CELLS
    assert [r["reason"] for r in read_records(path) if r["record"] == "launch_end"] == ["complete"]


@pytest.mark.verify
def test_the_first_host_where_all_ranks_meet_may_die(measuring, tmp_path):
    kill(tmp_path, 0)
    status, said = ended(measuring, LIMIT_S)
    assert status != 0
    assert re.search(r"rank 0(, where all ranks meet,| \(node 0\)) (does not answer|died)", said), said
    assert len(cells_in(tmp_path / "s.samples.jsonl")) >= 3


@pytest.mark.verify
def test_a_link_that_goes_down_ends_the_measurement_within_its_limit(measuring, tmp_path):
    on_host(tmp_path, 2, "ip", "link", "set", "eth0", "down")
    status, said = ended(measuring, LIMIT_S)
    assert status != 0
    assert re.search(rf"rank 2 \(node 2\) .*; the others were .*{WHERE}", fault_line(said))
    assert len(cells_in(tmp_path / "s.samples.jsonl")) >= 3


NEVER_ARRIVES = """
import sys
if "inferometer.launch.ranks.hosts" in " ".join(sys.orig_argv):
    import time
    from inferometer.launch.ranks import rendezvous
    plain = rendezvous.meet
    def meet(identity, timeout_s):
        if identity.rank == 1:
            time.sleep(600)
        return plain(identity, timeout_s)
    rendezvous.meet = meet
"""


@pytest.mark.verify
def test_a_rank_that_never_arrives_is_named(tmp_path):
    status, said = ended(start(tmp_path, "--nodes", "2", "--", "measure", *SWEEP, planted=NEVER_ARRIVES), 60)
    assert status != 0
    assert re.search(r"rank 1 .*(does not answer|did not answer)", said), said
    assert processes(tmp_path) == []


OTHER_TORCH = """
import importlib.metadata, os
plain = importlib.metadata.version
importlib.metadata.version = lambda name: "1.2.3" if name == "torch" and os.environ.get("GROUP_RANK") == "1" else plain(name)
"""


def test_two_versions_of_the_software_are_refused_by_name(tmp_path):
    status, said = ended(start(tmp_path, "--nodes", "3", "--", "measure", *SWEEP, planted=OTHER_TORCH), 60)
    assert status != 0
    assert 'rank 1 disagrees about software.torch: "1.2.3" against' in said, said
    assert processes(tmp_path) == []


@pytest.mark.verify
def test_resume_on_another_allocation_is_refused_before_anything_is_measured(tmp_path):
    few = [word if word != "12K" else "512" for word in SWEEP]
    assert ended(start(tmp_path, "--nodes", "2", "--per-node", "1", "--", "measure", *few), 60)[0] == 0
    before = (tmp_path / "s.samples.jsonl").read_text()
    status, said = ended(start(tmp_path, "--nodes", "3", "--", "measure", *few, "--resume"), 60)
    assert status == 2 and "method.world_size is 2 in the file and 3 here" in said, said
    status, said = ended(start(tmp_path, "--nodes", "1", "--per-node", "2", "--", "measure", *few, "--append"), 60)
    assert status != 0 and "node of each rank is [0, 1] in s.samples.jsonl and [0, 0] here" in said, said
    assert (tmp_path / "s.samples.jsonl").read_text().startswith(before)


@pytest.mark.verify
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_a_full_disk_on_the_first_host_is_named_and_whole_records_stay(tmp_path):
    """A file system of 32 KiB, which ends with its namespace; what it held is copied out before that."""
    script = (
        "mount -t tmpfs -o size=32k tmpfs small && cd small && "
        f"{sys.executable} -m inferometer.launch lab --nodes 2 -- measure {' '.join(SWEEP)}; "
        "status=$?; cp s.samples.jsonl ../kept.samples.jsonl; exit $status"
    )
    (tmp_path / "small").mkdir()
    users = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *users, "--mount", "sh", "-c", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert re.search(r"No space left on device", done.stderr), done.stderr
    assert len(cells_in(tmp_path / "kept.samples.jsonl")) >= 1
    assert processes(tmp_path) == []


@pytest.mark.verify
def test_a_link_that_becomes_slow_is_noticed_and_what_was_measured_then_is_left_out(measuring, tmp_path):
    path = tmp_path / "s.samples.jsonl"
    on_host(tmp_path, 1, *"tc qdisc add dev eth0 root tbf rate 50mbit burst 32kb latency 1s".split())
    status, said = ended(measuring, 60)
    assert status == 0, said
    assert "cells from the last look on are left out" in said, said
    assert 3 <= len(cell_table(path)) < len(cells_in(path)) == CELLS
