"""The frontier of speed and cost over layouts and batches; the best layouts within a service target.

  inferometer frontier llama-3-70b --accelerator h100-sxm --weight-bits 8 --gpus-max 64 --figure frontier.png
  inferometer frontier llama-3-70b --accelerator h100-sxm --prompt 1024 --output 512 --tpot-max 0.02 --ttft-max 1 --gpus-max 16
  inferometer frontier llama-3-70b:8 deepseek-v3:8 --accelerator h100-sxm --speculator none llama-3-8b --convention epoch-2025

Models, accelerators, weight bits, contexts, speculators, demand caps: each may be several, one curve for each combination.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.economics_flags import add_model_flags, number, positive, show
from inferometer.launch.commands.law_key import law_key
from inferometer.launch.commands.sweep_flags import figure_path, output_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", nargs="+", metavar="MODEL[:BITS]", help="built-in models, config.json files or their folders"
    )
    parser.add_argument(
        "--accelerator", nargs="+", required=True, metavar="NAME|FILE", help="built-in accelerators or TOML files"
    )
    parser.add_argument(
        "--weight-bits", type=int, nargs="+", default=[16], metavar="BITS", help="4, 8, 16 or 32 (default 16)"
    )
    parser.add_argument("--context", type=number, nargs="+", metavar="TOKENS", help="default 2048; 0 under epoch-2025")
    parser.add_argument("--prompt", type=positive, metavar="TOKENS", help="with --output: also prefill (TTFT)")
    parser.add_argument("--output", type=positive, metavar="TOKENS", help="tokens generated for each prompt")
    parser.add_argument(
        "--interleave", action="store_true", help="prompts enter with decode steps, as continuous batching does"
    )
    parser.add_argument("--gpus-max", type=int, default=64, metavar="N", help="devices of one deployment (default 64)")
    parser.add_argument("--batch-max", type=int, default=4096, metavar="N", help="sequences decoded together (default 4096)")
    parser.add_argument(
        "--alpha", type=positive, default=3.0, help="the preferred point has most speed^alpha / cost (default 3)"
    )
    parser.add_argument(
        "--demand-cap", type=positive, nargs="+", metavar="TOK/S", help="tokens per second that all users together ask for"
    )
    parser.add_argument(
        "--ttft-max", type=positive, metavar="S", help="list the layouts within this time to the first token"
    )
    parser.add_argument("--tpot-max", type=positive, metavar="S", help="list the layouts within this time per further token")
    parser.add_argument("--figure", type=figure_path, metavar="FILE", help="draw cost over speed")
    parser.add_argument("--csv", type=output_path, metavar="FILE", help="write every point")
    add_model_flags(parser, several_speculators=True)


def run(args: argparse.Namespace) -> int:
    from inferometer.emulator.report.frontier import draw_frontiers, frontier_lines, target_lines

    _refuse(args)
    if args.ttft_max is None and args.tpot_max is None:
        table = _frontier(args)
        lines = frontier_lines(table)
    else:
        table = _within(args)
        lines = target_lines(table)
    said = sys.stderr if args.json == "-" else sys.stdout
    if args.csv:
        table.to_csv(args.csv, index=False)
    show(args.json, table.to_dict(orient="records"), lines)
    if args.csv:
        print(f"table: {args.csv}", file=said)
    if args.figure:
        draw_frontiers(table, args.figure)
        print(f"figure: {args.figure}", file=said)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Raise InputError for flags that contradict each other."""
    for name in ("gpus_max", "batch_max"):
        if getattr(args, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} {getattr(args, name)} must be at least 1")
    if args.ttft_max is None and args.tpot_max is None:
        return
    for name in ("model", "accelerator", "weight_bits", "speculator", "demand_cap", "context"):
        if len(getattr(args, name) or [None]) > 1:
            raise InputError(f"a service target is for one {name.replace('_', ' ')}, {len(getattr(args, name))} given")
    if args.figure:
        raise InputError("--figure draws a frontier; within a service target there is only a list")


def _search(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.frontier import Search

    request = {
        name: getattr(args, name) for name in ("calibration", "usd_per_hour", "routing", "memory_reserve", "acceptance")
    }
    return Search(
        args.convention,
        args.gpus_max,
        args.batch_max,
        args.alpha,
        args.prompt,
        args.output,
        args.interleave,
        args.activation_bits or 16,
        args.kv_bits or 16,
        request | {"key": law_key(args.key)},
    )


def _frontier(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.frontier import frontier

    return frontier(
        args.model,
        args.accelerator,
        weight_bits=args.weight_bits,
        contexts=args.context or [None],
        speculators=[None if name == "none" else name for name in args.speculator or ["none"]],
        demand_caps=args.demand_cap or [None],
        search=_search(args),
    )


def _within(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.candidates import Target
    from inferometer.emulator.economics.frontier import within_target

    target = Target(args.ttft_max, args.tpot_max)
    return within_target(args.model[0], args.accelerator[0], target, weight_bits=args.weight_bits[0], search=_search(args))
