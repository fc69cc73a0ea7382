"""Run a sharded model on real ranks; show measured and predicted times by operation.

  inferometer emulate llama-3-70b --scale 1/16 --layers 4 --tp 2 --pp 2 --batch 8 --context 512
  inferometer emulate mixtral-8x7b --scale 1/16 --layers 2 --ep 2 --calibration calibration.json
  torchrun --standalone --nproc-per-node 4 -m inferometer.launch emulate llama-3-8b --scale 1/16 --tp 4

The ranks carry out the program that `predict` prices, operation by operation: a prefill of --context tokens, then decode steps
at that context. Weights are drawn from a random seed. Without a launcher the command starts tp·ep·pp·dp local ranks, several times over;
under torchrun or mpiexec one run is one launch. Every clock reading goes to the samples file.
"""

from __future__ import annotations

import argparse
import sys

from inferometer.emulator.report.emulation import phase_lines
from inferometer.emulator.validate.settings import scale_of
from inferometer.emulator.workload.layout import AXES, FIELDS
from inferometer.launch.commands.flags.law_key import add_key_flag, law_key
from inferometer.launch.commands.flags.rank import add_device_flags, add_rank_flags, rank_settings
from inferometer.launch.runs.emulate import Emulated, emulate
from inferometer.launch.runs.emulate_settings import EmulateSettings
from inferometer.launch.runs.outputs import json_target, keep_apart, output_path, show

MODEL_FLAGS = (*FIELDS, *"model scale layers batch context micro_batches bits only steps seed device launch_mode".split())
"""Whose names are those of EmulateSettings."""


def fraction(text: str) -> float:
    """``1/16`` or ``0.0625``."""
    try:
        return scale_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="built-in model, config.json or its folder")
    parser.add_argument("--scale", type=fraction, default=1.0, metavar="1/N", help="scale of the model's shape (default 1)")
    parser.add_argument("--layers", type=int, metavar="N", help="number of layers (default: --scale times the model's)")
    for axis in AXES:
        parser.add_argument(f"--{axis}", type=int, default=1, metavar="N", help=f"{axis} degree (default 1)")
    parser.add_argument(
        "--attention",
        choices=("tensor", "data"),
        default="tensor",
        help="cut attention over the tp·ep ranks (default), or divide the sequences over ep",
    )
    parser.add_argument(
        "--tensor", choices=("1d", "2d"), default="1d", help="cut matrices over tp in one or two dimensions (default 1d)"
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="sequences decoded together (default 1)")
    parser.add_argument(
        "--context", type=int, default=512, metavar="N", help="tokens of each sequence in the cache (default 512)"
    )
    parser.add_argument(
        "--micro-batches",
        type=int,
        metavar="N",
        help="micro-batches of a replica's batch (default: pp where that divides it)",
    )
    parser.add_argument(
        "--bits", type=int, choices=(16, 32), default=32, help="bits of every number: 16 (bfloat16) or 32 (float32, default)"
    )
    parser.add_argument(
        "--only", choices=("prefill", "decode"), help="repeat this phase alone (default both); decode without its prompts"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="most timed steps of each phase and launch (default 100)")
    parser.add_argument(
        "--seed", type=int, default=0, help="random seed of weights and prompts; launch i uses SEED + i (default 0)"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default="model.emulation.jsonl",
        help="samples file (default model.emulation.jsonl); an existing one is kept under another name",
    )
    parser.add_argument("--calibration", metavar="FILE|NAME", help="predict network and compute times from this calibration")
    add_key_flag(parser)
    parser.add_argument(
        "--accelerator", metavar="NAME|FILE", help="datasheet for compute times, and for network times without --calibration"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer as JSON; - for stdout")
    ranks = add_rank_flags(parser, "·".join(AXES))
    ranks.add_argument(
        "--backend", choices=["gloo", "nccl", "mpi"], default="gloo", help="who carries the collectives (default gloo)"
    )
    add_device_flags(ranks)


def run(args: argparse.Namespace) -> int:
    path = output_path(args.output)
    keep_apart([args.model, args.calibration, args.accelerator], [path, args.json])
    settings = EmulateSettings(**rank_settings(args), **{name: getattr(args, name) for name in MODEL_FLAGS})
    done = emulate(settings, path, calibration=args.calibration, accelerator=args.accelerator, key=law_key(args.key))
    if done is None:
        return 0
    show(args.json, done.document(), lines_of(done))
    print(f"samples: {path}", file=sys.stderr)
    return 0


def lines_of(done: Emulated) -> list[str]:
    """The tables of both phases, under a line on what was run."""
    method = done.settings
    load = f"batch {method.batch}, context {method.context}, {method.bits} bits"
    lines = [f"{method.small().shape.name}, {method.layout.describe()}, {load}"]
    for phase, found in done.accounts.items():
        lines += ["", *phase_lines(found, done.predicted.get(phase))]
    return lines
