"""A whole measurement: open the samples file, start the launches one after another, share the budget among them.

The same loop serves a fresh run, ``--append`` and ``--resume``: it reads what the file already holds and runs what is
missing from each launch slot.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.measure.header import comparable, header_for
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.compare import first_difference
from inferometer.emulator.samples.samples import SamplesFile, read_header, read_records
from inferometer.launch.ranks.environment import rank_environment
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import Outcome

RunRanks = Callable[[Job], Outcome]


class Showing(Protocol):
    def launch(self, number: int, of: int, deadline: float | None) -> None: ...

    def say(self, text: str) -> None: ...


@dataclass
class Slot:
    """What a samples file holds of one launch."""

    done: list[str] = field(default_factory=list)
    reason: str | None = None
    """Why it ended; None while it has not ended in order."""


def logs_of(samples: Path) -> Path:
    return samples.with_name(samples.name.removesuffix(".jsonl").removesuffix(".samples") + ".logs")


def open_samples(path: Path, method: Method, mode: str) -> tuple[dict[int, Slot], Path | None]:
    """Make ``path`` ready to be appended to; returns what it holds and where an older file was moved to.

    ``mode``: ``new`` (an existing file is kept under another name), ``append`` or ``resume`` (which refuse a file of
    another machine or method, naming the field). Raises ``InputError``.
    """
    header = header_for(method, rank_environment(os.environ, method.threads))
    if mode == "new":
        kept = keep_aside(path)
        SamplesFile.create(path, header).close()
        return {}, kept
    if not path.exists():
        raise InputError(f"{path}: there is no such file to {mode}")
    difference = first_difference(comparable(read_header(path)), comparable(header))
    if difference:
        raise InputError(f"{path}: cannot {mode}: {difference}")
    SamplesFile.reopen(path).close()
    return slots_in(path), None


def keep_aside(path: Path) -> Path | None:
    """Rename an existing file to the first free ``name.N``: nothing that was measured is overwritten."""
    if not path.exists():
        return None
    if path.is_dir():
        raise InputError(f"{path}: is a directory")
    number = 1
    while (kept := path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    try:
        path.rename(kept)
    except OSError as error:
        raise InputError(f"{path}: cannot be moved aside: {error.strerror}") from None
    return kept


def slots_in(path: Path) -> dict[int, Slot]:
    """What each launch slot of a samples file holds."""
    slots: dict[int, Slot] = {}
    for record in read_records(path, allow_cut=True):
        if record["record"] == "launch":
            slots.setdefault(record["launch"], Slot()).reason = None
        elif record["record"] in ("cell", "compute"):
            slots.setdefault(record["launch"], Slot()).done.append(record["cell"])
        elif record["record"] == "launch_end":
            slots.setdefault(record["launch"], Slot()).reason = record["reason"]
    return slots


def run_launches(
    path: Path, method: Method, held: dict[int, Slot], run_ranks: RunRanks, showing: Showing, first: int, of: int
) -> bool:
    """Run launch slots ``first`` to ``of`` − 1 as far as the file does not hold them; True if all data were right.

    Raises ``RunFailed`` where a launch fails and ``KeyboardInterrupt`` where it was interrupted; either way everything
    measured so far is in the file.
    """
    began = time.monotonic()
    right = True
    for number in range(first, of):
        slot = held.setdefault(number, Slot())
        # The first slot decides by its budget what is visited; the others visit the same, so that launches compare.
        plan = held[0] if number > 0 and 0 in held and held[0].done else None
        if not lacks_cells(slot, plan):
            continue
        deadline = None
        if method.budget_s is not None:
            left_s = method.budget_s - (time.monotonic() - began)
            deadline = time.monotonic() + left_s / (of - number)
        showing.launch(number, of, deadline)
        job = Job(
            method=method, samples=path.resolve(), launch=number, cells=plan.done if plan else None, skip=slot.done,
            deadline=deadline, logs=logs_of(path.resolve()) / f"launch-{number}",
        )  # fmt: skip
        outcome = run_ranks(job)
        held.update(slots_in(path))
        right = right and outcome.reason != "wrong_data"
        if outcome.reason == "failed":
            count = sum(len(slot.done) for slot in held.values())
            _note_failure(path, number, outcome.text)
            raise RunFailed(f"{outcome.text}; {count} cells kept in {path}, measure --resume goes on")
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt
    return right


def lacks_cells(slot: Slot, first: Slot | None) -> bool:
    """Whether a slot has something left to measure, of what the ``first`` slot visited."""
    if slot.reason in ("complete", "budget"):
        return False
    return first is None or slot is first or not set(first.done) <= set(slot.done)


def _note_failure(path: Path, number: int, text: str) -> None:
    samples = SamplesFile.reopen(path)
    samples.append({"record": "launch_end", "launch": number, "reason": "failed", "text": text, "dropped": []})
    samples.close()
