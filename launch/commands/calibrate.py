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

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.fit import add_law_flag, fit_and_show
from inferometer.launch.commands.outputs import json_target, keep_apart, output_path, replaced_path
from inferometer.launch.commands.sweep_flags import add_sweep_flags, method_from
from inferometer.launch.ranks.identity import identity_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", default="calibration.json", metavar="FILE", help="calibration file (default calibration.json)"
    )
    parser.add_argument("--resume", action="store_true", help="complete an interrupted FILE.samples.jsonl, then fit")
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the calibration there; - for stdout"
    )
    add_law_flag(parser)
    add_sweep_flags(parser)


def run(args: argparse.Namespace) -> int:
    from inferometer.launch.runs.sampling import sample

    identity = identity_from(os.environ)
    path = replaced_path(args.output)
    samples, figure = output_path(str(path.with_suffix(".samples.jsonl"))), replaced_path(str(path.with_suffix(".png")))
    if figure == path:
        raise InputError(f"-o {path}: the figure goes there; name the calibration FILE.json")
    keep_apart([args.sweep], [path, samples, figure, args.json])
    method, words = method_from(args, identity)
    mode = "resume" if args.resume else "new"
    out = sys.stderr if args.json == "-" else sys.stdout
    right = sample(method, samples, mode, identity, out, words)
    if right is None:
        return 0
    fit_and_show([samples], path, figure, args.seed, args.json, args.law)
    return 0 if right else 1
