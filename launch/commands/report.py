"""Write one HTML page of what other commands wrote: can it be trusted, what things cost, what that means, does it hold.

  inferometer report calibration.json -o page.html
  inferometer report calibration.json validation.json prediction.json --model llama-3-8b -o page.html
  inferometer report h100-nccl --model llama-3-8b llama-3.1-70b --accelerator h100-sxm --tpot-max 0.03 -o page.html

FILE is any of: samples, a calibration or the name of a built-in one, an engine's profile (fit --serving), the JSON of validate,
predict, frontier, and fit --serving. The page opens from disk, needs no network, and prints. Without --accelerator models are
priced on the measured machine.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.page.page import report
from inferometer.launch.commands.flags.law_key import add_key_flag, law_key
from inferometer.launch.commands.flags.numbers import count, number, positive
from inferometer.launch.runs.outputs import keep_apart, replaced_path, write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sources", nargs="+", metavar="FILE", help="what other commands wrote, or a built-in calibration")
    parser.add_argument("-o", "--output", required=True, type=replaced_path, metavar="FILE.html", help="page to write")
    parser.add_argument("--model", nargs="+", metavar="MODEL", help="models to price; one of them is chosen in the page")
    parser.add_argument("--accelerator", metavar="NAME|FILE", help="device (default: the machine that was measured)")
    parser.add_argument("--weight-bits", type=count, default=16, metavar="BITS", help="bits of every weight (default 16)")
    parser.add_argument("--context", type=number, metavar="TOKENS", help="tokens in the cache while decoding (default 2048)")
    parser.add_argument("--gpus-max", type=count, default=64, metavar="N", help="most devices of a deployment (default 64)")
    parser.add_argument("--batch-max", type=count, default=4096, metavar="N", help="most sequences (default 4096)")
    parser.add_argument("--tpot-max", type=positive, metavar="S", help="the best is the cheapest within this time per token")
    parser.add_argument("--usd-per-hour", type=positive, metavar="USD", help="price of one device per hour")
    add_key_flag(parser)


def run(args: argparse.Namespace) -> int:
    if args.model is None and args.accelerator is not None:
        raise InputError(f"--accelerator {args.accelerator} is of a --model, and none is given")
    keep_apart([*args.sources, args.accelerator, *(args.model or [])], [args.output])
    page = report(*args.sources, questions=_questions(args))
    write_text(args.output, page)
    print(f"page: {args.output} ({len(page.encode()) / 1e3:.0f} kB)")
    return 0


def _questions(args: argparse.Namespace) -> list[Question]:
    further = {"key": law_key(args.key)} | ({} if args.usd_per_hour is None else {"usd_per_hour": args.usd_per_hour})
    return [
        Question(
            model, args.accelerator, Target(tpot_max_s=args.tpot_max), args.weight_bits, args.context,
            gpus_max=args.gpus_max, batch_max=args.batch_max, further=further,
        )
        for model in args.model or []
    ]  # fmt: skip
