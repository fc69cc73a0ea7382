"""Turn samples into a calibration file.

  inferometer fit calibration.samples.jsonl -o calibration.json
  inferometer fit gloo.samples.jsonl mpi.samples.jsonl -o both.json --figure both.png
  inferometer fit --serving points.csv --engine vllm -o mine.toml

Several files must come from one machine. The same samples and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.emulator.errors import InputError
from inferometer.emulator.regular import check_regular
from inferometer.launch.commands.flags.seed import seed
from inferometer.launch.runs.outputs import (
    calibration_path,
    figure_path,
    json_target,
    keep_apart,
    replaced_path,
    show,
    write_text,
    writing,
)

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("samples", nargs="*", metavar="SAMPLES", help="samples files, all of one machine")
    parser.add_argument("--serving", metavar="POINTS.csv", help="fit an engine's profile to these served points instead")
    parser.add_argument("--engine", metavar="NAME", help="with --serving: of which engine, where the points are of several")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="file to write (default calibration.json; with --serving profile.toml)",
    )
    parser.add_argument("--figure", metavar="FILE.png", help="also draw the points and the fitted lines into this file")
    parser.add_argument("--seed", type=seed, default=0, help="random seed of the resampling (default 0)")
    add_fit_flags(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every law with its intervals, not one screen")
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the calibration there; - for stdout"
    )


def run(args: argparse.Namespace) -> int:
    if args.serving is not None:
        return _serving(args)
    if not args.samples:
        raise InputError("fit needs SAMPLES files, or --serving with a file of served points")
    if args.engine is not None:
        raise InputError("--engine needs --serving: samples are of a machine, not of an engine")
    args.output = args.output or "calibration.json"
    path = calibration_path(args.output)
    figure = figure_path(args.figure) if args.figure else None
    keep_apart(args.samples, [path, figure, args.json])
    for name in args.samples:
        if name != "-":
            check_regular(Path(name))  # before all that fits is imported
    from inferometer.emulator.calibrate.fit.choose import AUTO
    from inferometer.launch.runs.fit import draw_into, fit_files

    calibration = fit_files(args.samples, path, args.seed, args.law or AUTO)
    if figure:
        draw_into(figure, calibration)
    show_calibration(calibration, path, figure, args.samples, args.json, args.verbose)
    return 0


def _serving(args: argparse.Namespace) -> int:
    if args.samples:
        raise InputError(f"--serving fits {args.serving} alone, {args.samples[0]} given too")
    from inferometer.emulator.report.serving.fits import fit_lines, fit_record
    from inferometer.launch.runs.fit_serving import fit_serving
    from inferometer.launch.runs.schemas import stamped

    path = replaced_path(args.output or "profile.toml")
    keep_apart([args.serving], [path, args.json])
    with writing(path):
        fitted = fit_serving(args.serving, path, args.engine)
    lines = [*fit_lines(fitted), "", f"profile: {path}"]
    show(args.json, stamped("serving-fit", fit_record(fitted)), lines)
    return 0


def add_fit_flags(parser: argparse.ArgumentParser) -> None:
    """Which law is fitted."""
    text = "cost law of every collective: auto, or one of docs/fitting.md by name (default auto)"
    parser.add_argument("--law", type=law_name, metavar="NAME", help=text)


def law_name(text: str) -> str:
    """A --law that exists, refused before anything is measured."""
    from inferometer.emulator.calibrate.fit.choose import AUTO
    from inferometer.emulator.calibrate.laws.forms import formula_named

    try:
        if text != AUTO:
            formula_named(text)
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def show_calibration(
    calibration: Calibration,
    path: Path,
    figure: Path | None,
    samples: Sequence[str | Path],
    target: str | None,
    verbose: bool,
) -> None:
    """The summary and the files' names on stdout (stderr where that is for JSON), the calibration where --json says."""
    from inferometer.emulator.calibrate.evaluate.file import to_json
    from inferometer.emulator.report.summary import summary_lines

    out = sys.stderr if target == "-" else sys.stdout
    print("\n".join(["", *summary_lines(calibration, verbose), ""]), file=out)
    print(f"calibration: {path}", file=out)
    if figure:
        print(f"figure: {figure}", file=out)
    print(f"samples: {', '.join(map(str, samples))}", file=out)
    if target:
        write_text(target, to_json(calibration))
