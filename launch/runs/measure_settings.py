"""What a measurement visits and how, as it is asked for; settled for this machine it is the `Method` all ranks agree on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.doctor import default_ranks
from inferometer.emulator.measure.kernels.plan import check_models
from inferometer.emulator.measure.method import (
    Method,
    Sweep,
    Tier,
    Timing,
    load_sweep,
    sizes_between,
)
from inferometer.emulator.measure.plan import buffer_bytes
from inferometer.emulator.measure.probes import kept_bytes, probes_of
from inferometer.emulator.names import did_you_mean, named
from inferometer.emulator.samples.environment import available_memory, usable_cores
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.runs.forced import checked_pairs
from inferometer.launch.runs.gpu_settings import check_device_memory, local_ranks, require_gpus, sharing_note, usable_gpus
from inferometer.launch.runs.rank_settings import RANK_BYTES, RankSettings, auto_backend, scheduler_class
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.device.gpus import Gpu
from inferometer.parallel.dtypes import MEASURED, common_name

GPU_MODES = ("graph", "stream", "eager")
FACTOR = 4
"""Between sizes, by default."""


@dataclass(frozen=True, kw_only=True)
class MeasureSettings(RankSettings):
    """The flags of `inferometer measure`, whose names errors mention.

    sweep: a built-in name or a TOML file, None for gpu with NCCL and else default. collectives, timings: only these,
    None for all of the sweep. Sizes go from min_bytes to max_bytes by a factor (None: 4) or by step_bytes. dtypes:
    float32, bfloat16, float16 or their short names. warmup: untimed calls before each cell. check: calls whose result is
    compared first. iterations: most of a cell, None for the sweep's. budget_s: of all launches together, None for no
    limit; what does not fit is left out, least important first. seed: of the order of the cells. two_level: all_reduce
    by node, an implementation of its own (parallel.two_level). launch_modes: of GPUs, of graph, stream, eager; None for
    all. nccl_forced: ALGORITHM/PROTOCOL, each in a further launch.
    """

    backend: Literal["auto", "gloo", "nccl", "mpi"] = "auto"
    sweep: str | Path | None = None
    collectives: Sequence[str] | None = None
    timings: Sequence[str] | None = None
    min_bytes: int = 64
    max_bytes: int = 16 << 20
    factor: int | None = None
    step_bytes: int | None = None
    dtypes: Sequence[str] = ("float32",)
    warmup: int = 3
    check: int = 1
    iterations: int | None = None
    budget_s: float | None = 300.0
    seed: int = 0
    two_level: bool = False
    launch_modes: Sequence[str] | None = None
    nccl_forced: Sequence[str] = ()

    def method(self, identity: Identity | None = None) -> tuple[Method, str]:
        """The settings, fully resolved, and a sentence about the scheduler. identity: this process's, under a launcher.

        Raises ``InputError``, before any rank is started, for what cannot be measured.
        """
        self.refuse_under(identity, "add others with measure --append")
        found = usable_gpus()
        asked = identity.world_size if identity else self.ranks
        backend = self.backend if self.backend != "auto" else auto_backend(asked, len(found))
        on_gpus = backend == "nccl"
        if on_gpus:
            require_gpus(found)
        world = asked if asked is not None else len(found) if on_gpus else default_ranks()
        too_few = InputError(f"{'-n ' if identity is None else ''}{world} rank: a collective needs at least 2 ranks")
        if world < (1 if on_gpus else 2):
            raise too_few
        name = self.sweep if self.sweep is not None else "gpu" if on_gpus else "default"
        sweep = narrowed(load_sweep(str(name)), self.collectives, self.timings, self.iterations)
        if world < 2 and not sweep.kernels:
            raise too_few
        if on_gpus and sweep.kernels:
            check_models(sweep.kernels)
        if self.launch_modes is not None and not on_gpus:
            raise InputError("--launch-modes: on processors every call returns with its result; they are for --backend nccl")
        if self.nccl_forced and (not on_gpus or identity):
            how = f"under {identity.launcher} set NCCL_ALGO and NCCL_PROTO" if identity else "it is for --backend nccl"
            raise InputError(f"--nccl-forced: {how}")
        dtypes = [common_name(name) for name in self.dtypes]
        for name in dtypes:
            if name not in MEASURED:
                raise InputError(f"-d {name}: unknown dtype; known are {', '.join(MEASURED)}")
        chosen, why = scheduler_class(self.scheduler, backend)
        if self.factor is not None and self.step_bytes is not None:
            raise InputError(f"-f {self.factor} and -i {self.step_bytes} exclude each other")
        factor = FACTOR if self.factor is None else self.factor
        fields = {
            "backend": backend,
            "world_size": world,
            "dtypes": dtypes,
            "sizes_bytes": sizes_between(self.min_bytes, self.max_bytes, factor, self.step_bytes),
            "sweep": sweep,
            "warmup": self.warmup,
            "check": self.check,
            "seed": self.seed,
            "scheduler": chosen,
            "threads": self.threads,
            "two_level": self.two_level,
            "launch_modes": list(self.launch_modes or GPU_MODES) if on_gpus else ["host"],
            "nccl_forced": checked_pairs(self.nccl_forced),
            "launches": self.launches_under(identity),
            "budget_s": self.budget_s,
            "timeout_s": self.timeout_s,
        }
        try:
            method = Method.model_validate(fields)
        except ValidationError as error:
            raise InputError(first_error(error)) from None
        check_sizes(method)
        local = local_ranks(world, identity)
        check_memory(method, found, local)
        shared = sharing_note(found, local) if on_gpus else ""
        return method, f"scheduler {chosen}: {why}{f'; {shared}' if shared else ''}"


def narrowed(sweep: Sweep, names: Sequence[str] | None, timings: Sequence[str] | None, iterations: int | None) -> Sweep:
    """The sweep with only these collectives and timings, and at most so many iterations of a cell.

    A collective or timing that no tier holds becomes a tier of its own. Raises ``InputError`` for an unknown one.
    """
    names = None if names is None else [collective_of(name) for name in names]
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
        raise InputError(f"--timings {','.join(timings or [])}: the sweep {sweep.name} has nothing of the kind")
    stop = sweep.stop
    if iterations is not None:
        if iterations < 6:
            raise InputError(f"--iters {iterations}: the interval of a median needs at least 6")
        least = min(stop.min_iterations, iterations)
        stop = stop.model_copy(update={"max_iterations": iterations, "min_iterations": least})
    compute = sweep.compute if names is None and timings is None else None  # whoever names collectives wants these alone
    return sweep.model_copy(update={"tier": tiers, "stop": stop, "compute": compute})


def collective_of(text: str) -> str:
    """A collective by any spelling of its name. Raises InputError for an unknown one."""
    found = named(text, COLLECTIVES)
    if found is None or (COLLECTIVES[found].pair and found != text):  # nccl-tests' sendrecv is a ring of all ranks
        hint = did_you_mean(text, COLLECTIVES)
        raise InputError(f"--collectives {text}: unknown{hint}; known are {', '.join(COLLECTIVES)}")
    return found


def check_sizes(method: Method) -> None:
    """Raise ``InputError`` where every size is too small for every collective, before ranks start for nothing."""
    names = sorted({name for tier in method.sweep.tier for name in tier.collectives})
    widest = max(method.sizes_bytes)
    fits = [COLLECTIVES[name].elements(widest, MEASURED[dtype].itemsize, 2) > 0 for name in names for dtype in method.dtypes]
    if not any(fits):
        each = " or ".join(f"{MEASURED[dtype].itemsize} bytes of {dtype}" for dtype in method.dtypes)
        raise InputError(f"-e {widest}: no size holds one element ({each}) for each of 2 ranks in {', '.join(names)}")


def check_memory(method: Method, found: Sequence[Gpu] = (), local: int = 1) -> None:
    """Raise ``InputError`` where the largest cell's buffers, on all local ranks together, exceed what is free.

    found: the node's GPUs, on which the buffers are of NCCL's ranks.
    """
    if method.backend == "nccl":
        names = {name for tier in method.sweep.tier for name in tier.collectives}
        largest = max(method.sizes_bytes)
        sizes = [
            (buffer_bytes(COLLECTIVES[name], largest, dtype, max(method.world_size, 2)), name)
            for dtype in method.dtypes
            for name in names
        ]
        if sizes:
            each, name = max(sizes)
            check_device_memory(each, found, local, f"-e {largest}: {name} with its checks")
        return
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
    names = {name for tier in method.sweep.tier for name in tier.collectives}
    for dtype in method.dtypes:
        largest = max(method.sizes_bytes)
        each, name = max((buffer_bytes(COLLECTIVES[name], largest, dtype, method.world_size), name) for name in names)
        if each * local > free:
            raise InputError(
                f"-e {largest}: {name} needs {each / 2**30:.1f} GiB a rank with its checks, "
                f"× {local} ranks = {each * local / 2**30:.1f} GiB, but {free / 2**30:.1f} GiB are free"
            )
