"""What a measurement that is gone on with takes from its file: the method, as far as nobody asks for something else."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from inferometer.emulator.checked import checked
from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.samples import read_header
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.runs.measure_settings import MeasureSettings, check_memory
from inferometer.launch.runs.rank_settings import scheduler_class

SETTLED = {
    "ranks": "world_size",
    "backend": "backend",
    "scheduler": "scheduler",
    "threads": "threads",
    "launches": "launches",
    "timeout_s": "timeout_s",
    "sweep": "sweep",
    "collectives": "sweep",
    "timings": "sweep",
    "iterations": "sweep",
    "min_bytes": "sizes_bytes",
    "max_bytes": "sizes_bytes",
    "factor": "sizes_bytes",
    "step_bytes": "sizes_bytes",
    "dtypes": "dtypes",
    "warmup": "warmup",
    "check": "check",
    "seed": "seed",
    "budget_s": "budget_s",
    "two_level": "two_level",
    "launch_modes": "launch_modes",
    "nccl_forced": "nccl_forced",
}
"""By setting, the field of a method that it settles."""


def method_in(path: Path, mode: str) -> Method:
    """The method of a samples file. Raises InputError where there is none."""
    if not path.exists():
        raise InputError(f"{path}: there is no such file to {mode}")
    held = read_header(path).get("method")
    if not isinstance(held, dict) or "sizes_bytes" not in held:
        raise InputError(f"{path}: cannot {mode}: its header holds no method of a measurement: it was imported")
    return checked(Method, held, f"{path}: header: method")


def resumed_method(
    path: Path, mode: str, asked: MeasureSettings, given: Collection[str], identity: Identity | None
) -> tuple[Method, str]:
    """The file's method, with what ``given`` settings say instead, and a sentence about the scheduler.

    given: fields of asked that somebody has set; a difference that matters is refused when the file is opened. Raises
    InputError for what cannot be measured here any more.
    """
    if identity is not None and identity.rank != 0 and not path.exists():
        return asked.method(identity)  # on another host: rank 0 has the file, and all ranks compare their methods
    held = method_in(path, mode)
    changed = {SETTLED[name] for name in given}
    if identity is not None:
        changed |= {"world_size", "launches"}
    if changed:
        now = asked.method(identity)[0]
        held = held.model_copy(update={name: getattr(now, name) for name in changed})
    scheduler_class(held.scheduler, held.backend)
    check_memory(held)
    return held, f"scheduler {held.scheduler}: as in {path}"
