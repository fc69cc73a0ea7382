"""The conventions of Erdil, "Inference Economics of Language Models" (Epoch AI, 2025), as its code has them.

  inferometer paper predict llama-3-70b --weight-bits 8 --accelerator h100-sxm --gpus 24.31 --batch 1.03
  inferometer paper frontier llama-3-70b:8 deepseek-v3:8 --accelerator h100-sxm --speculator none llama-3-8b

Devices, batches and layouts are real numbers there, so that its answers lie on smooth curves; `predict` and `frontier` answer for
deployments that can be started. docs/economics-epoch-2025.md has the formulas. `inferometer reproduce` compares with its tables.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.economics.paper.epoch_answer import EpochQuestion, answer, paper_frontier_rows
from inferometer.emulator.report.frontier import frontier_lines
from inferometer.emulator.report.prediction import prediction_lines
from inferometer.launch.commands.flags.economics import add_price_flags, keep_inputs, pricing
from inferometer.launch.commands.flags.frontier import add_curve_flags, asked_curves, show_frontier
from inferometer.launch.commands.flags.numbers import number, positive
from inferometer.launch.runs.outputs import show
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    answers = parser.add_subparsers(dest="answer", metavar="ANSWER", required=True)
    one = answers.add_parser("predict", help="latency and cost of one model for real-valued --gpus and --batch")
    one.add_argument("model", metavar="MODEL", help="model of the paper")
    one.add_argument("--accelerator", required=True, metavar="NAME|FILE", help="accelerator of the paper, or a TOML file")
    one.add_argument("--gpus", type=positive, required=True, metavar="X", help="number of devices, a real number")
    one.add_argument("--batch", type=positive, default=1.0, metavar="X", help="sequences decoded together (default 1)")
    one.add_argument("--weight-bits", type=int, default=16, metavar="BITS", help="bits of a weight: 4, 8 or 16 (default 16)")
    one.add_argument("--context", type=number, default=0.0, metavar="TOKENS", help="tokens in the cache (default 0)")
    add_price_flags(one)
    one.set_defaults(run_answer=_predict)
    several = answers.add_parser("frontier", help="speed against cost over the paper's grid of devices and batches")
    add_curve_flags(several, context="0")
    add_price_flags(several, several_speculators=True)
    several.set_defaults(run_answer=_frontier)


def run(args: argparse.Namespace) -> int:
    return int(args.run_answer(args))


def _predict(args: argparse.Namespace) -> int:
    keep_inputs(args)
    question = EpochQuestion(
        args.model,
        args.accelerator,
        args.weight_bits,
        args.context,
        speculator=None if args.speculator == "none" else args.speculator,
        **pricing(args),
    )
    prediction = answer(question, gpus=args.gpus, batch=args.batch)
    show(args.json, stamped("prediction", prediction.as_dict()), prediction_lines(prediction))
    return 0


def _frontier(args: argparse.Namespace) -> int:
    keep_inputs(args, args.csv, args.figure)
    alpha = 3.0 if args.alpha is None else args.alpha
    rows = paper_frontier_rows(asked_curves(args), alpha, pricing(args))
    show_frontier(args, rows, frontier_lines(rows))
    return 0
