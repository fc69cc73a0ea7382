"""Measure, fit and summarise: what the collectives of this machine cost.

  inferometer calibrate
  inferometer calibrate -n 8 --budget 600 -o node.json
  torchrun --standalone --nproc-per-node 8 -m inferometer.launch calibrate -o node.json

Writes FILE.json (the calibration), FILE.samples.jsonl (every raw reading) and FILE.png. Under torchrun or mpiexec one run
is one launch, from which no interval follows: take several with `measure --append`, then `fit`.
"""

from __future__ import annotations

import argparse
import os
import sys

from inferometer.launch.commands.fit import fit_and_show
from inferometer.launch.commands.sweep_flags import add_sweep_flags, method_from, output_path
from inferometer.launch.identity import identity_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", default="calibration.json", metavar="FILE", help="calibration file (default calibration.json)"
    )
    parser.add_argument("--resume", action="store_true", help="complete an interrupted FILE.samples.jsonl, then fit")
    parser.add_argument("-J", "--json", metavar="FILE|-", help="also write the calibration there; - for stdout")
    add_sweep_flags(parser)


def run(args: argparse.Namespace) -> int:
    from inferometer.launch.sampling import sample

    identity = identity_from(os.environ)
    method, words = method_from(args, identity)
    path = output_path(args.output)
    samples = output_path(str(path.with_suffix(".samples.jsonl")))
    mode = "resume" if args.resume else "new"
    out = sys.stderr if args.json == "-" else sys.stdout
    right = sample(method, samples, mode, identity, out, words)
    if right is None:
        return 0
    fit_and_show([samples], path, path.with_suffix(".png"), args.seed, args.json)
    return 0 if right else 1
