"""The flags that `predict` shares with `frontier`, and how their answers are shown."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inferometer.emulator.errors import InputError
from inferometer.launch.commands.law_key import add_key_flag, law_key
from inferometer.launch.commands.outputs import json_target, keep_apart, write_text

if TYPE_CHECKING:
    from inferometer.emulator.economics.paper.epoch_answer import EpochQuestion
    from inferometer.emulator.economics.serving.request import Request

#: Nobody has more tokens, devices, dollars than this.
MOST = 1e12
CONVENTIONS = ("deployable", "epoch-2025")
EPOCH_SETTLES = {
    "activation_bits": "activations have 16 bits",
    "kv_bits": "the cache has 16 bits",
    "prompt": "there is only decoding at a context",
    "output": "there is only decoding at a context",
    "interleave": "there is only decoding at a context",
    "routing": "experts are evenly loaded",
    "memory_reserve": "all memory counts",
    "gpus_max": "the grid is the paper's",
    "batch_max": "the grid is the paper's",
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
    if not 0 <= value <= MOST:
        raise argparse.ArgumentTypeError(f"{text} must be a number from 0 to {MOST:g}")
    return value


def count(text: str) -> int:
    """A whole number of devices or sequences."""
    value = number(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text} must be a whole number, at least 1")
    return int(value)


def add_model_flags(parser: argparse.ArgumentParser, *, several_speculators: bool = False) -> None:
    """How the model is stored, what the network costs, what a device costs, whether tokens are drafted."""
    parser.add_argument("--convention", choices=CONVENTIONS, default="deployable", help="how to price (default deployable)")
    parser.add_argument("--activation-bits", type=int, metavar="BITS", help="activations, as stored and sent (default 16)")
    parser.add_argument("--kv-bits", type=int, metavar="BITS", help="the KV cache (default 16)")
    parser.add_argument(
        "--calibration", metavar="FILE|NAME", help="network terms from there instead of the paper's constants"
    )
    add_key_flag(parser)
    parser.add_argument(
        "--usd-per-hour", type=positive, metavar="USD", help="price of one device instead of the built-in one"
    )
    parser.add_argument("--routing", choices=("random", "uniform"), help="load of the experts (default random)")
    parser.add_argument("--memory-reserve", type=number, metavar="FRACTION", help="memory kept free (default 0.1)")
    if several_speculators:
        parser.add_argument("--speculator", nargs="+", metavar="MODEL|none", help="draft tokens with these models")
    else:
        parser.add_argument("--speculator", metavar="MODEL", help="draft tokens with this model")
    parser.add_argument("--acceptance", type=number, help="chance that a drafted token is accepted (default 0.8)")
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer there; - for stdout")


def add_load_flags(parser: argparse.ArgumentParser) -> None:
    """What is asked of the model."""
    parser.add_argument(
        "--weight-bits",
        type=int,
        metavar="BITS",
        help="4, 8, 16 or 32 (default 16; what was measured, without --accelerator)",
    )
    parser.add_argument(
        "--context", type=number, help="tokens in the cache while decoding (default 2048; 0 under epoch-2025)"
    )
    parser.add_argument("--prompt", type=positive, metavar="TOKENS", help="with --output: also prefill (TTFT)")
    parser.add_argument("--output", type=positive, metavar="TOKENS", help="tokens generated for each prompt")
    parser.add_argument(
        "--interleave", action="store_true", help="prompts enter with decode steps, as continuous batching does"
    )


def request_from(args: argparse.Namespace) -> Request:
    """The deployable question of the flags."""
    from inferometer.emulator.economics.serving.predict import load_of, precision_of
    from inferometer.emulator.economics.serving.request import Request

    return Request(
        args.model,
        args.accelerator,
        load_of(args.context, args.prompt, args.output, args.interleave),
        precision_of(args.weight_bits, args.activation_bits, args.kv_bits),
        speculator=None if args.speculator == "none" else args.speculator,
        **pricing(args),
    )


def bits(given: int | None) -> int:
    return 16 if given is None else given


def pricing(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of Request for the flags that were given, so that its defaults stand for the others.

    Raises InputError for an acceptance without anything to accept.
    """
    if args.acceptance is not None and not any(name != "none" for name in as_list(args.speculator)):
        raise InputError(f"--acceptance {args.acceptance:g}: only tokens of a --speculator are accepted")
    names = ("calibration", "usd_per_hour", "routing", "memory_reserve", "acceptance")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return given | {"key": law_key(args.key)}


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def keep_inputs(args: argparse.Namespace, *writes: str | Path | None) -> None:
    """Raise InputError for an output, --json or one of writes, that is a file the flags name to be read."""
    given = (args.model, args.accelerator, args.calibration, args.speculator)
    reads = [name for each in given for name in (each if isinstance(each, list) else [each])]
    keep_apart(reads, [*writes, args.json])


def epoch_question(args: argparse.Namespace) -> EpochQuestion:
    """The question of the flags under epoch-2025. Raises InputError for a flag that this convention does not know."""
    from inferometer.emulator.economics.paper.epoch_answer import EpochQuestion

    refuse_under_epoch(args)
    further = pricing(args)
    return EpochQuestion(
        args.model,
        args.accelerator,
        bits(args.weight_bits),
        args.context or 0.0,
        speculator=None if args.speculator == "none" else args.speculator,
        **further,
    )


def refuse_under_epoch(args: argparse.Namespace) -> None:
    """Raise InputError for a flag that the epoch-2025 convention does not know."""
    for name, why in EPOCH_SETTLES.items():
        if getattr(args, name, None):
            raise InputError(f"--{name.replace('_', '-')}: {why} under the epoch-2025 convention")


def show(target: str | None, document: Any, lines: Sequence[str]) -> None:
    """The lines on stdout, the document as JSON where --json says; with - nothing else goes to stdout."""
    text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target != "-":
        print("\n".join(lines))
    if target:
        write_text(target, text)


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
