"""Predict one configuration of a model: latency, speed, cost, and what they are made of.

  inferometer predict llama-3-70b --accelerator h100-sxm --tp 8 --batch 64 --context 2048 --weight-bits 8
  inferometer predict llama-3-8b --accelerator h100-sxm --tp 4 --calibration calibration.json
  inferometer predict llama-3-8b --tp 2 --calibration calibration.json
  inferometer predict llama-3-70b --weight-bits 8 --accelerator h100-sxm --convention epoch-2025 --gpus 24.31 --batch 1.03 --context 0

MODEL is a built-in name, a config.json of Hugging Face or a folder that holds one. Without a layout the fastest on --gpus is
taken; without --gpus the fastest on one node, or on the fewest nodes that hold the model.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.economics_flags import (
    add_load_flags,
    add_model_flags,
    epoch_question,
    keep_inputs,
    positive,
    request_from,
    show,
)

LAYOUT = ("tp", "ep", "pp", "dp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="built-in model, config.json or its folder")
    parser.add_argument(
        "--accelerator",
        metavar="NAME|FILE",
        help="built-in accelerator or a TOML file (default: the machine that --calibration has measured)",
    )
    parser.add_argument("--gpus", type=positive, help="number of devices; a whole number but under epoch-2025")
    parser.add_argument("--batch", type=positive, default=1.0, help="sequences decoded together (default 1)")
    for axis in LAYOUT:
        parser.add_argument(f"--{axis}", type=int, metavar="N", help=f"{axis} degree")
    parser.add_argument(
        "--attention",
        choices=("tensor", "data"),
        help="attention cut over tp·ep ranks (default), or the sequences divided over ep",
    )
    add_model_flags(parser)
    add_load_flags(parser)


def run(args: argparse.Namespace) -> int:
    from inferometer.emulator.report.prediction import prediction_lines

    keep_inputs(args)
    prediction = _epoch(args) if args.convention == "epoch-2025" else _deployable(args)
    show(args.json, prediction.as_dict(), prediction_lines(prediction))
    return 0


def _deployable(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.serving.predict import answer
    from inferometer.emulator.workload.layout import Layout

    layout = None
    given = {axis: getattr(args, axis) for axis in LAYOUT if getattr(args, axis) is not None}
    if given or args.attention:
        layout = Layout(**given, attention=args.attention or "tensor")
        if args.gpus is not None and args.gpus != layout.gpus:
            product = "·".join(LAYOUT)
            raise InputError(f"{product} = {layout.gpus} but --gpus {args.gpus:g}")
    for name in ("gpus", "batch"):
        value = getattr(args, name)
        if value is not None and value != int(value):
            raise InputError(f"--{name} {value:g}: only --convention epoch-2025 knows fractions of one")
    gpus = None if args.gpus is None else int(args.gpus)
    return answer(request_from(args), batch=int(args.batch), layout=layout, gpus=gpus)


def _epoch(args: argparse.Namespace):  # type: ignore[no-untyped-def]
    from inferometer.emulator.economics.paper.epoch_answer import answer

    for axis in (*LAYOUT, "attention"):
        if getattr(args, axis) is not None:
            raise InputError(f"--{axis}: the epoch-2025 convention chooses the layout itself")
    for name in ("gpus", "accelerator"):
        if getattr(args, name) is None:
            raise InputError(f"--convention epoch-2025 needs --{name}")
    return answer(epoch_question(args), gpus=args.gpus, batch=args.batch)
