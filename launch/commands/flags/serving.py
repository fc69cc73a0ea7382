"""`inferometer predict --engine`: flags → the question, its answer → text."""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.serving.engines.launching import launch_command
from inferometer.emulator.economics.serving.engines.serve import serve
from inferometer.emulator.report.serving.answers import answer_lines, answer_record
from inferometer.emulator.workload.layout import Layout
from inferometer.launch.commands.flags.engine import engine_from, workload_from
from inferometer.launch.runs.outputs import show


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
