"""Write a calibration in another tool's format, with a statement of what that format loses.

  inferometer export calibration.json --to paper -o t_reduce.json
  inferometer export calibration.json --to aiconfigurator -o nccl_perf.parquet --ranks 2,4,8 -b 512 -e 16M
  inferometer export calibration.json --to astra-sim -o network.yml --ranks 16/2 --key backend=nccl --key dtype=float16

FILE.loss.txt says what is lost: terms dropped, where the target agrees with the full law within 5 %, the worst error
elsewhere. Nothing is written outside the ranks and sizes that were measured. docs/exporting.md has the targets.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.exporters.files import prepare_export
from inferometer.emulator.exporters.loss import lines_of
from inferometer.emulator.exporters.targets import TARGETS
from inferometer.emulator.units import parse_bytes
from inferometer.launch.commands.flags.law_key import add_key_flag, law_key
from inferometer.launch.runs.outputs import json_target, keep_apart, replaced_path, write_json
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("calibration", metavar="CALIBRATION", help="calibration file, or a built-in name")
    parser.add_argument("--to", required=True, choices=list(TARGETS), metavar="TARGET", help=f"format: {', '.join(TARGETS)}")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="file to write; FILE.loss.txt goes beside it")
    parser.add_argument(
        "--ranks",
        type=layouts,
        default=(),
        metavar="R[/N],…",
        help="numbers of ranks, or ranks/nodes (default: all that were measured)",
    )
    parser.add_argument("-b", "--minbytes", type=size, help="smallest size (default: the smallest measured)")
    parser.add_argument("-e", "--maxbytes", type=size, help="largest size (default: the largest measured)")
    parser.add_argument(
        "-f", "--stepfactor", type=int, metavar="F", help="factor between sizes (default: as the target needs)"
    )
    add_key_flag(parser)
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write what is lost as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    made = prepare_export(
        args.calibration,
        args.to,
        replaced_path(args.output),
        key=law_key(args.key),
        ranks=args.ranks,
        first=args.minbytes,
        last=args.maxbytes,
        factor=args.stepfactor,
    )
    files = [str(file) for file in made.contents]
    keep_apart([args.calibration], [*files, args.json])
    made.write()
    lines = [*lines_of(made.statement), f"written: {', '.join(files)}"]
    print("\n".join(lines), file=sys.stderr if args.json == "-" else sys.stdout)
    if args.json:
        write_json(args.json, stamped("export-statement", {"files": files, **made.statement}))
    return 0


def size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def layouts(text: str) -> list[tuple[int, int | None]]:
    """``2,4,16/2`` → (2, any), (4, any), (16, on 2 nodes)."""
    found: list[tuple[int, int | None]] = []
    for part in text.split(","):
        ranks, slash, nodes = part.strip().partition("/")
        if not (_counts(ranks) and (_counts(nodes) if slash else True)):
            raise argparse.ArgumentTypeError(f"{part!r}: write RANKS or RANKS/NODES, whole numbers from 1")
        found.append((int(ranks), int(nodes) if slash else None))
    return found


def _counts(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0
