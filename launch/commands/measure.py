"""Time collectives on real ranks and write raw samples.

  inferometer measure                                      ranks, sizes and launches chosen for this machine
  inferometer measure -n 8 -b 8 -e 128M -f 2 --collectives all_reduce,all_to_all -o node.samples.jsonl
  torchrun --standalone --nproc-per-node 8 -m inferometer.launch measure -o node.samples.jsonl
  mpiexec -n 4 python -m inferometer.launch measure --backend mpi -o mpi.samples.jsonl

Without a launcher the command starts its ranks itself, several times over: the launch is the experimental unit. Under
torchrun or mpiexec one run is one launch, and `measure --append` adds another to the same file.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from inferometer.launch.commands.outputs import json_target, keep_apart, output_path, write_json
from inferometer.launch.commands.sweep_flags import add_sweep_flags, method_from
from inferometer.launch.ranks.identity import identity_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        default="measurement.samples.jsonl",
        metavar="FILE",
        help="samples file (default measurement.samples.jsonl); an existing one is kept under another name",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--append", action="store_true", help="add launches to the file, made on the same machine by the same method"
    )
    what.add_argument("--resume", action="store_true", help="complete an interrupted file")
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="also write a summary as one JSON document")
    add_sweep_flags(parser)


def run(args: argparse.Namespace) -> int:
    from inferometer.launch.runs.sampling import sample

    identity = identity_from(os.environ)
    path = output_path(args.output)
    keep_apart([args.sweep], [path, args.json])
    method, words = method_from(args, identity)
    mode = "append" if args.append else "resume" if args.resume else "new"
    out = sys.stderr if args.json == "-" else sys.stdout
    right = sample(method, path, mode, identity, out, words)
    if right is None:
        return 0
    print(f"samples: {path}", file=sys.stderr)
    if args.json:
        write_json(args.json, summary(path))
    return 0 if right else 1


def summary(path: Path) -> dict[str, Any]:
    """The cells of a samples file with their statistics, as one JSON-able document in nccl-tests' words."""
    from inferometer.emulator.measure.collectives import collectives
    from inferometer.emulator.report.table import bandwidths
    from inferometer.emulator.samples.samples import cell_table, read_header

    records = collectives()
    cells = []
    for row in cell_table(path).drop(columns="iterations_us").to_dict("records"):
        algbw, busbw = bandwidths(row["bytes"], row["us"], records[row["collective"]].bus_factor(row["ranks"]))
        cells.append({**row, "alg_bw": algbw, "bus_bw": busbw})
    with_data = [cell["bus_bw"] for cell in cells if cell["bytes"]]
    return {
        "schema": "inferometer/measurement-summary/1",
        "samples": str(path),
        "method": read_header(path)["method"],
        "out_of_bounds": sum(cell["wrong"] or 0 for cell in cells),
        "average_bus_bandwidth": sum(with_data) / len(with_data) if with_data else None,
        "cells": cells,
    }
