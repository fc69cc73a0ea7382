"""How ranks are started: the flags that all commands share which start some."""

from __future__ import annotations

import argparse
from typing import Any

from inferometer.launch.runs.rank_settings import LAUNCHES


def add_rank_flags(
    parser: argparse.ArgumentParser, ranks_default: str | None, launches: int = LAUNCHES
) -> argparse._ArgumentGroup:
    """How ranks are started, shared by all that start some; returns the group, for the backends.

    ranks_default: how many by default, in words; None where the command settles that. launches: how many by default.
    """
    ranks = parser.add_argument_group("ranks")
    if ranks_default is not None:
        ranks.add_argument(
            "-n", "--ranks", type=int, metavar="N", help=f"local ranks (default: {ranks_default}); iterations are --iters"
        )
    ranks.add_argument(
        "--scheduler",
        choices=["auto", "rr-awake", "rr", "batch", "other"],
        default="auto",
        help="scheduler class of the ranks (default auto: the least noisy that is permitted)",
    )
    ranks.add_argument("--threads", type=int, default=1, help="OpenMP and torch threads per rank (default 1)")
    ranks.add_argument(
        "--launches", type=int, help=f"how often the ranks are started anew (default {launches}; intervals need 3)"
    )
    ranks.add_argument(
        "-T",
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="time limit of every wait for other ranks (default 60)",
    )
    return ranks


def add_device_flags(ranks: argparse._ArgumentGroup) -> None:
    """What models run on, and how their decode steps get there."""
    ranks.add_argument(
        "--device",
        choices=["cpu", "cuda"],
        help="what the ranks compute on (default cuda with nccl, else cpu; gloo carries what is on a GPU through the host)",
    )
    ranks.add_argument(
        "--launch-mode",
        choices=["graph", "eager"],
        help="how decode steps are launched on a GPU (default: captured in a graph where the backend allows)",
    )


def rank_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of RankSettings."""
    return {
        "ranks": getattr(args, "ranks", None),
        "backend": args.backend,
        "scheduler": args.scheduler,
        "threads": args.threads,
        "launches": args.launches,
        "timeout_s": args.timeout,
    }
