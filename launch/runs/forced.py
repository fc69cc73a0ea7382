"""Launches in which NCCL may use but one algorithm and protocol, so that each gets a law of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method
from inferometer.emulator.samples.samples import read_records
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import Outcome
from inferometer.launch.runs.samples_file import logs_of, note_failure

ALGORITHMS = ("Ring", "Tree", "CollnetDirect", "CollnetChain", "NVLS", "NVLSTree", "PAT")
PROTOCOLS = ("LL", "LL128", "Simple")


class View(Protocol):
    """Whoever shows how far the launches are."""

    def launch(self, number: int, of: int, deadline: float | None) -> None: ...

    def say(self, text: str) -> None: ...


def checked_pairs(pairs: Sequence[str]) -> list[str]:
    """``Ring/LL`` for each, as NCCL spells them. Raises InputError for what is no pair of an algorithm and a protocol."""
    found = []
    for pair in pairs:
        names = [
            next((known for known in all_known if known.lower() == part.lower()), None)
            for all_known, part in zip((ALGORITHMS, PROTOCOLS), pair.split("/"))
        ]
        if pair.count("/") != 1 or None in names:
            raise InputError(
                f"--nccl-forced {pair}: give ALGORITHM/PROTOCOL, of {', '.join(ALGORITHMS)} and {', '.join(PROTOCOLS)}"
            )
        found.append("/".join(map(str, names)))
    return found


def variables_of(pair: str) -> dict[str, str]:
    """What forces NCCL."""
    algorithm, protocol = pair.split("/")
    return {"NCCL_ALGO": algorithm, "NCCL_PROTO": protocol}


def run_forced(path: Path, method: Method, run: Callable[[Job], Outcome], view: View) -> bool:
    """A launch for each pair that the file does not hold yet, of the collectives of the first launch; True if data were
    right.

    NCCL refuses some pairs for some collectives or machines: such a launch is noted and passed over.
    """
    if not method.nccl_forced:
        return True
    records = list(read_records(path, allow_cut=True))
    held = {str(one.get("variables")) for one in records if one["record"] == "launch" and one.get("variables")}
    cells = [one["cell"] for one in records if one["record"] == "cell" and one["launch"] == 0]
    number = max((one["launch"] for one in records if "launch" in one), default=-1) + 1
    right = True
    for pair in method.nccl_forced:
        variables = variables_of(pair)
        if str(variables) in held or not cells:
            continue
        view.launch(number, number + 1, None)
        view.say(f"launch {number + 1}: NCCL forced to {pair}")
        job = Job(
            method=method, samples=path.resolve(), launch=number, cells=cells, deadline=None, variables=variables,
            logs=logs_of(path.resolve()) / f"launch-{number}",
        )  # fmt: skip
        outcome = run(job)
        if outcome.reason == "interrupted":
            raise KeyboardInterrupt
        if outcome.reason == "failed":
            note_failure(path, number, outcome.text)
            view.say(f"note: NCCL forced to {pair}: {outcome.text}")
        right = right and outcome.reason != "wrong_data"
        number += 1
    return right
