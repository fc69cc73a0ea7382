"""The frontier of speed and cost over layouts and batches; the best layouts within a service target.

  inferometer frontier llama-3-70b --accelerator h100-sxm --weight-bits 8 --gpus-max 64 --figure frontier.png
  inferometer frontier llama-3-70b --accelerator h100-sxm --prompt 1024 --output 512 --tpot-max 0.02 --ttft-max 1 --gpus-max 16
  inferometer frontier llama-3-70b:8 deepseek-v3:8 --accelerator h100-sxm --speculator none llama-3-8b
  inferometer frontier qwen3-32b --accelerator h100-sxm --engine vllm --prompt 1024 --output 512 --tpot-max 0.02 --rate 20

Models, accelerators, weight bits, contexts, speculators, demand caps: each may be several, one curve for each combination.
`--convention epoch-2025` stands for `inferometer paper frontier`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.curves import Curve
from inferometer.emulator.economics.serving.frontier import Search, frontier_rows, within_target
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.frontier import frontier_lines, target_lines
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.launch.commands.flags.economics import (
    add_deployment_flags,
    add_price_flags,
    add_prompt_flags,
    keep_inputs,
    pricing,
)
from inferometer.launch.commands.flags.engine import add_engine_flags, refuse_engine_flags
from inferometer.launch.commands.flags.frontier import add_curve_flags, asked_curves, show_frontier
from inferometer.launch.commands.flags.numbers import count, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_curve_flags(parser, context="2048", measured=True)
    add_prompt_flags(parser)
    parser.add_argument("--gpus-max", type=count, metavar="N", help="most devices of one deployment (default 64)")
    parser.add_argument("--batch-max", type=count, metavar="N", help="most sequences decoded together (default 4096)")
    parser.add_argument(
        "--ttft-max", type=positive, metavar="S", help="list the layouts within this time to the first token"
    )
    parser.add_argument("--tpot-max", type=positive, metavar="S", help="list the layouts within this time per further token")
    add_engine_flags(parser)
    parser.add_argument(
        "--pools", action="store_true", help="with --engine: also pools of their own for prompts and for decoding"
    )
    parser.add_argument(
        "--percentile",
        choices=("mean", "p50", "p90", "p99"),
        default="mean",
        help="with --engine: what the targets are of, over requests (default: their mean)",
    )
    add_deployment_flags(parser)
    add_price_flags(parser, several_speculators=True, other_network=True)


def run(args: argparse.Namespace) -> int:
    target = Target(args.ttft_max, args.tpot_max)
    if args.engine is not None:
        from inferometer.launch.commands.flags.serving import run_choice

        _refuse_several(args, several=("weight_bits",))
        return run_choice(args, target)
    refuse_engine_flags(args)
    if target == Target():
        keep_inputs(args, args.csv, args.figure)
        rows = frontier_rows(_curves(args), _search(args))
        show_frontier(args, rows, frontier_lines(rows))
    else:
        _refuse_several(args)
        keep_inputs(args, args.csv, args.figure)
        (curve,) = _curves(args)
        rows = within_target(curve, target, _search(args))
        show_frontier(args, rows, target_lines(rows))
    return 0


def _refuse_several(args: argparse.Namespace, several: Sequence[str] = ()) -> None:
    """Raise InputError for flags of a frontier that a service target contradicts."""
    for name in ("model", "accelerator", "weight_bits", "speculator", "demand_cap", "context"):
        if name not in several and len(getattr(args, name) or [None]) > 1:
            raise InputError(f"a service target is for one {name.replace('_', ' ')}, {len(getattr(args, name))} given")
    if args.alpha is not None:
        raise InputError("--alpha chooses a point of a frontier; within a service target the cheapest comes first")
    if args.figure:
        raise InputError("--figure draws a frontier; within a service target there is only a list")


def _search(args: argparse.Namespace) -> Search:
    given: dict[str, Any] = {
        name: getattr(args, name) for name in ("gpus_max", "batch_max", "alpha") if getattr(args, name) is not None
    }
    return Search(
        prompt=args.prompt,
        output=args.output,
        interleave=args.interleave,
        activation_bits=args.activation_bits,
        kv_bits=args.kv_bits,
        further=pricing(args),
        **given,
    )


def _curves(args: argparse.Namespace) -> list[Curve]:
    """The curves of the flags; weights as the checkpoint stores them where it says so and no flag does, or as they were
    measured."""
    return [
        replace(curve, weight_bits=16)
        if curve.accelerator is not None and curve.weight_bits is None and load_shape(curve.model).quantization is None
        else curve
        for curve in asked_curves(args, bits=None)
    ]
