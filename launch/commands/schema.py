"""The JSON Schema of what a command writes with --json; without a NAME the ids of all.

  inferometer schema
  inferometer schema prediction > prediction.schema.json
  inferometer schema inferometer/calibration/2

Each document names its schema in the key `schema`. Another version of it has another number.
"""

from __future__ import annotations

import argparse
import json

from inferometer.launch.runs.outputs import json_target, write_text
from inferometer.launch.runs.schemas import schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a document by its kind or its id, such as prediction")
    parser.add_argument("-o", "--output", type=json_target, metavar="FILE", help="write it there instead of to stdout")


def run(args: argparse.Namespace) -> int:
    found = schema(args.name)
    text = "\n".join(found) if args.name is None else json.dumps(found, indent=2)
    write_text(args.output or "-", text + "\n")
    return 0
