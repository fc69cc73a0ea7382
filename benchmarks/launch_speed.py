"""What it costs to start and end the ranks of one launch: time, processor time, memory; this checkout against another.

    python benchmarks/launch_speed.py [--ranks 16] [--rounds 3] [--against CHECKOUT] [--sweep]

Each round runs, in every checkout in turn, `inferometer measure` of one empty operation: nearly all of its time goes into
starting Python, torch and the ranks, and into ending them; with --sweep it is a small sweep instead (all_reduce and
all_to_all, 64 bytes to 64 KiB). Processor time is that of all processes, the ranks' included. Memory is the largest sum of
proportional set sizes (Pss) of all processes of the launch: shared pages count once. A checkout runs under the Python of its
own .venv where it has one, else under this Python.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parents[1]
PR_SET_CHILD_SUBREAPER = 36
COMMAND = (
    "-m inferometer.launch measure --collectives null -b 64 -e 64 --iters 8 --launches 1 --budget none -o x.samples.jsonl"
)


SWEEP = (
    "-m inferometer.launch measure --collectives all_reduce,all_to_all --timings isolated -b 64 -e 64K -f 32 --iters 6 "
    "--launches 1 --budget none -o x.samples.jsonl"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    parser.add_argument("--sweep", action="store_true")
    args = parser.parse_args()
    # Ranks whose parent has gone become children of this process: their processor time is then not lost.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    checkouts = {"this checkout": HERE} | ({"the other": args.against.resolve()} if args.against else {})
    rounds = {name: [] for name in checkouts}
    for _ in range(args.rounds):
        for name, checkout in checkouts.items():
            rounds[name].append(one_launch(checkout, args.ranks, SWEEP if args.sweep else COMMAND))
    print(f"{args.ranks} ranks, median of {args.rounds} launches   time      processor time   memory, all processes")
    middle = {name: [median(column) for column in zip(*runs)] for name, runs in rounds.items()}
    for name, (wall_s, cpu_s, bytes) in middle.items():
        print(f"{name:40s} {wall_s:7.1f} s {cpu_s:14.1f} s {bytes / 2**20:15.0f} MiB")
    if args.against:
        ratios = [this / other for this, other in zip(*middle.values())]
        print(f"{'ratio':40s} {ratios[0]:9.2f} {ratios[1]:16.2f} {ratios[2]:16.2f}")
    return 0


def one_launch(checkout: Path, ranks: int, command: str = COMMAND) -> tuple[float, float, float]:
    """Wall time and processor time in seconds, largest memory in bytes."""
    own = checkout / ".venv" / "bin" / "python"
    python = str(own) if own.exists() else sys.executable
    before, began = cpu_s(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [python, *command.split(), "-n", str(ranks)], cwd=folder, env=os.environ | {"PYTHONPATH": str(checkout)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        largest = 0
        while True:
            largest = max(largest, sum(proportional_bytes(pid) for pid in descendants(process.pid)))
            try:
                _, said = process.communicate(timeout=0.5)
                break
            except subprocess.TimeoutExpired:
                continue
    if process.returncode:
        sys.exit(f"{checkout}: status {process.returncode}: {said}")
    wall_s = time.monotonic() - began
    while descendants(os.getpid()):  # orphans that are about to end
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    return wall_s, cpu_s() - before, float(largest)


def cpu_s() -> float:
    """Processor time of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def descendants(root: int) -> list[int]:
    """All processes below ``root`` whose parents are still there."""
    children: dict[int, list[int]] = {}
    for pid, parent in processes():
        children.setdefault(parent, []).append(pid)
    found = [root] if root != os.getpid() else []
    queue = [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def processes() -> Iterator[tuple[int, int]]:
    """(process id, its parent's) of every process."""
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            yield int(directory.name), int((directory / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue


def proportional_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)


if __name__ == "__main__":
    sys.exit(main())
