"""The flags that `predict` shares with `frontier`, and how their answers are shown."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.law_key import add_key_flag, law_key
from inferometer.launch.commands.sweep_flags import json_target

if TYPE_CHECKING:
    from inferometer.emulator.economics.epoch_answer import EpochQuestion
    from inferometer.emulator.economics.request import Request

CONVENTIONS = ("deployable", "epoch-2025")
EPOCH_SETTLES = {
    "activation_bits": "activations have 16 bits",
    "kv_bits": "the cache has 16 bits",
    "prompt": "there is only decoding at a context",
    "output": "there is only decoding at a context",
}


def positive(text: str) -> float:
    """A finite number above 0."""
    value = number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def number(text: str) -> float:
    """A finite number, not negative."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f"{text} must be a finite number, at least 0")
    return value


def add_model_flags(parser: argparse.ArgumentParser, *, several_speculators: bool = False) -> None:
    """How the model is stored, what the network costs, what a device costs, whether tokens are drafted."""
    parser.add_argument("--convention", choices=CONVENTIONS, default="deployable", help="how to price (default deployable)")
    parser.add_argument("--activation-bits", type=int, metavar="BITS", help="activations, as stored and sent (default 16)")
    parser.add_argument("--kv-bits", type=int, metavar="BITS", help="the KV cache (default 16)")
    parser.add_argument(
        "--calibration", metavar="FILE|NAME", help="network terms from there instead of the paper's constants"
    )
    add_key_flag(parser)
    parser.add_argument("--usd-per-hour", type=float, metavar="USD", help="price of one device instead of the built-in one")
    parser.add_argument(
        "--routing", choices=("random", "uniform"), default="random", help="load of the experts (default random)"
    )
    parser.add_argument(
        "--memory-reserve", type=float, default=0.1, metavar="FRACTION", help="memory kept free (default 0.1)"
    )
    if several_speculators:
        parser.add_argument("--speculator", nargs="+", metavar="MODEL|none", help="draft tokens with these models")
    else:
        parser.add_argument("--speculator", metavar="MODEL", help="draft tokens with this model")
    parser.add_argument(
        "--acceptance", type=number, default=0.8, help="chance that a drafted token is accepted (default 0.8)"
    )
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer there; - for stdout")


def add_load_flags(parser: argparse.ArgumentParser) -> None:
    """What is asked of the model."""
    parser.add_argument("--weight-bits", type=int, default=16, metavar="BITS", help="4, 8, 16 or 32 (default 16)")
    parser.add_argument(
        "--context", type=number, help="tokens in the cache while decoding (default 2048; 0 under epoch-2025)"
    )
    parser.add_argument("--prompt", type=positive, metavar="TOKENS", help="with --output: also prefill (TTFT)")
    parser.add_argument("--output", type=positive, metavar="TOKENS", help="tokens generated for each prompt")
    parser.add_argument(
        "--interleave", action="store_true", help="prompts enter with decode steps, as continuous batching does"
    )


def request_from(args: argparse.Namespace, **changed: Any) -> Request:
    """The deployable question of the flags; changed: arguments that take another value than the flag's."""
    from inferometer.emulator.economics.predict import load_of
    from inferometer.emulator.economics.request import Request
    from inferometer.emulator.workload.precision import Precision

    flags = vars(args) | changed
    return Request(
        flags["model"],
        flags["accelerator"],
        load_of(flags["context"], args.prompt, args.output, args.interleave),
        Precision(flags["weight_bits"], args.activation_bits or 16, args.kv_bits or 16),
        calibration=args.calibration,
        key=law_key(args.key),
        usd_per_hour=args.usd_per_hour,
        routing=args.routing,
        memory_reserve=args.memory_reserve,
        speculator=args.speculator,
        acceptance=args.acceptance,
    )


def epoch_question(args: argparse.Namespace) -> EpochQuestion:
    """The question of the flags under epoch-2025. Raises InputError for a flag that this convention does not know."""
    from inferometer.emulator.economics.epoch_answer import EpochQuestion

    for name in ("activation_bits", "kv_bits", "prompt", "output"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')}: {EPOCH_SETTLES[name]} under the epoch-2025 convention")
    return EpochQuestion(
        args.model,
        args.accelerator,
        args.weight_bits,
        args.context or 0.0,
        args.calibration,
        law_key(args.key),
        args.usd_per_hour,
        args.speculator,
        args.acceptance,
    )


def show(target: str | None, document: Any, lines: Sequence[str]) -> None:
    """The lines on stdout, the document as JSON where --json says; with - nothing else goes to stdout."""
    text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    print("\n".join(lines))
    if target:
        Path(target).write_text(text)


def plain(value: Any) -> Any:
    """Numbers as JSON has them: numpy scalars plain, what is not a number null."""
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
