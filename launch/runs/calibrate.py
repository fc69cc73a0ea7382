"""A calibration of this machine: a measurement and the fit of its samples."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.report.progress import Shown
from inferometer.emulator.samples.samples import read_header
from inferometer.launch.runs.fit import CalibrationFiles, fit_into
from inferometer.launch.runs.measure import Mode, measure
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.launch.runs.outputs import keep_apart


@dataclass(frozen=True)
class Calibrated:
    """A calibration, its files, and whether every measured result that was checked was right."""

    calibration: Calibration
    files: CalibrationFiles
    right: bool


def calibrate(
    settings: MeasureSettings | None = None,
    output: str | Path = "calibration.json",
    *,
    law: str = AUTO,
    resume: bool = False,
    given: Collection[str] | None = None,
    out: TextIO | None = None,
    shown: Shown = "progress",
) -> Calibrated | None:
    """Measure this machine and fit what was measured: `measure`, then `fit`, with the settings' seed for both.

    Writes FILE.json (the calibration), FILE.samples.jsonl (every clock reading; resume completes it, and given is as
    `measure` has it) and FILE.png. law: of every collective, auto or one by name. out, shown: of the cells, as `measure`
    has them. Under
    torchrun or mpiexec every process calls this, and gets None on ranks other than 0.

    Raises as `measure` and `fit` do.
    """
    asked, files = settings or MeasureSettings(), CalibrationFiles.beside(output)
    keep_apart([asked.sweep], [files.calibration, files.samples, files.figure])
    mode: Mode = "resume" if resume else "new"
    measured = measure(settings, files.samples, mode=mode, given=given, out=out, shown=shown)
    if measured is None:
        return None
    seed = read_header(files.samples)["method"]["seed"]
    return Calibrated(fit_into(files, seed, law), files, measured.right)
