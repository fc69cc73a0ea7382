"""The flags of a sweep, shared by the commands that measure: nccl-tests' names where nccl-tests has the thing."""

from __future__ import annotations

import argparse
import os
from typing import Any, get_args

from pydantic import ValidationError

from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure import scheduler
from inferometer.emulator.measure.collectives import collectives, elements_for
from inferometer.emulator.measure.method import (
    DTYPE_ALIASES,
    ITEMSIZE,
    Backend,
    Method,
    Scheduler,
    Sweep,
    Tier,
    Timing,
    load_sweep,
    sizes_between,
)
from inferometer.emulator.measure.plan import buffer_bytes
from inferometer.emulator.measure.probes import kept_bytes, probes_of
from inferometer.emulator.samples.environment import available_memory, environment, usable_cores
from inferometer.emulator.units import parse_bytes
from inferometer.launch.ranks.identity import Identity
from inferometer.parallel.mesh import powers_of_two

RANK_BYTES = 100 << 20
"""What a process with torch loaded takes for itself; libraries that all ranks share not counted."""
LAUNCHES = 3
"""By default: as many as intervals need."""


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


def seed(text: str) -> int:
    """A whole number from 0, as numpy's generators take it."""
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def add_rank_flags(
    parser: argparse.ArgumentParser, ranks_default: str | None, launches: int = LAUNCHES
) -> argparse._ArgumentGroup:
    """How ranks are started, shared by all that start some; returns the group, for the backends.

    ranks_default: how many by default, in words; None where the command settles that. launches: how many by default.
    """
    ranks = parser.add_argument_group("ranks")
    if ranks_default is not None:
        ranks.add_argument("-n", "--ranks", type=int, metavar="N", help=f"local ranks (default: {ranks_default})")
    ranks.add_argument(
        "--scheduler",
        choices=["auto", "rr", "batch", "other"],
        default="auto",
        help="scheduler class of the ranks (auto: the least noisy that is permitted)",
    )
    ranks.add_argument("--threads", type=int, default=1, help="OpenMP and torch threads per rank (default 1)")
    ranks.add_argument("--launches", type=int, help=f"times to start the ranks anew (default {launches}; intervals need 3)")
    ranks.add_argument(
        "-T",
        "--timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="time limit of every wait for other ranks (default 60)",
    )
    return ranks


def add_sweep_flags(parser: argparse.ArgumentParser) -> None:
    ranks = add_rank_flags(parser, "the largest power of two within the cores, at least 4")
    ranks.add_argument(
        "--backend",
        choices=["auto", "gloo", "nccl", "mpi"],
        default="auto",
        help="auto: nccl where there is a GPU per rank, else gloo",
    )
    sweep = parser.add_argument_group("sweep (nccl-tests' flags)")
    sweep.add_argument(
        "--sweep",
        default="default",
        metavar="NAME|FILE.toml",
        help="what to visit, in the order of importance (default: default)",
    )
    sweep.add_argument("--collectives", metavar="A,B", help="only these")
    sweep.add_argument("--timings", metavar="A,B", help=f"only these: {', '.join(get_args(Timing))}")
    sweep.add_argument("-b", "--minbytes", type=size, default=64, help="first size (default 64)")
    sweep.add_argument("-e", "--maxbytes", type=size, default=16 << 20, help="last size (default 16M)")
    sweep.add_argument("-f", "--stepfactor", type=int, help="factor between sizes (default 4)")
    sweep.add_argument("-i", "--stepbytes", type=size, help="step between sizes instead of a factor")
    sweep.add_argument("-d", "--datatype", default="float32", metavar="A,B", help="float32, bfloat16, float16")
    sweep.add_argument("-w", "--warmup-iters", type=int, default=3, help="untimed calls before each cell (default 3)")
    sweep.add_argument("--iters", type=int, help="most iterations of a cell (default: the sweep's)")
    sweep.add_argument("-c", "--check", type=int, default=1, help="calls whose result is compared before timing (default 1)")
    sweep.add_argument(
        "--budget",
        type=seconds_or_none,
        default=300.0,
        metavar="S|none",
        help="seconds for all launches together (default 300); what does not fit is dropped, least important first",
    )
    sweep.add_argument("--seed", type=seed, default=0, help="of the order of the cells (default 0)")
    for flag in ("-g", "-t", "-G"):  # nccl-tests has them; `_refuse` says what to use here
        sweep.add_argument(flag, dest=f"refused{flag}", nargs="?", const="", metavar="N", help=argparse.SUPPRESS)


