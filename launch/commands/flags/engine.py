"""The flags of a serving engine. What they ask is in `serving`, which is imported only where one is asked for."""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.serving.points.weights import WEIGHTS
from inferometer.emulator.errors import InputError
from inferometer.launch.commands.flags.numbers import number, positive


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """Which engine serves, for whom."""
    parser.add_argument(
        "--engine", metavar="NAME|FILE", help="serve with this engine: vllm, sglang, trtllm or a profile's TOML file"
    )
    parser.add_argument("--engine-version", metavar="VERSION", help="of the engine (default: what fits all its versions)")
    parser.add_argument("--checkpoint", choices=WEIGHTS, help="with --engine: the format of the weights that are served")
    parser.add_argument(
        "--rate",
        type=positive,
        metavar="REQUESTS/S",
        help="with --engine: requests that arrive in a second, independently of each other",
    )
    parser.add_argument(
        "--concurrency",
        type=positive,
        metavar="USERS",
        help="with --engine: users who send their next request when the last is answered",
    )
    parser.add_argument(
        "--spread",
        type=number,
        metavar="SHARE",
        help="with --engine: lengths are even within this share of --prompt and --output (default 0.1; 0: all alike)",
    )


def refuse_engine_flags(args: argparse.Namespace) -> None:
    """Raise InputError for flags that only mean something with --engine."""
    for name in ("engine_version", "checkpoint", "rate", "concurrency", "spread", "emit", "simulate", "pools", "trace"):
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')} needs --engine")
    if getattr(args, "percentile", "mean") != "mean":
        raise InputError("--percentile needs --engine")
