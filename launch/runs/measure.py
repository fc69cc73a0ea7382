"""A whole measurement: launch after launch on local ranks, or one launch as a rank that torchrun or mpiexec started."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TextIO

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.measure.method import Method
from inferometer.emulator.report.progress import Display, Shown
from inferometer.emulator.report.table import bandwidths
from inferometer.emulator.samples.disturbed import disturbed
from inferometer.emulator.samples.environment import usable_cores
from inferometer.emulator.samples.samples import cell_table, read_header, read_records
from inferometer.launch.ranks.events import Event, Listener
from inferometer.launch.ranks.identity import Identity, identity_from
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import Outcome, mpiexec, run_ranks
from inferometer.launch.ranks.logs import redirect_output
from inferometer.launch.ranks.worker import take_part
from inferometer.launch.runs.alone import alone_with
from inferometer.launch.runs.forced import run_forced
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.launch.runs.outputs import keep_apart, output_path
from inferometer.launch.runs.resumed import SETTLED, resumed_method
from inferometer.launch.runs.samples_file import HeldLaunch, held_in, lacks_cells, logs_of, note_failure, open_samples
from inferometer.launch.runs.schemas import stamped
from inferometer.launch.streams import terminal_of
from inferometer.parallel.collectives import COLLECTIVES

if TYPE_CHECKING:
    import pandas as pd

Mode = Literal["new", "append", "resume"]
RunRanks = Callable[[Job], Outcome]
FIRST_SHARE = 0.8
"""Of its part of the time, for a launch that decides what further ones visit: they are to reach all of it."""


class ProgressView(Protocol):
    """Whoever shows how far the launches are."""

    def launch(self, number: int, of: int, deadline: float | None) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass(frozen=True)
class Measured:
    """What a measurement left: the samples file, and whether every result that was checked was right."""

    samples: Path
    right: bool

    def table(self) -> pd.DataFrame:
        """A row for each cell and launch: samples.cell_table with alg_bw and bus_bw in GB/s, as nccl-tests has them."""
        table = cell_table(self.samples).drop(columns="iterations_us")
        found = [
            bandwidths(size, us, COLLECTIVES[name].bus_factor(ranks))
            for size, us, name, ranks in zip(table["bytes"], table["us"], table["collective"], table["ranks"])
        ]
        return table.assign(alg_bw=[alg for alg, _ in found], bus_bw=[bus for _, bus in found])

    def summary(self) -> dict[str, Any]:
        """What `measure --json` writes: schema inferometer/measurement-summary/1, in nccl-tests' words."""
        cells = self.table().to_dict("records")
        with_data = [cell["bus_bw"] for cell in cells if cell["bytes"]]
        fields = {
            "samples": str(self.samples),
            "method": read_header(self.samples)["method"],
            "out_of_bounds": sum(cell["wrong"] or 0 for cell in cells),
            "average_bus_bandwidth": sum(with_data) / len(with_data) if with_data else None,
            "cells": cells,
        }
        return stamped("measurement-summary", fields)


def measure(
    settings: MeasureSettings | None = None,
    output: str | Path = "measurement.samples.jsonl",
    *,
    mode: Mode = "new",
    given: Collection[str] | None = None,
    out: TextIO | None = None,
    shown: Shown = "table",
) -> Measured | None:
    """Time collectives and compute on real ranks; write every clock reading to a samples file.

    A plain script starts local ranks, several launches of them; under torchrun or mpiexec every process calls this, takes
    part in one launch as its rank, and gets None on ranks other than 0. output: an older file is kept under another name
    (mode new), gets further launches (append) or is completed (resume), by the method it was begun with; of settings the
    ``given`` fields must then agree with it (None: all, where there are settings). out: where cells are shown, None for
    nowhere; shown: in a table at the end, in rows as they are measured, or not at all. Progress goes to stderr.

    Raises InputError, before any rank starts, for what cannot be measured; RunFailed where a rank fails, and
    KeyboardInterrupt, both with what the file holds.
    """
    asked, identity, path = settings or MeasureSettings(), identity_from(os.environ), output_path(str(output))
    keep_apart([asked.sweep], [path])
    if mode == "new":
        method, words = asked.method(identity)
    else:
        named = (SETTLED if settings else ()) if given is None else given
        with declining(identity) if identity and identity.rank == 0 else nullcontext():
            method, words = resumed_method(path, mode, asked, named, identity)
    right = take_samples(method, path, mode, identity, out, words, shown)
    return None if right is None else Measured(path, right)


