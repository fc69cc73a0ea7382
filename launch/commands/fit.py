"""Turn samples into a calibration file.

  inferometer fit calibration.samples.jsonl -o calibration.json
  inferometer fit gloo.samples.jsonl mpi.samples.jsonl -o both.json --figure both.png

Several files must come from one machine. The same samples and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inferometer.launch.commands.outputs import figure_path, json_target, keep_apart, replaced_path, write_text, writing
from inferometer.launch.commands.sweep_flags import seed

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("samples", nargs="+", metavar="SAMPLES", help="samples files of one machine")
    parser.add_argument(
        "-o", "--output", default="calibration.json", metavar="FILE", help="calibration file (default calibration.json)"
    )
    parser.add_argument("--figure", metavar="FILE.png", help="also draw the points and the fitted lines")
    parser.add_argument("--seed", type=seed, default=0, help="of the resampling (default 0)")
    add_law_flag(parser)
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the calibration there; - for stdout"
    )


def run(args: argparse.Namespace) -> int:
    path = replaced_path(args.output)
    figure = figure_path(args.figure) if args.figure else None
    keep_apart(args.samples, [path, figure, args.json])
    fit_and_show([Path(name) for name in args.samples], path, figure, args.seed, args.json, args.law)
    return 0


def add_law_flag(parser: argparse.ArgumentParser) -> None:
    text = "cost law of every collective: auto, or one of docs/fitting.md by name (default auto)"
    parser.add_argument("--law", default="auto", type=law_name, metavar="NAME", help=text)


def law_name(text: str) -> str:
    """A --law that exists, told before anything is measured."""
    from inferometer.emulator.calibrate.fit.choose import AUTO
    from inferometer.emulator.calibrate.laws.forms import law_of
    from inferometer.emulator.errors import InputError

    try:
        return text if text == AUTO else law_of(text, "all_reduce").name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def fit_and_show(
    samples: list[Path], path: Path, figure: Path | None, seed: int, json_target: str | None, law: str
) -> Calibration:
    """Fit, write the calibration and the figure, print the summary (to stderr where stdout is for JSON)."""
    from inferometer.emulator.calibrate.evaluate.file import to_json, write_calibration
    from inferometer.emulator.calibrate.fit.from_samples import calibrate_samples
    from inferometer.emulator.report.summary import summary_lines

    calibration = calibrate_samples(samples, seed=seed, law=law)
    write_calibration(calibration, path)
    out = sys.stderr if json_target == "-" else sys.stdout
    print("\n".join(["", *summary_lines(calibration), ""]), file=out)
    print(f"calibration: {path}", file=out)
    if figure:
        from inferometer.emulator.report.figure import draw

        with writing(figure):
            draw(calibration, figure)
        print(f"figure: {figure}", file=out)
    print(f"samples: {', '.join(map(str, samples))}", file=out)
    if json_target:
        write_text(json_target, to_json(calibration))
    return calibration
