"""What `frontier` and `paper frontier` share: one curve for each combination of lists, shown as text, JSON, CSV, a figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inferometer.emulator.report.frontier import draw_frontiers
from inferometer.launch.commands.economics_flags import number, positive
from inferometer.launch.commands.outputs import figure_path, show
from inferometer.launch.runs.outputs import replaced_path, writing

if TYPE_CHECKING:
    import pandas as pd


def add_curve_flags(parser: argparse.ArgumentParser, context: str) -> None:
    """What the curves are about, and where they go. context: the default number of tokens, in words."""
    parser.add_argument("model", nargs="+", metavar="MODEL[:BITS]", help="models; :BITS sets the bits of their weights")
    parser.add_argument(
        "--accelerator", nargs="+", required=True, metavar="NAME|FILE", help="built-in accelerators or TOML files"
    )
    parser.add_argument(
        "--weight-bits", type=int, nargs="+", default=[16], metavar="BITS", help="bits of a weight (default 16)"
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


def curve_lists(args: argparse.Namespace) -> dict[str, list[Any]]:
    """Every flag that may be several, as `frontier` names them."""
    return {
        "models": args.model,
        "accelerators": args.accelerator,
        "weight_bits": args.weight_bits,
        "contexts": args.context or [None],
        "speculators": [None if name == "none" else name for name in args.speculator or ["none"]],
        "demand_caps": args.demand_cap or [None],
    }


def show_frontier(args: argparse.Namespace, table: pd.DataFrame, lines: Sequence[str]) -> None:
    """The lines or the JSON on stdout, the table as CSV and as a figure where the flags say."""
    out = sys.stderr if args.json == "-" else sys.stdout
    if args.csv:
        with writing(args.csv):
            table.to_csv(args.csv, index=False)
    show(args.json, table.to_dict(orient="records"), lines)
    if args.csv:
        print(f"table: {args.csv}", file=out)
    if args.figure:
        with writing(args.figure):
            draw_frontiers(table, args.figure)
        print(f"figure: {args.figure}", file=out)