def take_samples(
    method: Method, path: Path, mode: Mode, identity: Identity | None, out: TextIO | None, words: str, shown: Shown = "table"
) -> bool | None:
    """Take the samples in the way this process was started. True if all data were right; None on ranks other than 0.

    words: about the scheduler, for the first line. Raises as `measure` does.
    """
    with _table_stream(out) as stream, nullcontext() if identity and identity.rank else alone_with(path):
        if identity is None:
            right: bool | None = _on_local_ranks(method, path, mode, stream, words, shown)
        else:
            right = _as_rank(method, path, mode, identity, stream, words, shown)
    if right is not None:
        check_asked_for(path, method)
    if right is False:
        print("inferometer: wrong data: some results differ from what they must be (column #wrong)", file=sys.stderr)
    return right


def check_asked_for(path: Path, method: Method) -> None:
    """Raise RunFailed where the file holds no cell of as many ranks as were asked for."""
    most = max((int(name.split("/")[3].split("x")[0]) for name in _cells_of(path)), default=0)
    if method.world_size == 1:  # nobody to send to: kernels alone
        if not any(record["record"] == "compute" for record in read_records(path, allow_cut=True)):
            raise RunFailed(f"{path}: holds no kernel: give a larger --budget")
        return
    if most < method.world_size and any(COLLECTIVES[name].pair is False for name in _collectives(method)):
        held = f"only cells of {most} ranks" if most else "no cell"
        raise RunFailed(
            f"{path}: holds {held}, none of the {method.world_size} that were asked for: "
            "give a larger --budget, or a smaller -n"
        )


def _cells_of(path: Path) -> Iterator[str]:
    """Ids of the measured cells of collectives."""
    for record in read_records(path, allow_cut=True):
        if record["record"] == "cell" and "unmeasured" not in record:
            yield record["cell"]


def _collectives(method: Method) -> set[str]:
    return {name for tier in method.sweep.tier for name in tier.collectives}


@contextmanager
def _table_stream(out: TextIO | None) -> Iterator[TextIO]:
    if out is not None:
        yield out
        return
    with Path(os.devnull).open("w") as nowhere:
        yield nowhere


def _on_local_ranks(method: Method, path: Path, mode: Mode, out: TextIO, words: str, shown: Shown) -> bool:
    """Start local ranks, launch after launch, until the file is complete. True if all data were right."""
    if method.backend == "mpi":
        require_mpi()
    held, kept = open_samples(path, method, mode)
    first = max(held, default=-1) + 1 if mode == "append" else 0
    of = max(first + method.launches, 1) if mode == "append" else method.launches
    display = Display(out, terminal_of(sys.stderr), shown)
    if kept:
        display.say(f"the older {path} is kept as {kept}")
    if method.world_size > 4 * usable_cores():
        ranks = f"-n {method.world_size} starts {method.world_size} ranks"
        display.say(f"note: {ranks} on {usable_cores()} cores; iterations are --iters")
    budget = "no time budget" if method.budget_s is None else f"at most {method.budget_s:g} s"
    launches = "1 launch" if of - first == 1 else f"{of - first} launches"
    display.say(f"measuring {method.backend} on {method.world_size} ranks, {launches}, {budget}; {words}")
    display.open()
    try:
        right = run_launches(path, method, held, lambda job: run_ranks(job, display), display, first, of)
        return run_forced(path, method, lambda job: run_ranks(job, display), display) and right
    except KeyboardInterrupt:
        count = sum(len(launch.done) for launch in held.values())
        raise KeyboardInterrupt(f"{count} cells kept in {path}, {going_on(path)}") from None
    finally:
        display.close()