def method_from(args: argparse.Namespace, identity: Identity | None) -> tuple[Method, str]:
    """The settings, fully resolved, and a sentence about the scheduler. Raises ``InputError``, before any rank is started."""
    _refuse(args, identity)
    world = identity.world_size if identity else (args.ranks if args.ranks is not None else default_ranks())
    if world < 2:
        raise InputError(f"{'-n ' if identity is None else ''}{world} rank: a collective needs at least 2 ranks")
    backend = args.backend if args.backend != "auto" else auto_backend(world)
    sweep = _filtered(load_sweep(args.sweep), args)
    dtypes = [DTYPE_ALIASES.get(name, name) for name in args.datatype.split(",")]
    for name in dtypes:
        if name not in ITEMSIZE:
            raise InputError(f"-d {name}: unknown dtype; known are {', '.join(ITEMSIZE)}")
    chosen, why = scheduler_class(args.scheduler, backend)
    if args.stepfactor is not None and args.stepbytes is not None:
        raise InputError(f"-f {args.stepfactor} and -i {args.stepbytes} exclude each other")
    factor = 4 if args.stepfactor is None else args.stepfactor
    try:
        method = Method(
            backend=backend,
            world_size=world,
            dtypes=dtypes,
            sizes_bytes=sizes_between(args.minbytes, args.maxbytes, factor, args.stepbytes),
            sweep=sweep,
            warmup=args.warmup_iters,
            check=args.check,
            seed=args.seed,
            scheduler=chosen,
            threads=args.threads,
            launches=1 if identity else (LAUNCHES if args.launches is None else args.launches),
            budget_s=args.budget,
            timeout_s=args.timeout,
        )
    except ValidationError as error:
        raise InputError(first_error(error)) from None
    check_sizes(method)
    check_memory(method)
    return method, f"scheduler {chosen}: {why}"


def scheduler_class(asked: str, backend: str) -> tuple[Scheduler, str]:
    """The class of the ranks and why. Raises ``InputError`` for one that this user may not use."""
    if asked == "auto":
        return scheduler.choose(backend)
    if not scheduler.permitted(asked):
        raise InputError(f"--scheduler {asked}: this user may not use that class (root, or a limit on rtprio)")
    chosen: Any = asked
    return chosen, "as asked"


def refuse_under(identity: Identity | None, args: argparse.Namespace, another: str) -> None:
    """Raise ``InputError`` for what a launcher has settled. ``another``: how launches are added, in words."""
    if identity and args.ranks is not None:
        raise InputError(
            f"-n {args.ranks}: {identity.launcher} has already started {identity.world_size} ranks; leave -n out"
        )
    if identity and args.launches is not None:
        raise InputError(f"--launches {args.launches}: one {identity.launcher} run is one launch; {another}")


def _refuse(args: argparse.Namespace, identity: Identity | None) -> None:
    for flag in ("-g", "-t"):
        if getattr(args, f"refused{flag}") is not None:
            raise InputError(
                f"{flag}: one rank drives one device here; say how many with -n, or torchrun's --nproc-per-node"
            )
    if getattr(args, "refused-G") is not None:
        raise InputError("-G: CUDA graph launches are not measured yet; without it GPU collectives are timed on the stream")
    refuse_under(identity, args, "add others with measure --append")


