"""Take samples as a command does it: on ranks of our own, or as one of the ranks that torchrun or mpiexec started."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method
from inferometer.emulator.report.progress import Display
from inferometer.launch.ranks.events import Event, Listener
from inferometer.launch.ranks.identity import Identity
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import mpiexec, run_ranks
from inferometer.launch.ranks.logs import redirect_output
from inferometer.launch.ranks.worker import take_part
from inferometer.launch.runs.measuring import logs_of, open_samples, run_launches


def sample(method: Method, path: Path, mode: str, identity: Identity | None, out: TextIO, words: str) -> bool | None:
    """Take the samples in the way this process was started. True if all data were right; None on ranks other than 0.

    ``mode``: new, append or resume. ``out``: where the table goes. ``words``: about the scheduler, for the first line.
    """
    if identity is None:
        right: bool | None = sample_here(method, path, mode, out, words)
    else:
        right = sample_as_rank(method, path, mode, identity, out, words)
    if right is False:
        print("inferometer: wrong data: some results differ from what they must be (column #wrong)", file=sys.stderr)
    return right


def sample_here(method: Method, path: Path, mode: str, out: TextIO, words: str) -> bool:
    """Start local ranks, launch after launch, until the file is complete. True if all data were right.

    ``out``: where the table goes. Raises ``InputError``, ``RunFailed``, and ``KeyboardInterrupt`` with what was kept.
    """
    if method.backend == "mpi":
        require_mpi()
    held, kept = open_samples(path, method, mode)
    first = max(held, default=-1) + 1 if mode == "append" else 0
    of = max(first + method.launches, 1) if mode == "append" else method.launches
    display = Display(out, sys.stderr)
    if kept:
        display.say(f"the older {path} is kept as {kept}")
    budget = "no time budget" if method.budget_s is None else f"at most {method.budget_s:g} s"
    launches = "1 launch" if of - first == 1 else f"{of - first} launches"
    display.say(f"measuring {method.backend} on {method.world_size} ranks, {launches}, {budget}; {words}")
    display.open()
    try:
        return run_launches(path, method, held, lambda job: run_ranks(job, display), display, first, of)
    except KeyboardInterrupt:
        count = sum(len(slot.done) for slot in held.values())
        raise KeyboardInterrupt(f"{count} cells kept in {path}, --resume goes on") from None
    finally:
        display.close()


def sample_as_rank(method: Method, path: Path, mode: str, identity: Identity, out: TextIO, words: str) -> bool | None:
    """Be one rank of one launch. On rank 0 True if all data were right; None on the others."""
    if method.backend == "mpi" and not identity.by_mpiexec:
        raise InputError(f"--backend mpi: start the ranks with mpiexec, not {identity.launcher}")
    job = Job(
        method=method, samples=path.resolve(), launch=0, cells=None, deadline=None, logs=logs_of(path.resolve()) / "ranks"
    )
    if method.budget_s is not None:
        job = job.model_copy(update={"deadline": time.monotonic() + method.budget_s})
    if identity.rank != 0:
        terminal = os.fdopen(os.dup(2), "w")
        redirect_output(job.log_of(identity.rank))
        take_part(job, identity, lambda: faults_to(terminal))
        return None
    try:
        held, kept = open_samples(path, method, mode)
    except InputError:
        from inferometer.launch.ranks.rendezvous import decline

        decline(identity)
        raise
    if mode == "append":
        number = max(held, default=-1) + 1
    else:
        number = next((n for n, slot in held.items() if slot.reason not in ("complete", "budget")), 0)
    plan = held[0].done if number > 0 and 0 in held else None
    skip = held[number].done if number in held else []
    job = job.model_copy(update={"launch": number, "cells": plan, "skip": skip})
    display = Display(out, sys.stderr)
    if kept:
        display.say(f"the older {path} is kept as {kept}")
    display.say(f"measuring {method.backend} on {method.world_size} ranks started by {identity.launcher}; {words}")
    display.open()
    display.launch(number, number + 1, job.deadline)
    listener: Listener = _showing(display, sys.stderr)
    status = take_part(job, identity, lambda: listener)
    display.close()
    return status == 0


def _showing(display: Display, terminal: TextIO) -> Listener:
    faults = faults_to(terminal)

    def listen(event: Event) -> None:
        display(event)
        faults(event)

    return listen


def faults_to(terminal: TextIO) -> Callable[[Event], None]:
    """A listener that shows why a launch has failed."""

    def listen(event: Event) -> None:
        if event["event"] == "fault":
            print(f"inferometer: {event['text']}", file=terminal, flush=True)

    return listen


def require_mpi() -> None:
    """Raise ``InputError`` where mpi4py, its MPI library or mpiexec is missing."""
    mpiexec()
    try:
        from mpi4py import rc

        rc.initialize = False  # this process is no rank; it only asks whether the library is there
        from mpi4py import MPI  # noqa: F401
    except (ImportError, RuntimeError) as error:
        raise InputError(f"--backend mpi: {error}; pip install mpi4py mpich") from None
