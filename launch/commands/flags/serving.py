"""`predict --engine` and `frontier --engine`: flags → the question, its answer → text."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from inferometer.emulator.economics.pricing.prices import network_of, prices_of
from inferometer.emulator.economics.serving.batching.costs import ClosedLoop, Poisson, Workload
from inferometer.emulator.economics.serving.batching.lengths import Lengths
from inferometer.emulator.economics.serving.batching.trace import read_trace, trace_workload
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.choosing.search import choices
from inferometer.emulator.economics.serving.engines.launching import launch_command
from inferometer.emulator.economics.serving.engines.profiles import load_profile
from inferometer.emulator.economics.serving.engines.serve import Engine, serve
from inferometer.emulator.economics.serving.points.stored import stored_as
from inferometer.emulator.economics.serving.points.weights import Weights
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.serving.answers import answer_lines, answer_record
from inferometer.emulator.report.serving.choices import choice_lines, choice_records
from inferometer.emulator.workload.catalogue import hub_id
from inferometer.emulator.workload.layout import Layout
from inferometer.launch.commands.flags.law_key import law_key
from inferometer.launch.runs.outputs import show
from inferometer.launch.runs.schemas import stamped

GPUS_MAX = 8
ROUNDS = 10
"""Requests of a closed loop for each user, where nothing else is said."""
REPLY_S = 2e-3
STORED: Mapping[int, Weights] = {4: "nvfp4", 8: "fp8", 16: "bf16"}
"""The checkpoint that a width of weights means."""
SPREAD = 0.1
"""Users whose requests are all alike would stay in step with each other, as they do nowhere."""


def run_engine(args: argparse.Namespace, layout: Layout | None) -> int:
    """Print what the deployment's users get, or with --emit the command that launches it."""
    engine = engine_from(args)
    layout = layout or Layout(tp=args.gpus or 1)
    workload = workload_from(args, users=float(args.batch))
    if args.emit:
        lines = launch_command(engine, layout, workload, hub_id(args.model) or args.model)
        show(args.json, stamped("serving-command", {"command": lines}), lines)
        return 0
    answer = serve(engine, layout, workload, simulation=args.simulate)
    document = stamped("serving-prediction", answer_record(engine, layout, workload, answer))
    show(args.json, document, answer_lines(engine, layout, workload, answer))
    return 0


def run_choice(args: argparse.Namespace, target: Target) -> int:
    """Print the deployments within a target, cheapest first."""
    if args.csv or args.figure:
        raise InputError("--csv and --figure are of a frontier; with --engine there is a list: use --json")
    if args.concurrency is not None:
        raise InputError("--concurrency is what a search varies: give the load as --rate, or none")
    rate, args.rate = args.rate, None
    workload = workload_from(args)
    formats = [args.checkpoint] if args.checkpoint or not args.weight_bits else [STORED[bits] for bits in args.weight_bits]
    engines = [(stored or "checkpoint", engine_from(args, stored)) for stored in formats]
    found = choices(
        engines,
        workload,
        target,
        gpus_max=args.gpus_max or GPUS_MAX,
        rate_per_s=rate,
        pools=args.pools,
        statistic=args.percentile,
    )
    of = "" if args.percentile == "mean" else f", targets of the {args.percentile} over requests"
    label = f"{engines[0][1].shape.name}, {engines[0][1].profile.label} on {engines[0][1].device.name}{of}"
    show(args.json, stamped("serving-frontier", {"deployments": choice_records(found)}), choice_lines(found, label))
    return 0


def engine_from(args: argparse.Namespace, weights: Any = None) -> Engine:
    """The engine of the flags. Raises InputError for what is missing, and as load_profile does."""
    if args.accelerator is None:
        raise InputError("--engine needs an --accelerator: its profile is of an engine, not of a machine")
    if getattr(args, "network_calibration", None) is not None:
        raise InputError("--network-calibration: an engine's computing has its own laws; give --calibration")
    profile = load_profile(args.engine, args.engine_version)
    stored = weights or args.checkpoint or STORED.get(one(args.weight_bits), "checkpoint")
    model, accelerator = one(args.model), one(args.accelerator)
    shape, precision = stored_as(model, stored, args.kv_bits)
    prices = prices_of(None, accelerator, precision=precision, usd_per_hour=args.usd_per_hour)
    network = None
    if args.calibration is not None:
        network = network_of(args.calibration, prices.device, precision, law_key(args.key))
    return Engine(profile, shape, prices.device, precision, network, stored)


def one(value: Any) -> Any:
    """Of a flag that may be several the first."""
    return value[0] if isinstance(value, list) else value


def workload_from(args: argparse.Namespace, users: float | None = None) -> Workload:
    """The load of the flags; users: where no flag says how many there are.

    Raises InputError where prompts and outputs are missing, or both a rate and a concurrency are given.
    """
    if getattr(args, "trace", None) is not None:
        if any(value is not None for value in (args.prompt, args.output, args.rate, args.concurrency)):
            raise InputError("--trace has its own arrivals and lengths: leave out --prompt, --output, --rate, --concurrency")
        return trace_workload(read_trace(args.trace))
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
