"""Predict one configuration of a model: latency, speed, cost, and what they are made of.

  inferometer predict llama-3-70b --accelerator h100-sxm --tp 8 --batch 64 --context 2048 --weight-bits 8
  inferometer predict llama-3-8b --accelerator h100-sxm --tp 4 --calibration calibration.json
  inferometer predict llama-3-8b --tp 2 --calibration calibration.json
  inferometer predict qwen3-32b --accelerator h100-sxm --tp 4 --engine vllm --prompt 1024 --output 512 --concurrency 64

MODEL is a built-in name, a config.json of Hugging Face or a folder that holds one. Without a layout the fastest on --gpus is
taken; without --gpus the fastest on one node, or on the fewest nodes that hold the model. `--convention epoch-2025` stands for
`inferometer paper predict`.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.serving.predict import answer
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.prediction import prediction_lines
from inferometer.emulator.workload.layout import AXES, Layout, spelt
from inferometer.emulator.workload.storage.summary import model_record, one_line
from inferometer.launch.commands.flags.economics import (
    add_deployment_flags,
    add_price_flags,
    add_prompt_flags,
    keep_inputs,
    scenario_from,
)
from inferometer.launch.commands.flags.engine import add_engine_flags, refuse_engine_flags
from inferometer.launch.commands.flags.numbers import count, number
from inferometer.launch.runs.outputs import show
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="built-in model, config.json or its folder")
    parser.add_argument(
        "--accelerator",
        metavar="NAME|FILE",
        help="built-in accelerator or a TOML file (default: the machine that --calibration has measured)",
    )
    parser.add_argument("--gpus", type=count, metavar="N", help="number of devices")
    parser.add_argument("--batch", type=count, default=1, metavar="N", help="sequences decoded together (default 1)")
    for axis in AXES:
        parser.add_argument(f"--{axis}", type=int, metavar="N", help=f"{axis} degree")
    parser.add_argument(
        "--attention",
        choices=("tensor", "data"),
        help="cut attention over the tp·ep ranks (default), or divide the sequences over ep",
    )
    parser.add_argument(
        "--weight-bits",
        type=int,
        metavar="BITS",
        help="bits of every weight, embedding and head too: 4, 8, 16 or 32 (default: as the checkpoint stores them, else 16; "
        "without --accelerator what was measured)",
    )
    parser.add_argument("--context", type=number, metavar="TOKENS", help="tokens in the cache while decoding (default 2048)")
    parser.add_argument(
        "--max-context", type=count, metavar="TOKENS", help="the longest context, instead of the model's own"
    )
    add_prompt_flags(parser)
    add_engine_flags(parser)
    parser.add_argument(
        "--emit", action="store_true", help="with --engine: print the command that launches the deployment, and nothing else"
    )
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="with --engine: the requests of a CSV with arrival_s, input_tokens, output_tokens, simulated",
    )
    parser.add_argument(
        "--simulate", action="store_true", help="with --engine: also run the event simulation, and print its difference"
    )
    add_deployment_flags(parser)
    add_price_flags(parser, other_network=True)


def run(args: argparse.Namespace) -> int:
    keep_inputs(args)
    if args.engine is not None:
        from inferometer.launch.commands.flags.serving import run_engine

        return run_engine(args, _layout(args))
    refuse_engine_flags(args)
    scenario = scenario_from(args)
    prediction = answer(scenario, batch=args.batch, layout=_layout(args), gpus=args.gpus)
    bits = None if scenario.prices.precision.shipped else args.weight_bits
    record = model_record(scenario.shape, kv_bits=scenario.prices.precision.kv_bits, weight_bits=bits)
    document = stamped("prediction", prediction.as_dict() | {"model": record})
    show(args.json, document, [*prediction_lines(prediction), one_line(record)])
    return 0


def _layout(args: argparse.Namespace) -> Layout | None:
    """The layout of the flags; None where none is given. Raises InputError where it contradicts --gpus."""
    given = {axis: getattr(args, axis) for axis in AXES if getattr(args, axis) is not None}
    if not given and args.attention is None:
        return None
    layout = Layout(**given, attention=args.attention or "tensor")
    if args.gpus is not None and args.gpus != layout.gpus:
        raise InputError(f"{spelt(layout.degrees)} but --gpus {args.gpus}")
    return layout
