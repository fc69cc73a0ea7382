"""`predict --engine` and `frontier --engine`: flags → the question, its answer → text."""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.choosing.search import choices
from inferometer.emulator.economics.serving.engines.launching import launch_command
from inferometer.emulator.economics.serving.engines.serve import serve
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.serving.answers import answer_lines, answer_record
from inferometer.emulator.report.serving.choices import choice_lines, choice_records
from inferometer.emulator.workload.layout import Layout
from inferometer.launch.commands.flags.engine import STORED, engine_from, workload_from
from inferometer.launch.runs.outputs import show

GPUS_MAX = 8


def run_engine(args: argparse.Namespace, layout: Layout | None) -> int:
    """Print what the deployment's users get, or with --emit the command that launches it."""
    engine = engine_from(args)
    layout = layout or Layout(tp=args.gpus or 1)
    workload = workload_from(args, users=float(args.batch))
    if args.emit:
        lines = launch_command(engine, layout, workload, args.model)
        show(args.json, {"command": lines}, lines)
        return 0
    answer = serve(engine, layout, workload, simulation=args.simulate)
    show(args.json, answer_record(engine, layout, workload, answer), answer_lines(engine, layout, workload, answer))
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
    found = choices(engines, workload, target, gpus_max=args.gpus_max or GPUS_MAX, rate_per_s=rate, pools=args.pools)
    label = f"{engines[0][1].shape.name}, {engines[0][1].profile.label} on {engines[0][1].device.name}"
    show(args.json, {"deployments": choice_records(found)}, choice_lines(found, label))
    return 0
