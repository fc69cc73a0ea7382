"""Every number the sources print beside ours, with the settings and, where a source is wrong or stale, the reason.

  inferometer reproduce
  inferometer reproduce --only baseten epoch
  inferometer reproduce --json -

Exit status 1 if a number differs that should not; numbers in which the source itself is wrong or stale do not count.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.paper.published.books import SOURCES
from inferometer.emulator.economics.paper.published.reproduce import compare_sources, summary
from inferometer.emulator.report.published import published_lines
from inferometer.launch.runs.outputs import json_target, write_json
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="SOURCE",
        help=f"only these sources, of {', '.join(SOURCES)} (default all)",
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="also write the rows as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    comparisons = compare_sources(args.only or SOURCES)
    if args.json != "-":
        for line in published_lines(comparisons):
            print(line)
    if args.json:
        rows = [row.as_dict() for row in comparisons]
        write_json(args.json, stamped("reproduction", {"rows": rows, "summary": summary(comparisons)}))
    return 1 if summary(comparisons)["failed"] else 0
