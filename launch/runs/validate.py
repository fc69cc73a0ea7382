"""A whole validation: every number of ranks in turn, round after round, so that all see the same machine."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.checked import first_error
from inferometer.emulator.errors import InputError, RunFailed
from inferometer.emulator.samples.environment import available_memory, usable_cores
from inferometer.emulator.units import format_seconds
from inferometer.emulator.validate.document import Validation
from inferometer.emulator.validate.forecast import LEAST_LAUNCHES, check_agreement
from inferometer.emulator.validate.plan import Part, Plan, load_plan, parts_of
from inferometer.emulator.validate.settings import Configuration, Emulation
from inferometer.emulator.validate.table import validation_table
from inferometer.launch.ranks.events import Event
from inferometer.launch.ranks.identity import identity_from
from inferometer.launch.runs.alone import alone_with
from inferometer.launch.runs.emulate import kept_in, launch_here, open_emulation
from inferometer.launch.runs.emulate_settings import launched
from inferometer.launch.runs.fit import CalibrationFiles, fit_into
from inferometer.launch.runs.gpu_settings import check_device_memory, require_gpus, usable_gpus
from inferometer.launch.runs.measure import Mode, require_mpi, take_samples
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.launch.runs.outputs import keep_apart, note, output_path, replaced_path, write_json
from inferometer.launch.runs.rank_settings import RANK_BYTES, RankSettings, scheduler_class
from inferometer.parallel.dtypes import EXECUTED

if TYPE_CHECKING:
    import pandas as pd

LAUNCHES = 4
"""By default: more than intervals need, so that what one launch says counts less."""

Turn = Callable[[int], None]
"""Launches something in the round of that number."""


@dataclass(frozen=True, kw_only=True)
class ValidateSettings(RankSettings):
    """The flags of `inferometer validate`. matrix: what to emulate, a built-in name or a TOML file, which settles the ranks.

    backend: gloo, nccl or mpi. launches: None for 4. device, launch_mode: as EmulateSettings has them.
    """

    matrix: str | Path = "default"
    device: Literal["cpu", "cuda"] | None = None
    launch_mode: Literal["graph", "eager"] | None = None


@dataclass(frozen=True)
class Validated:
    """What a validation found: its document, which `output` holds as JSON, and all files written."""

    document: dict[str, Any]
    output: Path
    samples: tuple[Path, ...]

    @property
    def held(self) -> bool:
        """Whether every bound is held; a bound that is not known is not."""
        return all(bound["held"] for bound in self.document["overall"]["bounds"])

    def table(self) -> pd.DataFrame:
        """A row for each cell and phase, as validation_table has them."""
        return validation_table(self.document)


@dataclass(frozen=True)
class ValidationFiles:
    """Where a validation goes: FILE.json, and beside it the samples of each number of ranks."""

    output: Path

    @classmethod
    def checked(cls, output: str | Path) -> ValidationFiles:
        """Raises InputError where FILE cannot be written."""
        return cls(replaced_path(str(output)))

    def beside(self, name: str) -> Path:
        """``mine.calibration.json`` for ``mine.json`` and ``calibration.json``."""
        return self.output.with_name(f"{self.output.name.removesuffix('.json')}.{name}")

    def samples(self, ranks: int) -> Path:
        """Of the cells with so many ranks. Raises InputError where it cannot be written."""
        return output_path(str(self.beside(f"ranks-{ranks}.emulation.jsonl")))

    def calibration(self) -> CalibrationFiles:
        """Of a calibration made along the way. Raises InputError where its files cannot be written."""
        return CalibrationFiles.beside(self.beside("calibration.json"))


def validate(
    settings: ValidateSettings | None = None,
    output: str | Path = "validation.json",
    *,
    calibration: str | Path | None = None,
    also_written: str | None = None,
) -> Validated:
    """Compare predictions with a matrix of emulations that the fit has not seen; write the document and every clock reading.

    Starts its own ranks, one, two or more in turn. calibration: predict from this file or built-in name; None: calibrate in
    the same rounds of launches, into FILE.calibration.json. also_written: a further file that the caller writes, which must
    be none of those read or written here. Notes and progress go to stderr.

    Raises InputError, before any rank starts, under a launcher, for a matrix of which nothing fits, and for a calibration
    of another backend, scheduler or number of threads; RunFailed where a rank fails; KeyboardInterrupt with what is kept.
    """
    identity = identity_from(os.environ)
    if identity:
        raise InputError(f"validate starts its ranks itself, one, two or more in turn: leave {identity.launcher} out")
    asked, files = settings or ValidateSettings(), ValidationFiles.checked(output)
    plan = load_plan(str(asked.matrix))
    parts, left_out = planned(asked, plan)
    paths = [files.samples(part.matrix.world_size) for part in parts]
    made = files.calibration() if calibration is None else None
    models = {cell.model for part in parts for cell in part.matrix.cells}
    beside = [made.calibration, made.samples, made.figure] if made else []
    keep_apart([calibration, asked.matrix, *models], [files.output, also_written, *beside, *paths])
    source = str(made.calibration if made else calibration)
    if made:
        say(left_out)
        found = calibrate_between(asked, made, parts, paths)
        check_agreement(found, source, parts[0].matrix.backend, parts[0].matrix.scheduler, asked.threads)
        validation = Validation(plan, str(asked.matrix), parts, left_out, found, source)
    else:
        found = load_calibration(source)
        check_agreement(found, source, parts[0].matrix.backend, parts[0].matrix.scheduler, asked.threads)
        validation = Validation(plan, str(asked.matrix), parts, left_out, found, source)
        if not found.compute_laws:
            why = found.not_measured.get("compute", "none")
            note(f"{source}: compute: {why}: only the collectives are compared with it")
        validation.forecasts()  # a collective that the calibration lacks is an error before anything runs
        say(left_out)
        validate_here(parts, paths)
    document = validation.document(paths)
    write_json(files.output, document)
    return Validated(document, files.output, tuple(paths))


def say(left_out: dict[int, str]) -> None:
    for why in left_out.values():
        note(f"left out: {why}")


def planned(settings: ValidateSettings, plan: Plan) -> tuple[list[Part], dict[int, str]]:
    """The cells by numbers of ranks, and what is left out. Raises InputError before any rank is started."""
    launches = settings.launches_under(None, LAUNCHES)
    if launches < LEAST_LAUNCHES:
        raise InputError(f"--launches {launches}: how far launches differ needs at least {LEAST_LAUNCHES}")
    scheduler, _ = scheduler_class(settings.scheduler, settings.backend)
    free, concurrent_ranks = available_memory(), max(1, usable_cores() // max(settings.threads, 1))
    what = f"{concurrent_ranks} cores"
    on = launched(settings.backend, settings.device, settings.launch_mode, 2, 1)
    here = usable_gpus() if on["device"] == "cuda" else []
    if on["device"] == "cuda":
        require_gpus(here)
        concurrent_ranks, what = len(here), f"{len(here)} GPUs"

    def emulation(configuration: Configuration) -> Emulation:
        ranks = configuration.ranks
        fields = {
            **configuration.model_dump(),
            "backend": settings.backend,
            "world_size": ranks,
            "scheduler": scheduler,
            "threads": settings.threads,
            "launches": launches,
            "stop": plan.stop,
            "timeout_s": settings.timeout_s,
            **launched(settings.backend, settings.device, settings.launch_mode, ranks, configuration.pp),
        }
        try:
            cell = Emulation.model_validate(fields)
        except ValidationError as error:
            raise InputError(first_error(error)) from None
        if ranks <= concurrent_ranks and here:
            check_device_memory(float(cell.resident().total_bytes), here, ranks, "weights and cache")
        elif ranks <= concurrent_ranks:
            cell.check_memory(ranks, free, RANK_BYTES)
        return cell

    return parts_of(plan, str(settings.matrix), concurrent_ranks, emulation, what)


def calibrate_between(
    settings: ValidateSettings, files: CalibrationFiles, parts: Sequence[Part], paths: Sequence[Path]
) -> Calibration:
    """What `calibrate` does on the most ranks that a cell has, a launch of it in each round of the cells' launches.

    So both see the same machine, whose speed may change from minute to minute. The table of cells goes to stderr.
    """
    widest = parts[-1].matrix
    measuring = MeasureSettings(
        ranks=widest.world_size if widest.backend == "nccl" else max(widest.world_size, 2),
        backend=widest.backend,
        scheduler=widest.scheduler,
        threads=widest.threads,
        launches=1,
        timeout_s=settings.timeout_s,
        dtypes=sorted({EXECUTED[cell.bits].name for part in parts for cell in part.matrix.cells}),
    )
    if measuring.budget_s is not None:
        measuring = replace(measuring, budget_s=measuring.budget_s / widest.launches)
    method, words = measuring.method()

    def measured(number: int) -> None:
        mode: Mode = "append" if number else "new"
        if take_samples(method, files.samples, mode, None, None, words, "progress") is False:
            raise RunFailed(f"{files.samples}: wrong data: there is nothing to predict from")

    print(f"calibrating beside the cells, into {files.calibration}", file=sys.stderr, flush=True)
    validate_here(parts, paths, measured)
    return fit_into(files, measuring.seed, AUTO)


def validate_here(parts: Sequence[Part], paths: Sequence[Path], also: Turn | None = None) -> None:
    """Emulate each part on local ranks, its samples in its own file; also: what else has a turn in every round of launches.

    Each round begins with another of them (the first with also): what comes first or last in all of them would see another
    machine where its speed follows what ran before. Raises as emulating.launch_here does.
    """
    if any(part.matrix.backend == "mpi" for part in parts):
        require_mpi()
    with alone_with(*paths):
        for part, path in zip(parts, paths):
            open_emulation(path, part.matrix)
        _rounds(parts, paths, also)


def _rounds(parts: Sequence[Part], paths: Sequence[Path], also: Turn | None) -> None:
    """Every part's launches, round after round."""
    began = time.monotonic()
    turns = [also] if also else []
    turns += [partial(_launch, part, path, list(paths), began) for part, path in zip(parts, paths)]
    try:
        for number in range(parts[0].matrix.launches):
            first = number % len(turns)
            for turn in turns[first:] + turns[:first]:
                turn(number)
    except KeyboardInterrupt as interrupt:  # between two launches nobody has said yet what is kept
        raise KeyboardInterrupt(str(interrupt) or kept_in(*paths)) from None


def _launch(part: Part, path: Path, paths: list[Path], began: float, number: int) -> None:
    matrix, ranks = part.matrix, part.matrix.world_size
    words = f"launch {number + 1} of {matrix.launches}, {ranks} rank{'s' if ranks > 1 else ''}"
    launch_here(matrix, path, number, paths, Progress(words, part, began))


class Progress:
    """Says on the error stream which launch, which cell."""

    def __init__(self, words: str, part: Part, began: float) -> None:
        self._words, self._part, self._began = words, part, began
        self._seen: list[int] = []

    def __call__(self, event: Event) -> None:
        cell = event.get("cell")
        if event["event"] != "doing" or cell in self._seen or cell is None:
            return
        self._seen.append(cell)
        count = f"cell {len(self._seen)} of {len(self._part.places)}"
        what = self._part.matrix.cells[cell].words()
        passed = format_seconds(time.monotonic() - self._began)
        print(f"{self._words}: {count}: {what} ({passed})", file=sys.stderr, flush=True)