def _filtered(sweep: Sweep, args: argparse.Namespace) -> Sweep:
    """The sweep with only the collectives and timings that were asked for; what no tier holds becomes a tier of its own."""
    names = args.collectives.split(",") if args.collectives else None
    timings = args.timings.split(",") if args.timings else None
    known = collectives()
    for name in names or []:
        if name not in known:
            raise InputError(f"--collectives {name}: unknown; known are {', '.join(known)}")
    for timing in timings or []:
        if timing not in get_args(Timing):
            raise InputError(f"--timings {timing}: unknown; known are {', '.join(get_args(Timing))}")
    tiers = []
    for tier in sweep.tier:
        kept = [name for name in tier.collectives if names is None or name in names]
        when = [timing for timing in tier.timings if timings is None or timing in timings]
        if kept and when:
            tiers.append(tier.model_copy(update={"collectives": kept, "timings": when}))
    for timing in timings or (["isolated"] if names else []):
        held = {name for tier in tiers if timing in tier.timings for name in tier.collectives}
        missing = [name for name in names or [] if name not in held]
        if missing:
            tiers.append(Tier(collectives=missing, timings=[timing], why="asked for by name"))
    if not tiers:
        raise InputError(f"--timings {args.timings}: the sweep {sweep.name} has nothing of the kind")
    stop = sweep.stop
    if args.iters is not None:
        if args.iters < 6:
            raise InputError(f"--iters {args.iters}: the interval of a median needs at least 6")
        least = min(stop.min_iterations, args.iters)
        stop = stop.model_copy(update={"max_iterations": args.iters, "min_iterations": least})
    compute = sweep.compute if names is None and timings is None else None  # whoever names collectives wants these alone
    return sweep.model_copy(update={"tier": tiers, "stop": stop, "compute": compute})


def default_ranks() -> int:
    """The largest power of two within the usable cores, at least 4: fewer would leave b of t_reduce undetermined."""
    return max(4, max(powers_of_two(usable_cores())))


def auto_backend(world: int) -> Backend:
    """nccl where every local rank gets a GPU and torch can use it, else gloo. Reads no more than package metadata."""
    here = environment(os.environ)
    torch_version = here["software"]["torch"] or ""
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    return "nccl" if len(here["hardware"]["gpus"]) >= local and "+cpu" not in torch_version else "gloo"


def check_sizes(method: Method) -> None:
    """Raise ``InputError`` where every size is too small for every collective, before ranks start for nothing."""
    records = collectives()
    names = sorted({name for tier in method.sweep.tier for name in tier.collectives})
    widest = max(method.sizes_bytes)
    fits = [elements_for(records[name], widest, ITEMSIZE[dtype], 2) > 0 for name in names for dtype in method.dtypes]
    if not any(fits):
        each = " or ".join(f"{ITEMSIZE[dtype]} bytes of {dtype}" for dtype in method.dtypes)
        raise InputError(f"-e {widest}: no size holds one element ({each}) for each of 2 ranks in {', '.join(names)}")


def check_memory(method: Method) -> None:
    """Raise ``InputError`` where the largest cell's buffers, on all local ranks together, exceed what is free."""
    if method.backend == "nccl":
        return  # device memory is each rank's own; its allocator reports what it lacks
    free = available_memory()
    if free is None:
        return
    local = int(os.environ.get("LOCAL_WORLD_SIZE", method.world_size))
    compute = method.sweep.compute
    probes = probes_of(method, [local], usable_cores())
    standing = RANK_BYTES + (2 * compute.working_set_bytes if compute else 0)  # matmuls' matrices, a model's steps
    models, concurrent_ranks = kept_bytes(probes), max((probe.concurrent_ranks for probe in probes), default=0)
    if local * standing + concurrent_ranks * models > free:
        probed = f" + {models / 2**20:.0f} MiB of probed models × {concurrent_ranks} at once" if probes else ""
        raise InputError(
            f"-n {local}: {standing / 2**20:.0f} MiB for each process × {local} ranks{probed} = "
            f"{(local * standing + concurrent_ranks * models) / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free"
        )
    records = collectives()
    names = {name for tier in method.sweep.tier for name in tier.collectives}
    for dtype in method.dtypes:
        largest = max(method.sizes_bytes)
        each, name = max((buffer_bytes(records[name], largest, dtype, method.world_size), name) for name in names)
        if each * local > free:
            raise InputError(
                f"-e {largest}: {name} needs {each / 2**30:.1f} GiB a rank with its checks, "
                f"× {local} ranks = {each * local / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free"
            )
