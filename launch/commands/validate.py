"""Compare predictions with runs that the fit never saw: a matrix of layouts, batches, contexts.

  inferometer validate                                     calibrates as well, at most 10 minutes in all on 2 cores
  inferometer validate --calibration calibration.json      what `calibrate` wrote, with the same scheduler and backend
  inferometer validate --calibration calibration.json --matrix mine.toml --launches 5 -o mine.json

The command emulates every cell of the matrix, prefill and decode, in several launches of its ranks. It prints predicted beside
measured times, in total and by term; the errors beside the run-to-run difference of launches; and what the prediction would be
without each of its parts. The exit status is 1 where a bound is missed or not known. Every clock reading goes to
FILE.ranks-N.emulation.jsonl.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.report.validation import validation_lines
from inferometer.launch.commands.flags.rank import add_device_flags, add_rank_flags, rank_settings
from inferometer.launch.runs.outputs import json_target, show
from inferometer.launch.runs.validate import LAUNCHES, ValidateSettings, validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        metavar="FILE|NAME",
        help="predict from this calibration (default: calibrate between the launches, into FILE.calibration.json)",
    )
    parser.add_argument(
        "--matrix",
        default="default",
        metavar="NAME|FILE.toml",
        help="cells to emulate (default: the built-in matrix 'default')",
    )
    parser.add_argument(
        "-o",
        "--output",
        default="validation.json",
        metavar="FILE",
        help="validation file to write (default validation.json)",
    )
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the validation as JSON there; - for stdout"
    )
    ranks = add_rank_flags(parser, None, LAUNCHES)
    ranks.add_argument(
        "--backend", choices=["gloo", "nccl", "mpi"], default="gloo", help="who carries the collectives (default gloo)"
    )
    add_device_flags(ranks)


def run(args: argparse.Namespace) -> int:
    settings = ValidateSettings(**rank_settings(args), matrix=args.matrix, device=args.device, launch_mode=args.launch_mode)
    done = validate(settings, args.output, calibration=args.calibration, also_written=args.json)
    show(args.json, done.document, validation_lines(done.document))
    for path in (done.output, *done.samples):
        print(f"written: {path}", file=sys.stderr)
    return 0 if done.held else 1
