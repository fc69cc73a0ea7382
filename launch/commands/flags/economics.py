"""The flags that `predict`, `frontier` and `paper` share, and the records that they make."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from inferometer.emulator.economics.serving.predict import load_of, precision_of
from inferometer.emulator.economics.serving.scenario import Scenario, scenario_of, shape_of
from inferometer.emulator.errors import InputError
from inferometer.launch.commands.flags.law_key import add_key_flag, add_launch_mode_flag, law_key
from inferometer.launch.commands.flags.numbers import number, positive
from inferometer.launch.runs.outputs import json_target, keep_apart


def add_price_flags(
    parser: argparse.ArgumentParser, *, several_speculators: bool = False, other_network: bool = False
) -> None:
    """What the network and a device cost, whether tokens are drafted, where the answer goes. other_network: collectives may be
    those of another calibration."""
    parser.add_argument(
        "--calibration", metavar="FILE|NAME", help="network costs from this calibration instead of the paper's constants"
    )
    if other_network:
        parser.add_argument(
            "--network-calibration",
            metavar="FILE|NAME",
            help="collectives by this calibration, computing by --calibration's kernels (or the datasheet)",
        )
    add_key_flag(parser)
    add_launch_mode_flag(parser)
    parser.add_argument(
        "--usd-per-hour", type=positive, metavar="USD", help="price of one device per hour instead of the built-in one"
    )
    if several_speculators:
        parser.add_argument("--speculator", nargs="+", metavar="MODEL|none", help="draft tokens with these models")
    else:
        parser.add_argument("--speculator", metavar="MODEL", help="draft tokens with this model")
    parser.add_argument("--acceptance", type=number, help="probability that a drafted token is accepted (default 0.8)")
    parser.add_argument("-J", "--json", type=json_target, metavar="FILE|-", help="write the answer as JSON; - for stdout")


def add_deployment_flags(parser: argparse.ArgumentParser) -> None:
    """How activations and cache are stored, how experts are loaded, how much memory stays free."""
    parser.add_argument(
        "--activation-bits", type=int, metavar="BITS", help="bits of activations, stored and sent (default 16)"
    )
    parser.add_argument("--kv-bits", type=int, metavar="BITS", help="bits of the KV cache (default 16)")
    parser.add_argument(
        "--routing", choices=("random", "uniform"), help="how tokens are spread over the experts (default random)"
    )
    parser.add_argument("--memory-reserve", type=number, metavar="FRACTION", help="share of memory kept free (default 0.1)")


def add_prompt_flags(parser: argparse.ArgumentParser) -> None:
    """What is asked of the model beyond decoding at a context."""
    parser.add_argument("--prompt", type=positive, metavar="TOKENS", help="with --output: also prefill (TTFT)")
    parser.add_argument("--output", type=positive, metavar="TOKENS", help="tokens generated for each prompt")
    parser.add_argument(
        "--interleave", action="store_true", help="run prompts together with decode steps, as continuous batching does"
    )


def scenario_from(args: argparse.Namespace) -> Scenario:
    """The scenario of the flags."""
    shape = shape_of(args.model)
    if args.max_context is not None:
        shape = replace(shape, max_context=args.max_context)
    return scenario_of(
        shape,
        args.accelerator,
        load_of(args.context, args.prompt, args.output, args.interleave),
        precision_of(args.weight_bits, args.activation_bits, args.kv_bits),
        speculator=None if args.speculator == "none" else args.speculator,
        **pricing(args),
    )


def bits(given: int | None) -> int:
    return 16 if given is None else given


def pricing(args: argparse.Namespace) -> dict[str, Any]:
    """Arguments of scenario_of (or EpochQuestion) for the flags that were given, so that its defaults stand for the others.

    Raises InputError for an acceptance without anything to accept.
    """
    if args.acceptance is not None and not any(name != "none" for name in as_list(args.speculator)):
        raise InputError(f"--acceptance {args.acceptance:g}: only tokens of a --speculator are accepted")
    mode = [] if getattr(args, "launch_mode", None) is None else [f"launch_mode={args.launch_mode}"]
    names = ("calibration", "network_calibration", "usd_per_hour", "routing", "memory_reserve", "acceptance")
    given = {name: getattr(args, name) for name in names if getattr(args, name, None) is not None}
    return given | {"key": law_key([*args.key, *mode])}


def as_list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def keep_inputs(args: argparse.Namespace, *writes: str | Path | None) -> None:
    """Raise InputError for an output, --json or one of writes, that is a file the flags name to be read."""
    given = (args.model, args.accelerator, args.calibration, getattr(args, "network_calibration", None), args.speculator)
    reads = [name for each in given for name in (each if isinstance(each, list) else [each])]
    keep_apart(reads, [*writes, args.json])
