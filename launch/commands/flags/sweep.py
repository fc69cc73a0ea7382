"""The flags of a sweep, shared by the commands that measure: nccl-tests' names where nccl-tests has the thing."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import get_args

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Timing
from inferometer.emulator.report.progress import Shown
from inferometer.emulator.units import parse_bytes
from inferometer.launch.commands.flags.rank import add_rank_flags, rank_settings
from inferometer.launch.commands.flags.seed import seed
from inferometer.launch.runs.measure_settings import MeasureSettings


def size(text: str) -> int:
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def seconds_or_none(text: str) -> float | None:
    if text == "none":
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither a positive number of seconds nor none")
    return value


def add_sweep_flags(parser: argparse.ArgumentParser) -> None:
    ranks = add_rank_flags(parser, "the largest power of two within the cores, at least 4")
    ranks.add_argument(
        "--backend",
        choices=["auto", "gloo", "nccl", "mpi"],
        default="auto",
        help="who carries the collectives (default auto: nccl where every local rank has a GPU, else gloo)",
    )
    sweep = parser.add_argument_group("sweep (nccl-tests' flags)")
    sweep.add_argument(
        "--sweep",
        metavar="NAME|FILE.toml",
        help="cells to measure, most important first (default: the built-in sweep 'default', with NCCL 'gpu')",
    )
    sweep.add_argument("--collectives", metavar="A,B", help="only these collectives (`inferometer list collectives`)")
    sweep.add_argument("--timings", metavar="A,B", help=f"only these timings, of {', '.join(get_args(Timing))}")
    sweep.add_argument("-b", "--minbytes", type=size, default=64, help="first size (default 64)")
    sweep.add_argument("-e", "--maxbytes", type=size, default=16 << 20, help="last size (default 16M)")
    sweep.add_argument("-f", "--stepfactor", type=int, help="factor between sizes (default 4)")
    sweep.add_argument("-i", "--stepbytes", type=size, help="step between sizes instead of a factor")
    sweep.add_argument(
        "-d",
        "--datatype",
        default="float32",
        metavar="A,B",
        help="element types: float32, bfloat16, float16 (default float32)",
    )
    sweep.add_argument("-w", "--warmup-iters", type=int, default=3, help="untimed calls before each cell (default 3)")
    sweep.add_argument("--iters", type=int, help="most iterations of a cell (default: what the sweep says)")
    sweep.add_argument("-c", "--check", type=int, default=1, help="calls whose result is compared before timing (default 1)")
    sweep.add_argument(
        "--budget",
        type=seconds_or_none,
        default=300.0,
        metavar="S|none",
        help="time budget of all launches together (default 300); what does not fit is left out, least important first",
    )
    sweep.add_argument(
        "--two-level",
        action="store_true",
        help="all_reduce by node: reduce_scatter in the node, all_reduce across, all_gather in the node (its own law)",
    )
    sweep.add_argument(
        "--launch-modes", metavar="A,B", help="on GPUs, how operations are launched: graph, stream, eager (default all)"
    )
    sweep.add_argument(
        "--nccl-forced",
        metavar="ALGO/PROTO,…",
        help="a further launch for each pair, such as Ring/LL, in which NCCL uses nothing else (laws of their own)",
    )
    sweep.add_argument(
        "--seed", type=seed, default=0, help="random seed of the order of the cells and of resampling (default 0)"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "-v", "--verbose", action="store_true", help="print each cell as it is measured, and all that is known"
    )
    shown.add_argument("-q", "--quiet", action="store_true", help="print neither progress nor cells")
    for flag in ("-g", "-t", "-G"):  # nccl-tests has them; `settings_from` says what to use here
        sweep.add_argument(flag, dest=f"refused{flag}", nargs="?", const="", metavar="N", help=argparse.SUPPRESS)


def shown_by(args: argparse.Namespace, usual: Shown) -> Shown:
    """What of the cells is shown: as -v or -q say, else as the command usually does."""
    return "rows" if args.verbose else "nothing" if args.quiet else usual


NCCL_OPERATIONS = ("sum", "prod", "min", "max", "avg", "all", "mulsum")
"""What -o takes in nccl-tests."""


def refuse_operation(output: str) -> None:
    """Raise InputError for an -o as nccl-tests has it."""
    if output in NCCL_OPERATIONS:
        raise InputError(f"-o {output}: -o names the file to write here; operations that add numbers always sum")


SETTING_OF = {
    "timeout": "timeout_s", "minbytes": "min_bytes", "maxbytes": "max_bytes", "stepfactor": "factor",
    "stepbytes": "step_bytes", "datatype": "dtypes", "warmup_iters": "warmup", "iters": "iterations", "budget": "budget_s",
}  # fmt: skip
"""Flags whose setting has another name."""


def given_settings(args: argparse.Namespace) -> set[str]:
    """The names of the settings that somebody has given, on the command line or in a file of flags."""
    names = {field.name for field in fields(MeasureSettings)}
    return {SETTING_OF.get(flag, flag) for flag in args.given} & names


def settings_from(args: argparse.Namespace) -> MeasureSettings:
    """The settings of the flags. Raises ``InputError`` for those of nccl-tests that have another form here."""
    refuse_operation(args.output)
    for flag in ("-g", "-t"):
        if getattr(args, f"refused{flag}") is not None:
            raise InputError(
                f"{flag}: one rank drives one device here; say how many with -n, or torchrun's --nproc-per-node"
            )
    if getattr(args, "refused-G") is not None:
        raise InputError("-G: give --launch-modes graph; a graph holds 20 operations, and replays are --iters")
    return MeasureSettings(
        **rank_settings(args),
        sweep=args.sweep,
        collectives=args.collectives.split(",") if args.collectives else None,
        timings=args.timings.split(",") if args.timings else None,
        min_bytes=args.minbytes,
        max_bytes=args.maxbytes,
        factor=args.stepfactor,
        step_bytes=args.stepbytes,
        dtypes=args.datatype.split(","),
        warmup=args.warmup_iters,
        check=args.check,
        iterations=args.iters,
        budget_s=args.budget,
        seed=args.seed,
        two_level=args.two_level,
        launch_modes=args.launch_modes.split(",") if args.launch_modes else None,
        nccl_forced=args.nccl_forced.split(",") if args.nccl_forced else (),
    )
