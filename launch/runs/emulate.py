"""A whole emulation: launch after launch on local ranks, or one launch as a rank that torchrun or mpiexec started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from inferometer.emulator.economics.pricing.prices import Prices, loaded, measured_prices, prices_of
from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.measure.header import header_for
from inferometer.emulator.report.emulation import split
from inferometer.emulator.samples.samples import SamplesFile, read_header, read_records
from inferometer.emulator.validate.accounting import Account, account
from inferometer.emulator.validate.campaign import Matrix
from inferometer.emulator.validate.predicted import Priced, mean_over_ranks, priced_step
from inferometer.emulator.validate.records import traces
from inferometer.emulator.validate.settings import PHASES, SCHEMA, Emulation, Phase
from inferometer.emulator.workload.precision import Precision
from inferometer.launch.ranks.environment import rank_environment
from inferometer.launch.ranks.events import Event, Listener
from inferometer.launch.ranks.identity import Identity, identity_from
from inferometer.launch.ranks.job import Job
from inferometer.launch.ranks.local import run_ranks
from inferometer.launch.ranks.worker import take_part
from inferometer.launch.runs.alone import alone_with
from inferometer.launch.runs.emulate_settings import EmulateSettings
from inferometer.launch.runs.measure import check_launcher, declining, faults_to, follow, require_mpi
from inferometer.launch.runs.outputs import keep_apart, note, output_path
from inferometer.launch.runs.samples_file import keep_aside, logs_of
from inferometer.launch.runs.schemas import stamped


@dataclass(frozen=True)
class Emulated:
    """What an emulation measured, by phase, and what was predicted for it (nothing without calibration or accelerator)."""

    samples: Path
    settings: Emulation
    accounts: dict[Phase, Account]
    predicted: dict[Phase, Priced]

    def document(self) -> dict[str, Any]:
        """What `emulate --json` writes: schema inferometer/emulation-summary/1. Unknown is None."""
        phases = []
        for phase, found in self.accounts.items():
            beside = self.predicted.get(phase)
            phases.append(found.as_dict() | {"split_us": split(found), "predicted": beside and asdict(beside)})
        fields = {
            "samples": str(self.samples),
            "method": read_header(self.samples, SCHEMA)["method"]["cells"][0],
            "not_kept": list(self.settings.small().not_kept),
            "phases": phases,
        }
        return stamped("emulation-summary", fields)


def emulate(
    settings: EmulateSettings,
    output: str | Path = "model.emulation.jsonl",
    *,
    calibration: str | Path | None = None,
    accelerator: str | Path | None = None,
    key: Mapping[str, Any] | None = None,
) -> Emulated | None:
    """Run a scaled-down model on real ranks, sharded as the layout says; every clock reading goes to a file of samples.

    A plain script starts tp·ep·pp·dp local ranks, several launches of them; under torchrun or mpiexec every process calls
    this, takes part in one launch as its rank, and gets None on ranks other than 0. Predicted beside it: network costs by
    the calibration, computing by the accelerator's datasheet (without one by the calibration). key: which of the
    calibration's laws, where several match. Notes and progress go to stderr.

    Raises InputError, before any rank starts, for what cannot run or be read; RunFailed where a rank fails, and
    KeyboardInterrupt, both with what the file holds.
    """
    identity = identity_from(os.environ)
    method, words = settings.emulation(identity)
    path = output_path(str(output))
    keep_apart([settings.model, calibration, accelerator], [path])
    prices = price_phases(method, calibration, accelerator, key or {})
    if identity is None or identity.rank == 0:
        for text in [*method.small().not_kept, words]:
            note(text)
    with nullcontext() if identity and identity.rank else alone_with(path):
        if identity is None:
            emulate_here(Matrix(cells=[method]), path)
        elif not emulate_as_rank(Matrix(cells=[method]), path, identity):
            return None
    records = list(read_records(path, schema=SCHEMA))
    steps = {phase: traces(records, phase) for phase in PHASES}
    return Emulated(path, method, {phase: account(phase, found) for phase, found in steps.items() if found}, prices)


def price_phases(
    method: Emulation, calibration: str | Path | None, accelerator: str | Path | None, key: Mapping[str, Any]
) -> dict[Phase, Priced]:
    """Predicted times by phase; none without a calibration and an accelerator. Raises InputError as these do."""
    if calibration is None and accelerator is None:
        return {}
    here = min(method.world_size, int(os.environ.get("LOCAL_WORLD_SIZE", method.world_size)))
    steps = {}
    for phase in method.phases:
        prices = _prices(
            method.precision, calibration, accelerator, {**method.law_key(phase, calibration is not None), **key}
        )
        steps[phase] = priced_step(method, phase, prices, here)
    for text in dict.fromkeys(one for step in steps.values() for one in [step.prices.no_compute, *step.notes] if one):
        note(text)
    return {phase: mean_over_ranks(step) for phase, step in steps.items()}


def _prices(
    precision: Precision, calibration: str | Path | None, accelerator: str | Path | None, key: Mapping[str, Any]
) -> Prices:
    """The accelerator's, or the machine's that the calibration has measured; without compute where it has measured none."""
    if accelerator is not None:
        return prices_of(calibration, accelerator, precision=precision, key=key)
    laws = loaded(calibration)
    if laws is None:
        raise InputError(f"--calibration {calibration}: needs --accelerator")
    prices = measured_prices(laws, precision=precision, key=key, as_machine=False)
    try:
        if prices.processor is not None:
            prices.processor.check(precision)
    except InputError as why:  # the collectives can be predicted all the same
        return replace(prices, processor=None, no_compute=str(why))
    return prices


def emulate_here(matrix: Matrix, path: Path) -> None:
    """Start local ranks, launch after launch. Raises InputError, RunFailed, KeyboardInterrupt with what was kept."""
    if matrix.backend == "mpi":
        require_mpi()
    open_emulation(path, matrix)
    for number in range(matrix.launches):
        print(f"launch {number + 1} of {matrix.launches}", file=sys.stderr, flush=True)
        launch_here(matrix, path, number, [path], notes_of)


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
    check_launcher(matrix.backend, identity)
    job = Job(method=matrix, samples=path.resolve(), launch=0, logs=logs_of(path.resolve()) / "ranks")
    if identity.rank != 0:
        follow(job, identity)
        return False
    with declining(identity):
        open_emulation(path, matrix)
    take_part(job, identity, lambda: faults_to(sys.stderr))
    return True


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


def notes_of(event: Event) -> None:
    """Of a launch's events, shows what the ranks found out before the run."""
    if event["event"] == "note":
        print(f"note: {event['text']}", file=sys.stderr, flush=True)
