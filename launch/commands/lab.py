"""Run any command over several hosts on this machine, joined by a wire of known rate and delay.

  inferometer lab --nodes 4 --per-node 2 --rate 1gbit -- calibrate -o fabric.json
  inferometer lab --nodes 2 --rate 200mbit --delay 500us -- measure --collectives all_reduce -o wire.samples.jsonl

Hosts are network namespaces, their ranks find each other as under torchrun, and one run is one launch (`measure --append`
adds another).
All hosts share this machine's cores: with more ranks than cores, cells are marked as oversubscribed. Needs Linux, iproute2,
and root or a system on which users may have namespaces. A delay is the kernel's (netem) or, where it has none, that of a
process that holds frames back; it is measured by UDP messages and written into the samples. Nothing is left behind.
"""

from __future__ import annotations

import argparse
import re

from inferometer.emulator.errors import InputError
from inferometer.launch.runs.lab import LabSettings, lab

RATES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
DELAYS_US = {"us": 1.0, "ms": 1e3, "s": 1e6}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--nodes", type=int, default=2, metavar="N", help="hosts (default 2)")
    parser.add_argument("--per-node", type=int, default=1, metavar="R", help="ranks on each host (default 1)")
    parser.add_argument(
        "--rate", metavar="BITS", help="of every host's link, per second: 200mbit, 1gbit (default: unlimited)"
    )
    parser.add_argument("--delay", metavar="TIME", help="of every host's link, one way: 500us, 2ms (default: none)")
    parser.add_argument(
        "--own-cores",
        action="store_true",
        help="hold the ranks of each host against the cores by themselves: where the delay is far longer than ranks compute",
    )
    parser.add_argument("--port", type=int, default=29400, help="of the first host, for the rendezvous (default 29400)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="-- COMMAND …", help="what the ranks run")


def run(args: argparse.Namespace) -> int:
    arguments = args.arguments[1:] if args.arguments[:1] == ["--"] else args.arguments
    if not arguments:
        raise InputError("lab: say after -- which command the hosts run: lab --nodes 2 -- measure")
    rate = None if args.rate is None else bits_per_second(args.rate)
    delay = None if args.delay is None else microseconds(args.delay)
    return lab(LabSettings(args.nodes, args.per_node, rate, delay, args.own_cores, args.port), arguments)


def bits_per_second(text: str) -> float:
    """``200mbit``, ``1gbit`` as tc reads them: decimal. Raises InputError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([kmgt]?)bit", text.lower())
    if not found or float(found[1]) == 0:
        raise InputError(f"--rate {text}: write bits per second with their unit, as 200mbit or 1gbit")
    return float(found[1]) * RATES[found[2]]


def microseconds(text: str) -> float:
    """``500us``, ``2ms``. Raises InputError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(us|ms|s)", text.lower())
    if not found:
        raise InputError(f"--delay {text}: write a time with its unit, as 500us or 2ms")
    return float(found[1]) * DELAYS_US[found[2]]
