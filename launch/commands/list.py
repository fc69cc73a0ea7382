"""What is built in, by the names that the other commands take.

  inferometer list models
  inferometer list accelerators --json -

Names may be typed in any case and with any separators; of models the Hugging Face Hub's names do as well. `inferometer models
show NAME` tells more of one.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.report.catalogues import CATALOGUES, rows_of, table_of
from inferometer.launch.runs.outputs import json_target, show
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=list(CATALOGUES), help="what to list")
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the rows as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    rows = rows_of(args.what)
    show(args.json, stamped("list", {"what": args.what, "rows": rows}), table_of(rows))
    return 0
