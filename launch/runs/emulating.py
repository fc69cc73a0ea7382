"""A whole emulation: on ranks of our own, launch after launch, or as one of the ranks that torchrun or mpiexec started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.measure.header import header_for
from inferometer.emulator.samples.samples import SamplesFile, read_records
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.settings import SCHEMA
from inferometer.launch.ranks.environment import rank_environment
from inferometer.launch.ranks.events import Event, Listener
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import run_ranks
from inferometer.launch.ranks.logs import redirect_output
from inferometer.launch.ranks.worker import take_part
from inferometer.launch.runs.measuring import keep_aside, logs_of
from inferometer.launch.runs.sampling import faults_to, require_mpi


def emulate_here(matrix: Matrix, path: Path) -> None:
    """Start local ranks, launch after launch. Raises InputError, RunFailed, KeyboardInterrupt with what was kept."""
    if matrix.backend == "mpi":
        require_mpi()
    open_emulation(path, matrix)
    for number in range(matrix.launches):
        print(f"launch {number + 1} of {matrix.launches}", file=sys.stderr, flush=True)
        launch_here(matrix, path, number, [path], _silent)


def launch_here(matrix: Matrix, path: Path, number: int, paths: list[Path], listener: Listener) -> None:
    """One launch on local ranks, appended to the file at path.

    paths: all files of the command. Raises RunFailed, KeyboardInterrupt, saying what they hold.
    """
    job = Job(method=matrix, samples=path.resolve(), launch=number, logs=logs_of(path.resolve()) / f"launch-{number}")
    outcome = run_ranks(job, listener)
    if outcome.reason == "failed":
        raise RunFailed(f"{outcome.text}; {kept_in(*paths)}")
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt(kept_in(*paths))


def emulate_as_rank(matrix: Matrix, path: Path, identity: Identity) -> bool:
    """Be one rank of one launch. True on rank 0, which has written the samples."""
    if matrix.backend == "mpi" and not identity.by_mpiexec:
        raise InputError(f"--backend mpi: start the ranks with mpiexec, not {identity.launcher}")
    job = Job(method=matrix, samples=path.resolve(), launch=0, logs=logs_of(path.resolve()) / "ranks")
    terminal = os.fdopen(os.dup(2), "w")
    listener: Listener = faults_to(terminal)
    if identity.rank == 0:
        try:
            open_emulation(path, matrix)
        except InputError:
            from inferometer.launch.ranks.rendezvous import decline

            decline(identity)
            raise
    else:
        redirect_output(job.log_of(identity.rank))
    take_part(job, identity, lambda: listener)
    return identity.rank == 0


def open_emulation(path: Path, matrix: Matrix) -> None:
    """Start the file of samples; an older one is kept under another name. Raises InputError."""
    kept = keep_aside(path)
    if kept:
        print(f"the older {path} is kept as {kept}", file=sys.stderr, flush=True)
    SamplesFile.create(path, header_for(matrix, rank_environment(os.environ, matrix.threads)), SCHEMA).close()


def kept_in(*paths: Path) -> str:
    """In words, what files of samples hold."""
    steps = [
        sum(record["record"] == "step" for record in read_records(path, allow_cut=True, schema=SCHEMA)) for path in paths
    ]
    return " and ".join(f"{count} steps of ranks kept in {path}" for count, path in zip(steps, paths))


def _silent(event: Event) -> None: ...