def run_launches(
    path: Path, method: Method, held: dict[int, HeldLaunch], run_ranks: RunRanks, view: ProgressView, first: int, of: int
) -> bool:
    """Run launches ``first`` to ``of`` − 1 as far as the file does not hold them; True if all data were right.

    Raises ``RunFailed`` where a launch fails and ``KeyboardInterrupt`` where it was interrupted; either way everything
    measured so far is in the file.
    """
    began = time.monotonic()
    right = True
    number, most, known = first, 2 * of - first, set(disturbed_launches(path) if held else ())
    while number < of:
        started = time.monotonic()
        launch = held.setdefault(number, HeldLaunch())
        # The first launch decides by its budget what is visited; the others visit the same, so that launches compare.
        plan = held[0] if number > 0 and 0 in held and held[0].done else None
        number += 1
        if not lacks_cells(launch, plan):
            continue
        left_s = _left_s(method, began)
        left, share = of - number + 1, FIRST_SHARE if plan is None and number < of else 1.0
        deadline = None if left_s is None else time.monotonic() + left_s * share / left
        view.launch(number - 1, of, deadline)
        job = Job(
            method=method, samples=path.resolve(), launch=number - 1, cells=plan.done if plan else None, skip=launch.done,
            deadline=deadline, logs=logs_of(path.resolve()) / f"launch-{number - 1}",
        )  # fmt: skip
        outcome = run_ranks(job)
        held.update(held_in(path))
        right = right and outcome.reason != "wrong_data"
        if outcome.reason == "failed":
            count = sum(len(launch.done) for launch in held.values())
            note_failure(path, number - 1, outcome.text)
            raise RunFailed(f"{outcome.text}; {count} cells kept in {path}, {going_on(path)}")
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt
        lasted_s, left_s = time.monotonic() - started, _left_s(method, began) or 0.0
        for other, why in disturbed_launches(path).items():
            if other not in known and of < most and left_s > lasted_s / 2:
                known.add(other)
                of += 1
                view.say(f"launch {other + 1} was disturbed ({why}): one more is made")
    return right


def going_on(path: Path) -> str:
    """What completes the file, which holds its settings."""
    return f"`inferometer measure --resume -o {shlex.quote(str(path))}` goes on"


def _left_s(method: Method, began: float) -> float | None:
    """Of the budget; None without one."""
    return None if method.budget_s is None else method.budget_s - (time.monotonic() - began)


def disturbed_launches(path: Path) -> dict[int, str]:
    """Which launches of a file were disturbed, and why."""
    return disturbed(read_records(path, allow_cut=True))


def _as_rank(
    method: Method, path: Path, mode: Mode, identity: Identity, out: TextIO, words: str, shown: Shown
) -> bool | None:
    """Be one rank of one launch. On rank 0 True if all data were right; None on the others."""
    check_launcher(method.backend, identity)
    job = Job(
        method=method, samples=path.resolve(), launch=0, cells=None, deadline=None, logs=logs_of(path.resolve()) / "ranks"
    )
    if method.budget_s is not None:
        job = job.model_copy(update={"deadline": time.monotonic() + method.budget_s})
    if identity.rank != 0:
        follow(job, identity)
        return None
    with declining(identity):
        held, kept = open_samples(path, method, mode)
    if mode == "append":
        number = max(held, default=-1) + 1
    else:
        number = next((n for n, launch in held.items() if launch.reason not in ("complete", "budget")), 0)
    plan = held[0].done if number > 0 and 0 in held else None
    skip = held[number].done if number in held else []
    node_of = next((launch.node_of for launch in held.values() if launch.node_of), None)
    job = job.model_copy(update={"launch": number, "cells": plan, "skip": skip, "node_of": node_of})
    display = Display(out, terminal_of(sys.stderr), shown)
    if kept:
        display.say(f"the older {path} is kept as {kept}")
    display.say(f"measuring {method.backend} on {method.world_size} ranks started by {identity.launcher}; {words}")
    display.open()
    display.launch(number, number + 1, job.deadline)
    faults = faults_to(sys.stderr)

    def listener(event: Event) -> None:
        display(event)
        faults(event)

    status = take_part(job, identity, lambda: listener)
    display.close()
    return status == 0


def check_launcher(backend: str, identity: Identity) -> None:
    """Raise ``InputError`` where ranks of this backend cannot have been started so."""
    if backend == "mpi" and not identity.by_mpiexec:
        raise InputError(f"--backend mpi: start the ranks with mpiexec, not {identity.launcher}")


def follow(job: Job, identity: Identity) -> None:
    """Be a rank other than 0: what it prints goes to its log, a failure that it reports to the terminal."""
    terminal = os.fdopen(os.dup(2), "w")
    redirect_output(job.log_of(identity.rank))
    take_part(job, identity, lambda: faults_to(terminal))


@contextmanager
def declining(identity: Identity) -> Iterator[None]:
    """Rank 0 opens its files: where that fails, the ranks that wait for it go home as well."""
    try:
        yield
    except InputError:
        from inferometer.launch.ranks.rendezvous import decline  # torch

        decline(identity)
        raise


def faults_to(terminal: TextIO) -> Listener:
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
