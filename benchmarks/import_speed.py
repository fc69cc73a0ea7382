"""How fast logs are imported: one long debug log, and many small logs, here and in another checkout.

    python benchmarks/import_speed.py [--megabytes 1000] [--logs 10000] [--against CHECKOUT]

Writes the logs to a temporary folder, imports them in a process of its own, and prints wall-clock time, processor time
(with that of starting up) and the most memory. CHECKOUT has an environment of its own in .venv, or is run by this one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
RANKS = 16
JOB = """
import glob, resource, sys, time
from inferometer.emulator.importers.imports import import_files
files = sorted(glob.glob(sys.argv[1]))
wall, processor = time.perf_counter(), time.process_time()
found = import_files("nccl-tests", files)
wall = time.perf_counter() - wall
own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
used = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
print(len(found.files), len(found.cells), wall, used, own.ru_maxrss / 1024)
"""


def head(node: int) -> list[str]:
    lines = [
        "# nccl-tests version 2.17.6 nccl-headers=22807 nccl-library=22807",
        "# Collective test starting: all_reduce_perf",
        "# nThread 1 nGpus 1 minBytes 8 maxBytes 134217728 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 "
        "validation: 1 graph: 0",
        "#",
        "# Using devices",
    ]
    for rank in range(RANKS):
        host = f"node{node + rank // 8}"
        lines.append(
            f"#  Rank {rank:2d} Group  0 Pid {900 + rank} on {host} device {rank % 8:2d} [0x07] NVIDIA H100 80GB HBM3"
        )
    return lines


def table() -> list[str]:
    group = "    time   algbw   busbw #wrong"
    lines = [
        f"#       size         count      type   redop    root {group} {group}",
        "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)",
    ]
    for exponent in range(3, 28):
        size = 2**exponent
        time = 20 + size / 150e3
        algbw = size / time / 1e3
        cell = f"{time:8.2f} {algbw:7.2f} {algbw * 2 * (RANKS - 1) / RANKS:7.2f}      0"
        lines.append(f"{size:12d} {size // 4:12d}     float     sum      -1 {cell} {cell}")
    return [*lines, "# Out of bounds values : 0 OK", "# Avg bus bandwidth    : 51.1", "#"]


def messages(node: int) -> list[str]:
    """What NCCL_DEBUG=INFO writes between the lines of a run."""
    found = []
    for at in range(5000):
        rank = at % RANKS
        who = f"node{node + rank // 8}:{4000 + rank}:{5000 + rank} [{rank % 8}] NCCL INFO"
        found += [
            f"{who} Channel {at % 16:02d}/0 : {rank}[{rank % 8}] -> {(rank + 1) % RANKS}[{(rank + 1) % 8}] via P2P/CUMEM",
            f"{who} NET/IB : Using [0]mlx5_0:1/IB [1]mlx5_1:1/IB [RO]; OOB eth0:10.0.0.{rank}<0>",
            f"{who} AllReduce: opCount {at:x} sendbuff 0x7f{at:08x} count {at * 17} datatype 7 op 0 root 0 [nranks=16]",
        ]
    return found


def write(folder: Path, megabytes: int, logs: int) -> None:
    long = folder / "long" / "debug.log"
    long.parent.mkdir()
    debug = "\n".join(messages(0)) + "\n"
    with long.open("w") as file:
        file.write("\n".join(head(0)) + "\n")
        for _ in range(max(1, megabytes * 1_000_000 // len(debug))):
            file.write(debug)
        file.write("\n".join(table()) + "\n")
    small = folder / "small"
    small.mkdir()
    for at in range(logs):
        (small / f"{at:06d}.log").write_text("\n".join(head(at) + table()) + "\n")


def measured(checkout: Path, pattern: str) -> list[float]:
    own = checkout / ".venv" / "bin" / "python"
    python = str(own) if own.exists() and checkout != HERE else sys.executable
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(
        [python, "-c", JOB, pattern], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    return [float(word) for word in done.stdout.split()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--logs", type=int, default=1000)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    checkouts = [HERE, *([args.against.resolve()] if args.against else [])]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, args.megabytes, args.logs)
        print(f"{'':34}{'runs':>8}{'cells':>9}{'wall s':>9}{'CPU s':>9}{'MB':>8}")
        for what, pattern in (
            (f"{args.megabytes} MB of debug log", "long/*.log"),
            (f"{args.logs} small logs", "small/*.log"),
        ):
            results = [measured(checkout, str(folder / pattern)) for checkout in checkouts]
            for checkout, (runs, cells, wall, used, memory) in zip(checkouts, results):
                label = f"{what}, {'here' if checkout == HERE else 'against'}"
                print(f"{label:34}{runs:8.0f}{cells:9.0f}{wall:9.2f}{used:9.2f}{memory:8.0f}")
            if len(results) == 2:
                print(
                    f"{'  here / against':34}{'':17}{results[0][2] / results[1][2]:9.2f}{results[0][3] / results[1][3]:9.2f}"
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
