"""What this machine can run, and what would spoil a measurement.

  inferometer doctor
  inferometer doctor -n 8 --json -

Exit status 1 where no measurement is possible.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from inferometer.emulator.measure.doctor import doctor
from inferometer.launch.runs.outputs import json_target, write_json
from inferometer.launch.runs.schemas import stamped

MARK = {"ok": "ok  ", "care": "care", "stop": "STOP"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n",
        "--ranks",
        type=int,
        metavar="N",
        help="local ranks that will be started (default: as many as `measure` starts)",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads per rank (default 1)")
    parser.add_argument(
        "-J", "--json", type=json_target, metavar="FILE|-", help="also write the findings as JSON; - for stdout"
    )


def run(args: argparse.Namespace) -> int:
    findings = doctor(args.ranks, args.threads)
    if args.json != "-":
        for finding in findings:
            print(f"{MARK[finding.level]}  {finding.subject:<10} {finding.text}")
    if args.json:
        write_json(args.json, stamped("doctor", {"findings": [asdict(finding) for finding in findings]}))
    return 1 if any(finding.level == "stop" for finding in findings) else 0
