"""What `frontier` and `paper frontier` share: one curve for each combination of lists, shown as text, JSON, CSV, a figure."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from inferometer.emulator.economics.serving.candidates import Row
from inferometer.emulator.economics.serving.curves import Curve, curves
from inferometer.emulator.report.frontier import draw_frontiers
from inferometer.launch.commands.flags.numbers import number, positive
from inferometer.launch.runs.outputs import figure_path, replaced_path, show, writing
from inferometer.launch.runs.schemas import stamped


def add_curve_flags(parser: argparse.ArgumentParser, context: str, *, measured: bool = False) -> None:
    """What the curves are about, and where they go. context: the default number of tokens, in words. measured: without an
    accelerator they are about the machine that a calibration has measured."""
    without = "; without, the machine that --calibration has measured" if measured else ""
    parser.add_argument("model", nargs="+", metavar="MODEL[:BITS]", help="models; :BITS sets the bits of their weights")
    parser.add_argument(
        "--accelerator",
        nargs="+",
        required=not measured,
        metavar="NAME|FILE",
        help=f"built-in accelerators or TOML files{without}",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        nargs="+",
        metavar="BITS",
        help="bits of every weight (default: as the checkpoint has them, else 16)",
    )
    parser.add_argument(
        "--context", type=number, nargs="+", metavar="TOKENS", help=f"tokens in the cache while decoding (default {context})"
    )
    parser.add_argument("--alpha", type=positive, help="the preferred point has the greatest speed^alpha / cost (default 3)")
    parser.add_argument(
        "--demand-cap", type=positive, nargs="+", metavar="TOK/S", help="tokens per second that all users together ask for"
    )
    parser.add_argument("--figure", type=figure_path, metavar="FILE", help="draw cost over speed into this file")
    parser.add_argument("--csv", type=replaced_path, metavar="FILE", help="write every point as CSV")


def asked_curves(args: argparse.Namespace, bits: int | None = 16) -> list[Curve]:
    """One curve for each combination of the flags that may be several. bits: of a weight, where no flag says so."""
    speculators = [None if name == "none" else name for name in args.speculator or ["none"]]
    contexts, caps = args.context or [None], args.demand_cap or [None]
    return curves(args.model, args.accelerator or [None], args.weight_bits or [bits], contexts, speculators, caps)


def show_frontier(args: argparse.Namespace, rows: Sequence[Row], lines: Sequence[str]) -> None:
    """The lines or the JSON on stdout, the rows as CSV and as a figure where the flags say."""
    out = sys.stderr if args.json == "-" else sys.stdout
    if args.csv:
        with writing(args.csv), Path(args.csv).open("w", encoding="utf-8", newline="") as stream:
            write_csv(rows, stream)
    show(args.json, stamped("frontier", {"rows": rows}), lines)
    if args.csv:
        print(f"table: {args.csv}", file=out)
    if args.figure:
        with writing(args.figure):
            draw_frontiers(rows, args.figure)
        print(f"figure: {args.figure}", file=out)


def write_csv(rows: Sequence[Row], stream: TextIO) -> None:
    """The rows below a line of their names; what is not known, None or NaN, is empty."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = (row.get(name) for name in names)
        writer.writerow(["" if value is None or value != value else value for value in values])
