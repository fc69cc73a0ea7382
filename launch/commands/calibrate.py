"""Measure, fit and summarise: what the collectives of this machine cost.

  inferometer calibrate
  inferometer calibrate --plan                             what it would determine, and how long it would take
  inferometer calibrate -n 8 --budget 600 -o node.json
  torchrun --standalone --nproc-per-node 8 -m inferometer.launch calibrate -o node.json

Writes FILE.json (the calibration), FILE.samples.jsonl (every raw reading) and FILE.png. Under torchrun or mpiexec one run
is one launch, from which no interval follows: take several with `measure --append`, then `fit`.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.report.plan import plan_lines
from inferometer.launch.commands.fit import add_fit_flags, show_calibration
from inferometer.launch.commands.flags.sweep import add_sweep_flags, given_settings, settings_from, shown_by
from inferometer.launch.runs.calibrate import calibrate
from inferometer.launch.runs.fit import CalibrationFiles
from inferometer.launch.runs.outputs import json_target, keep_apart, show
from inferometer.launch.runs.plan import plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        default="calibration.json",
        metavar="FILE",
        help="calibration file to write (default calibration.json)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="complete an interrupted FILE.samples.jsonl with the settings it was begun with, then fit it",
    )
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the calibration there; - for stdout"
    )
    parser.add_argument(
        "--plan",
        action="store_true",
        help="measure nothing: say what this would determine, what it would not, how long it takes",
    )
    add_fit_flags(parser)
    add_sweep_flags(parser)


def run(args: argparse.Namespace) -> int:
    if args.plan:
        found = plan(settings_from(args))
        show(args.json, found.as_dict(), plan_lines(found))
        return 0
    settings, files = settings_from(args), CalibrationFiles.beside(args.output)
    keep_apart([args.sweep], [files.calibration, files.samples, files.figure, args.json])
    out = sys.stderr if args.json == "-" else sys.stdout
    done = calibrate(
        settings,
        files.calibration,
        law=args.law or AUTO,
        resume=args.resume,
        given=given_settings(args),
        out=out,
        shown=shown_by(args, "progress"),
    )
    if done is None:
        return 0
    show_calibration(done.calibration, files.calibration, files.figure, [files.samples], args.json, args.verbose)
    return 0 if done.right else 1
