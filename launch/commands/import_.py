"""Make samples of measurements that others made: logs and tables, in the formats benchmarks write.

  inferometer import nccl-tests node-*.log -o cluster.samples.jsonl
  inferometer import nccl-tests pasted.log -o pasted.samples.jsonl --set ranks=16,nodes=2
  inferometer import aiconfigurator nccl_perf.parquet --json -
  inferometer import vllm-bench run-*.json -o points.csv --set version=0.18.0,accelerator=h200,tp=4

What a file does not say is unknown, and flagged; rows that no fit may see are left out and counted. docs/importing.md says
what every flag means. `inferometer fit` turns the samples into a calibration.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from inferometer.emulator.economics.serving.points.table import csv_of
from inferometer.emulator.importers.imports import KNOWN, Imported, import_files
from inferometer.emulator.importers.kernels.read import shown
from inferometer.emulator.importers.serving.formats import READERS
from inferometer.emulator.importers.serving.imports import import_points, point_settings
from inferometer.emulator.importers.settings import parse_settings
from inferometer.launch.runs.outputs import (
    json_target,
    keep_apart,
    new_path,
    replaced_path,
    show,
    write_json,
    write_text,
    writing,
)
from inferometer.launch.runs.schemas import stamped

TELLING = ("dtype", "implementation", "launch_mode", "device", "backend_version")
"""Shown of each run where the runs differ in it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "format", choices=(*KNOWN, *READERS), metavar="FORMAT", help=f"format of the files: {', '.join((*KNOWN, *READERS))}"
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="logs or tables to read; - is stdin")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="samples file to write (default: none, only the report is printed)"
    )
    parser.add_argument(
        "--set", dest="settings", metavar="KEY=VALUE,…", help="what the files do not say: ranks=16,nodes=2,…"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the report as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    if args.format in READERS:
        return _points(args)
    settings = parse_settings(args.settings)
    output = None if args.output is None else new_path(args.output)
    keep_apart(args.files, [output, args.json])
    imported = import_files(args.format, args.files, settings)
    if output:
        with writing(output):
            imported.write(output)
    out = sys.stderr if args.json == "-" else sys.stdout
    print("\n".join(_lines(imported, output)), file=out)
    if args.json:
        write_json(args.json, stamped("import-report", {"files": imported.files}))
    return 0


def _points(args: argparse.Namespace) -> int:
    """Results of serving benchmarks become a points file."""
    output = None if args.output is None else replaced_path(args.output)
    keep_apart(args.files, [output, args.json])
    points = import_points(args.format, args.files, point_settings(args.settings))
    if output:
        write_text(str(output), csv_of(points))
    usable = sum(point.usable for point in points)
    lines = [f"{len(points)} points, {usable} usable"]
    lines += [f"{point.deployed.model}, {point.source}: {'; '.join(point.problems)}" for point in points if point.problems]
    show(args.json, {"points": len(points), "usable": usable}, [*lines, *([f"points: {output}"] if output else [])])
    return 0


def _lines(imported: Imported, output: Path | None) -> list[str]:
    if imported.files and "kernels" in imported.files[0]:
        lines = [shown(entry) for entry in imported.files]
        return [*lines, f"samples: {output}"] if output else lines
    telling = [name for name in TELLING if len({_shown(entry[name]) for entry in imported.files}) > 1]
    lines = [_line(entry, telling) for entry in imported.files]
    rows = sum(entry["rows"] for entry in imported.files)
    lines.append(f"{len(imported.files)} runs, {rows} rows, {len(imported.cells)} cells for a fit")
    return [*lines, f"samples: {output}"] if output else lines


def _line(entry: dict[str, Any], telling: list[str]) -> str:
    where = f"ranks {_known(entry['ranks'])}, nodes {_known(entry['nodes'])}"
    kind = ", ".join([entry["collective"] or "unknown collective", *(_shown(entry[name]) for name in telling)])
    what = f"{entry['file']}: {kind}, {where}, {entry['rows']} rows"
    left_out = ", ".join(f"{count} {reason}" for reason, count in entry["excluded"].items())
    flags = ", ".join(entry["flags"])
    return what + (f"; left out: {left_out}" if left_out else "") + (f"; flags: {flags}" if flags else "")


def _shown(value: str | list[str] | None) -> str:
    return "unknown" if not value else value if isinstance(value, str) else " + ".join(value)


def _known(count: int | None) -> str:
    return "unknown" if count is None else str(count)
