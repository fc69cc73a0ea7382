"""The models that are known by name, the types of configurations that are read, what is read of one.

  inferometer models
  inferometer models show deepseek-v3 --context 32768
  inferometer models show ~/models/gpt-oss-120b --json -

MODEL is a built-in name, a config.json of Hugging Face or a folder that holds one (with hf_quant_config.json beside it), or a
shape in TOML. The cache shown is that of one sequence between two steps.
"""

from __future__ import annotations

import argparse

from inferometer.emulator.errors import InputError
from inferometer.emulator.report.models import catalogue_lines, model_lines
from inferometer.emulator.workload.precision import WIDTHS
from inferometer.emulator.workload.storage.summary import CONTEXT, models
from inferometer.launch.runs.outputs import json_target, show
from inferometer.launch.runs.schemas import stamped

MOST = 10**9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("list", "show"), default="list", help="list (default), or show one model"
    )
    parser.add_argument("model", nargs="?", metavar="MODEL", help="of show: built-in model, config.json or its folder")
    parser.add_argument(
        "--context", type=int, default=CONTEXT, metavar="TOKENS", help=f"of the sequence whose cache is shown ({CONTEXT})"
    )
    for name, words in (("kv", "of a cached number"), ("state", "of a recurrent state's"), ("weight", "of every weight")):
        parser.add_argument(
            f"--{name}-bits",
            type=int,
            choices=WIDTHS,
            metavar="BITS",
            help=f"bits {words} (default: the checkpoint's, else 16)",
        )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the record as JSON; - for stdout")


def run(args: argparse.Namespace) -> int:
    if args.what == "list":
        if args.model is not None:
            raise InputError(f"models list takes no model, {args.model[:60]!r} was given; `models show` does")
        found = models()
        show(args.json, stamped("models", found), catalogue_lines(found["models"], found["types"]))
        return 0
    if args.model is None:
        raise InputError("models show: give a MODEL")
    if not 0 <= args.context <= MOST:
        raise InputError(f"--context {args.context}: 0 to {MOST} tokens")
    bits = {"kv_bits": args.kv_bits, "state_bits": args.state_bits, "weight_bits": args.weight_bits}
    found = models(args.model, context=args.context, **bits)
    show(args.json, stamped("model", found), model_lines(found["model"]))
    return 0
