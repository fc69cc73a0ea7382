"""Compare predictions with runs that the fit never saw: a matrix of layouts, batches, contexts.

  inferometer validate                                     calibrates as well, at most 10 minutes in all on 2 cores
  inferometer validate --calibration calibration.json      what `calibrate` wrote, with the same scheduler and backend
  inferometer validate --calibration calibration.json --matrix mine.toml --launches 5 -o mine.json

Every cell of the matrix is emulated, prefill and decode, in several launches of its ranks. Printed are predicted beside
measured in total and by term, the errors beside how far one launch lies from the others, and what the prediction would be
without its parts. The exit status is 1 where a bound is missed or not known. Every clock reading goes to FILE.ranks-N.emulation.jsonl.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.report.validation import validation_lines
from inferometer.launch.commands.outputs import json_target, show
from inferometer.launch.commands.rank_flags import add_rank_flags, rank_settings
from inferometer.launch.runs.validate import LAUNCHES, ValidateSettings, validate


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--calibration",
        metavar="FILE|NAME",
        help="predict from there (default: calibrate between the launches, into FILE.calibration.json)",
    )
    parser.add_argument(
        "--matrix", default="default", metavar="NAME|FILE.toml", help="what to emulate (default: default, the built-in one)"
    )
    parser.add_argument(
        "-o", "--output", default="validation.json", metavar="FILE", help="the document (default validation.json)"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="also write it there; - for stdout")
    ranks = add_rank_flags(parser, None, LAUNCHES)
    ranks.add_argument("--backend", choices=["gloo", "mpi"], default="gloo", help="default gloo")


def run(args: argparse.Namespace) -> int:
    settings = ValidateSettings(**rank_settings(args), matrix=args.matrix)
    done = validate(settings, args.output, calibration=args.calibration, also_written=args.json)
    show(args.json, done.document, validation_lines(done.document))
    for path in (done.output, *done.samples):
        print(f"written: {path}", file=sys.stderr)
    return 0 if done.held else 1
