"""A whole emulation: on ranks of our own, launch after launch, or as one of the ranks that torchrun or mpiexec started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.execute.settings import SCHEMA, Emulation
from inferometer.emulator.measure.header import header_for
from inferometer.emulator.measure.samples import SamplesFile, read_records
from inferometer.launch.events import Event, Listener
from inferometer.launch.identity import Identity
from inferometer.launch.job import Job
from inferometer.launch.local import rank_environment, run_ranks
from inferometer.launch.measuring import keep_aside, logs_of
from inferometer.launch.rank_log import redirect_output
from inferometer.launch.sampling import faults_to, require_mpi
from inferometer.launch.worker import take_part


def emulate_here(method: Emulation, path: Path) -> None:
    """Start local ranks, launch after launch. Raises InputError, RunFailed, KeyboardInterrupt with what was kept."""
    if method.backend == "mpi":
        require_mpi()
    _open(path, method)
    for number in range(method.launches):
        print(f"launch {number + 1} of {method.launches}", file=sys.stderr, flush=True)
        logs = logs_of(path.resolve()) / f"launch-{number}"
        outcome = run_ranks(Job(method=method, samples=path.resolve(), launch=number, logs=logs), _silent)
        if outcome.reason == "failed":
            raise RunFailed(f"{outcome.text}; {kept_in(path)}")
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt(kept_in(path))


def emulate_as_rank(method: Emulation, path: Path, identity: Identity) -> bool:
    """Be one rank of one launch. True on rank 0, which has written the samples."""
    if method.backend == "mpi" and not identity.by_mpiexec:
        raise InputError(f"--backend mpi: start the ranks with mpiexec, not {identity.launcher}")
    job = Job(method=method, samples=path.resolve(), launch=0, logs=logs_of(path.resolve()) / "ranks")
    terminal = os.fdopen(os.dup(2), "w")
    listener: Listener = faults_to(terminal)
    if identity.rank == 0:
        try:
            _open(path, method)
        except InputError:
            from inferometer.launch.rendezvous import decline

            decline(identity)
            raise
    else:
        redirect_output(job.log_of(identity.rank))
    take_part(job, identity, lambda: listener)
    return identity.rank == 0


def kept_in(path: Path) -> str:
    """In words, what a samples file holds."""
    steps = sum(record["record"] == "step" for record in read_records(path, allow_cut=True, schema=SCHEMA))
    return f"{steps} steps of ranks kept in {path}"


def _open(path: Path, method: Emulation) -> None:
    kept = keep_aside(path)
    if kept:
        print(f"the older {path} is kept as {kept}", file=sys.stderr, flush=True)
    SamplesFile.create(path, header_for(method, rank_environment(os.environ, method.threads)), SCHEMA).close()


def _silent(event: Event) -> None: ...
