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
import sys

from inferometer.launch.commands.flags.sweep import add_sweep_flags, given_settings, settings_from, shown_by
from inferometer.launch.runs.measure import measure
from inferometer.launch.runs.outputs import json_target, keep_apart, output_path, write_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        default="measurement.samples.jsonl",
        metavar="FILE",
        help="samples file to write (default measurement.samples.jsonl); an existing one is kept under another name",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--append",
        action="store_true",
        help="add launches to the file, on the same machine, with the settings it was begun with",
    )
    what.add_argument(
        "--resume", action="store_true", help="complete an interrupted file, with the settings it was begun with"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="also write a summary as one JSON document")
    add_sweep_flags(parser)


def run(args: argparse.Namespace) -> int:
    settings, path = settings_from(args), output_path(args.output)
    keep_apart([args.sweep], [path, args.json])
    out = sys.stderr if args.json == "-" else sys.stdout
    done = measure(
        settings,
        path,
        mode="append" if args.append else "resume" if args.resume else "new",
        given=given_settings(args),
        out=out,
        shown=shown_by(args, "table"),
    )
    if done is None:
        return 0
    print(f"samples: {path}", file=sys.stderr)
    if args.json:
        write_json(args.json, done.summary())
    return 0 if done.right else 1
