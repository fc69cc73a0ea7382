"""The samples file of a measurement: made new, appended to or resumed; what it holds of each launch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.header import comparable, header_for
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.compare import first_difference
from inferometer.emulator.samples.samples import SamplesFile, read_header, read_records
from inferometer.launch.ranks.environment import cores_given, rank_environment
from inferometer.launch.ranks.identity import identity_from


@dataclass
class HeldLaunch:
    """What a samples file holds of one launch."""

    done: list[str] = field(default_factory=list)
    reason: str | None = None
    """Why it ended; None while it has not ended in order."""
    node_of: list[int] | None = None
    """The node of each of its ranks."""


def logs_of(samples: Path) -> Path:
    return samples.with_name(samples.name.removesuffix(".jsonl").removesuffix(".samples") + ".logs")


def open_samples(path: Path, method: Method, mode: str) -> tuple[dict[int, HeldLaunch], Path | None]:
    """Make ``path`` ready to be appended to; returns what it holds and where an older file was moved to.

    ``mode``: ``new`` (an existing file is kept under another name), ``append`` or ``resume`` (which refuse a file of
    another machine or method, naming the field). Raises ``InputError``.
    """
    cores = cores_given(identity_from(os.environ))
    header = header_for(method, rank_environment(os.environ, method.threads), cores)
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
    return held_in(path), None


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


def held_in(path: Path) -> dict[int, HeldLaunch]:
    """What each launch launch of a samples file holds."""
    held: dict[int, HeldLaunch] = {}
    for record in read_records(path, allow_cut=True):
        if record["record"] == "launch":
            launch = held.setdefault(record["launch"], HeldLaunch())
            launch.reason, launch.node_of = None, record.get("node_of")
        elif record["record"] in ("cell", "compute"):
            held.setdefault(record["launch"], HeldLaunch()).done.append(record["cell"])
        elif record["record"] == "launch_end":
            held.setdefault(record["launch"], HeldLaunch()).reason = record["reason"]
    return held


def lacks_cells(launch: HeldLaunch, first: HeldLaunch | None) -> bool:
    """Whether a launch has something left to measure, of what the ``first`` launch visited."""
    if launch.reason in ("complete", "budget"):
        return False
    return first is None or launch is first or not set(first.done) <= set(launch.done)


def note_failure(path: Path, number: int, text: str) -> None:
    """Write down that a launch has failed, and why."""
    samples = SamplesFile.reopen(path)
    samples.append({"record": "launch_end", "launch": number, "reason": "failed", "text": text, "dropped": []})
    samples.close()
