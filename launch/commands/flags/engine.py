"""The flags of a serving engine, and the question that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from inferometer.emulator.economics.pricing.prices import network_of, prices_of
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.economics.serving.engines.serve import Engine
from inferometer.emulator.economics.serving.points.record import WEIGHTS, Weights
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.errors import InputError
from inferometer.launch.commands.flags.economics import number, positive
from inferometer.launch.commands.flags.law_key import law_key

ROUNDS = 10
"""Requests of a closed loop for each user, where nothing else is said."""
REPLY_S = 2e-3
STORED: Mapping[int, Weights] = {4: "nvfp4", 8: "fp8", 16: "bf16"}
"""The checkpoint that a width of weights means."""
SPREAD = 0.1
"""Users whose requests are all alike would stay in step with each other, as they do nowhere."""


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


def engine_from(args: argparse.Namespace, weights: Any = None) -> Engine:
    """The engine of the flags. Raises InputError for what is missing, and as load_profile does."""
    if args.accelerator is None:
        raise InputError("--engine needs an --accelerator: its profile is of an engine, not of a machine")
    profile = load_profile(args.engine, args.engine_version)
    stored = weights or args.checkpoint or STORED.get(one(args.weight_bits), "checkpoint")
    model, accelerator = one(args.model), one(args.accelerator)
    shape, precision = stored_as(model, stored, args.kv_bits)
    prices = prices_of(None, accelerator, precision=precision, usd_per_hour=args.usd_per_hour)
    network = None
    if args.calibration is not None:
        network = network_of(args.calibration, prices.device, precision, law_key(args.key))
    return Engine(profile, shape, prices.device, precision, network)


def one(value: Any) -> Any:
    """Of a flag that may be several the first."""
    return value[0] if isinstance(value, list) else value


def workload_from(args: argparse.Namespace, users: float | None = None) -> Workload:
    """The load of the flags; users: where no flag says how many there are.

    Raises InputError where prompts and outputs are missing, or both a rate and a concurrency are given.
    """
    if args.prompt is None or args.output is None:
        raise InputError("--engine needs --prompt and --output: a server's times depend on both")
    if args.rate is not None and args.concurrency is not None:
        raise InputError(
            "--rate and --concurrency exclude each other: requests come independently, or when users have answers"
        )
    spread = SPREAD if args.spread is None else args.spread
    if spread >= 1:
        raise InputError(f"--spread {spread:g} is a share, below 1")
    lengths = [
        Lengths(max(1.0, (1 - spread) * tokens), max(1.0, (1 + spread) * tokens)) for tokens in (args.prompt, args.output)
    ]
    concurrency = args.concurrency if args.concurrency is not None else users
    arrivals = Poisson(args.rate) if args.rate is not None else ClosedLoop(concurrency or 1.0, ROUNDS * (concurrency or 1.0))
    return Workload(lengths[0], lengths[1], arrivals, REPLY_S)


def refuse_engine_flags(args: argparse.Namespace) -> None:
    """Raise InputError for flags that only mean something with --engine."""
    for name in ("engine_version", "checkpoint", "rate", "concurrency", "spread", "emit", "simulate", "pools"):
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')} needs --engine")
