"""Commands over hosts of this machine, and what tests do to such hosts from outside."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from inferometer.emulator.samples.samples import read_records
from inferometer.launch.ranks.local import processes_with
from tests.places import ROOT

MARK = "INFEROMETER_LAB_TEST"
SWEEP = (
    "--collectives all_reduce --timings isolated -b 256 -e 12K -i 256 --iters 60 --budget none --timeout 4 "
    "-o s.samples.jsonl"
).split()
CELLS = 96
"""Of that sweep on three hosts."""


def start(folder: Path, *arguments: str, planted: str = "") -> subprocess.Popen[str]:
    """A command of lab. planted: Python that every one of its processes runs as it starts."""
    path = [str(ROOT)]
    if planted:
        place = folder / "planted"
        place.mkdir()
        (place / "sitecustomize.py").write_text(planted)
        path = [str(place), *path]
    variables = os.environ | {MARK: str(folder), "PYTHONPATH": os.pathsep.join(path)}
    command = [sys.executable, "-m", "inferometer.launch", "lab", *arguments]
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str], within_s: float) -> tuple[int, str]:
    """Exit status and what it said on stderr."""
    try:
        _, said = process.communicate(timeout=within_s)
    finally:
        process.kill()
    return process.returncode, said


def processes(folder: Path) -> list[int]:
    return list(processes_with(MARK, str(folder)))


def rank_pids(folder: Path) -> dict[int, int]:
    """Process id of each rank: as ps shows it, under the name that the lab gives it."""
    found = {}
    for pid in processes(folder):
        try:
            name = re.fullmatch(r"rank (\d+) host \d+\n", Path(f"/proc/{pid}/comm").read_text())
        except OSError:
            continue
        if name:
            found[int(name[1])] = pid
    return found


def cells_in(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [record["cell"] for record in read_records(path, allow_cut=True) if record["record"] == "cell"]


def wait_for_cells(process: subprocess.Popen[str], path: Path, count: int, within_s: float = 40.0) -> None:
    deadline = time.monotonic() + within_s
    while len(cells_in(path)) < count:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline, f"{len(cells_in(path))} cells after {within_s:g} s"
        time.sleep(0.05)


def on_host(folder: Path, number: int, *command: str) -> None:
    """Run a command in the network of a host: through a rank's process, which is in the lab's namespaces."""
    assert shutil.which("nsenter"), "nsenter is part of util-linux, as unshare is"
    inside = str(rank_pids(folder)[number])
    subprocess.run(["nsenter", "-t", inside, "-n", *command], check=True)


def kill(folder: Path, number: int, how: int = signal.SIGKILL) -> None:
    os.kill(rank_pids(folder)[number], how)
