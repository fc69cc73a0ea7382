"""Compare calibrations or samples files: what changed per collective and size, and what that does to a model.

  inferometer compare before.json after.json
  inferometer compare before.samples.jsonl after.samples.jsonl --fail-above 5%
  inferometer compare polaris-tuned polaris-tcp --model llama-3-70b --accelerator a100-sxm-40 --gpus-max 32

OLD is compared with each NEW. A calibration file, a built-in name, or a samples file, which is fitted first. Launches are
the experimental unit: a ratio has an interval where both sides have two at least, else the laws' own. With --fail-above the
exit status is 1 if a ratio is worse by more than that and chance does not explain it.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from inferometer.emulator.compare.comparison import Comparison, compare
from inferometer.emulator.compare.deployments import Question
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.comparison import comparison_lines, markdown_lines
from inferometer.launch.commands.flags.law_key import add_key_flag, law_key
from inferometer.launch.commands.flags.numbers import count, number, positive
from inferometer.launch.runs.outputs import json_target, keep_apart, replaced_path, show, write_text
from inferometer.launch.runs.schemas import stamped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", metavar="OLD", help="calibration file, built-in name, or samples file")
    parser.add_argument("new", nargs="+", metavar="NEW", help="what OLD is compared with")
    parser.add_argument(
        "--fail-above", type=share, metavar="PERCENT", help="exit with 1 if a collective got slower by more than this (5%%)"
    )
    parser.add_argument("--markdown", type=replaced_path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every size")
    parser.add_argument("--model", metavar="MODEL", help="also find the best deployment of this model by each")
    parser.add_argument("--accelerator", metavar="NAME|FILE", help="device of the deployment (with --model)")
    parser.add_argument("--gpus-max", type=count, default=64, metavar="N", help="most devices of it (default 64)")
    parser.add_argument("--batch-max", type=count, default=4096, metavar="N", help="most sequences (default 4096)")
    parser.add_argument("--weight-bits", type=count, default=16, metavar="BITS", help="bits of every weight (default 16)")
    parser.add_argument("--context", type=number, metavar="TOKENS", help="tokens in the cache while decoding (default 2048)")
    parser.add_argument("--prompt", type=positive, metavar="TOKENS", help="with --output: also prefill (TTFT)")
    parser.add_argument("--output", type=positive, metavar="TOKENS", help="tokens generated for each prompt")
    parser.add_argument("--tpot-max", type=positive, metavar="S", help="the cheapest within this time per further token")
    parser.add_argument("--ttft-max", type=positive, metavar="S", help="the cheapest within this time to the first token")
    parser.add_argument("--usd-per-hour", type=positive, metavar="USD", help="price of one device per hour")
    add_key_flag(parser)
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    keep_apart([args.old, *args.new, args.model, args.accelerator], [args.markdown, args.json])
    found = compare(args.old, *args.new, question=_question(args))
    if args.markdown:
        write_text(args.markdown, "\n".join(markdown_lines(found, every=args.verbose)) + "\n")
    show(args.json, stamped("comparison", found.as_dict()), list(comparison_lines(found, every=args.verbose)))
    return _verdict(found, args.fail_above)


def share(text: str) -> float:
    """``5%`` or ``0.05`` → 0.05."""
    value = positive(text.removesuffix("%"))
    return value / 100 if text.endswith("%") else value


def _verdict(found: Comparison, limit: float | None) -> int:
    if limit is None:
        return 0
    beyond = found.beyond(limit)
    for subject, worst in beyond[:1]:
        size = "all sizes together" if worst.bytes is None else f"{worst.bytes} bytes"
        print(
            f"inferometer: {subject.name}: {worst.collective} of {size} on {worst.ranks} ranks takes {worst.ratio:.2f} times "
            f"as long; {len(beyond)} ratios are beyond {limit:.0%}",
            file=sys.stderr,
        )
    return 1 if beyond else 0


def _question(args: argparse.Namespace) -> Question | None:
    """What is asked of a model. Raises InputError for half a question."""
    if args.model is None:
        for name in ("accelerator", "tpot_max", "ttft_max", "prompt", "output"):
            if getattr(args, name) is not None:
                raise InputError(f"--{name.replace('_', '-')} is about a --model, and none is given")
        return None
    if args.accelerator is None:
        raise InputError(f"--model {args.model}: say on which --accelerator")
    further: dict[str, Any] = {"key": law_key(args.key)}
    if args.usd_per_hour is not None:
        further["usd_per_hour"] = args.usd_per_hour
    return Question(
        args.model, args.accelerator, Target(args.ttft_max, args.tpot_max), args.weight_bits, args.context, args.prompt,
        args.output, args.gpus_max, args.batch_max, further,
    )  # fmt: skip
