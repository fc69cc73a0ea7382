"""The frontier of speed and cost over layouts and batches; the best layouts within a service target.

  inferometer frontier llama-3-70b --accelerator h100-sxm --weight-bits 8 --gpus-max 64 --figure frontier.png
  inferometer frontier llama-3-70b --accelerator h100-sxm --prompt 1024 --output 512 --tpot-max 0.02 --ttft-max 1 --gpus-max 16
  inferometer frontier llama-3-70b:8 deepseek-v3:8 --accelerator h100-sxm --speculator none llama-3-8b --convention epoch-2025

Models, accelerators, weight bits, contexts, speculators, demand caps: each may be several, one curve for each combination.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.economics_flags import (
    add_model_flags,
    bits,
    count,
    keep_inputs,
    number,
    positive,
    pricing,
    refuse_under_epoch,
    show,
)
from inferometer.launch.commands.outputs import figure_path, replaced_path, writing


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
    parser.add_argument("--gpus-max", type=count, metavar="N", help="devices of one deployment (default 64)")
    parser.add_argument("--batch-max", type=count, metavar="N", help="sequences decoded together (default 4096)")
    parser.add_argument("--alpha", type=positive, help="the preferred point has most speed^alpha / cost (default 3)")
    parser.add_argument(
        "--demand-cap", type=positive, nargs="+", metavar="TOK/S", help="tokens per second that all users together ask for"
    )
    parser.add_argument(
        "--ttft-max", type=positive, metavar="S", help="list the layouts within this time to the first token"
    )
    parser.add_argument("--tpot-max", type=positive, metavar="S", help="list the layouts within this time per further token")
    parser.add_argument("--figure", type=figure_path, metavar="FILE", help="draw cost over speed")
    parser.add_argument("--csv", type=replaced_path, metavar="FILE", help="write every point")
    add_model_flags(parser, several_speculators=True)


def run(args: argparse.Namespace) -> int:
    from inferometer.emulator.report.frontier import draw_frontiers, frontier_lines, target_lines

    _refuse(args)
    keep_inputs(args, args.csv, args.figure)
    if args.ttft_max is None and args.tpot_max is None:
        table = _frontier(args)
        lines = frontier_lines(table)
    else:
        table = _within(args)
        lines = target_lines(table)
    said = sys.stderr if args.json == "-" else sys.stdout
    if args.csv:
        with writing(args.csv):
            table.to_csv(args.csv, index=False)
    show(args.json, table.to_dict(orient="records"), lines)
    if args.csv:
        print(f"table: {args.csv}", file=said)
    if args.figure:
        with writing(args.figure):
            draw_frontiers(table, args.figure)
        print(f"figure: {args.figure}", file=said)
    return 0


def _refuse(args: argparse.Namespace) -> None:
    """Raise InputError for flags that contradict each other."""
    if args.convention == "epoch-2025":
        refuse_under_epoch(args)
    if args.ttft_max is None and args.tpot_max is None:
        return
    for name in ("model", "accelerator", "weight_bits", "speculator", "demand_cap", "context"):
        if len(getattr(args, name) or [None]) > 1:
            raise InputError(f"a service target is for one {name.replace('_', ' ')}, {len(getattr(args, name))} given")
    if args.alpha is not None:
        raise InputError("--alpha chooses a point of a frontier; within a service target the cheapest comes first")
    if args.figure:
        raise InputError("--figure draws a frontier; within a service target there is only a list")


def _search(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.serving.frontier import Search

    given = {name: getattr(args, name) for name in ("gpus_max", "batch_max", "alpha") if getattr(args, name) is not None}
    return Search(
        args.convention,
        prompt=args.prompt,
        output=args.output,
        interleave=args.interleave,
        activation_bits=bits(args.activation_bits),
        kv_bits=bits(args.kv_bits),
        request=pricing(args),
        **given,
    )


def _lists(args: argparse.Namespace) -> dict[str, list[Any]]:
    """Every flag that may be several, as `frontier` names them."""
    return {
        "models": args.model,
        "accelerators": args.accelerator,
        "weight_bits": args.weight_bits,
        "contexts": args.context or [None],
        "speculators": [None if name == "none" else name for name in args.speculator or ["none"]],
        "demand_caps": args.demand_cap or [None],
    }


def _frontier(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.serving.frontier import frontier

    return frontier(**_lists(args), search=_search(args))


def _within(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.serving.candidates import Target
    from inferometer.emulator.economics.serving.curves import curves
    from inferometer.emulator.economics.serving.frontier import within_target

    (curve,) = curves(**_lists(args))
    return within_target(curve, Target(args.ttft_max, args.tpot_max), _search(args))
