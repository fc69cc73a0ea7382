"""A calibration of this machine: a measurement and the fit of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import write_calibration
from inferometer.emulator.calibrate.fit.choose import AUTO
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.figure import draw
from inferometer.launch.runs.measure import measure
from inferometer.launch.runs.measure_settings import MeasureSettings
from inferometer.launch.runs.outputs import keep_apart, output_path, replaced_path, writing


@dataclass(frozen=True)
class CalibrationFiles:
    """Where a calibration goes, with what belongs beside it."""

    calibration: Path
    samples: Path
    figure: Path

    @classmethod
    def beside(cls, output: str | Path) -> CalibrationFiles:
        """FILE.json, FILE.samples.jsonl, FILE.png. Raises InputError where one of them cannot be written."""
        path = replaced_path(str(output))
        files = cls(path, output_path(str(path.with_suffix(".samples.jsonl"))), replaced_path(str(path.with_suffix(".png"))))
        if files.figure == path:
            raise InputError(f"-o {path}: the figure goes there; name the calibration FILE.json")
        return files


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
    out: TextIO | None = None,
) -> Calibrated | None:
    """Measure this machine and fit what was measured: `measure`, then `fit`, with the settings' seed for both.

    Writes FILE.json (the calibration), FILE.samples.jsonl (every clock reading; resume completes it) and FILE.png. law: of
    every collective, auto or one by name. out: where the table of cells goes as it is measured, None for nowhere. Under
    torchrun or mpiexec every process calls this, and gets None on ranks other than 0.

    Raises as `measure` and `fit` do.
    """
    asked, files = settings or MeasureSettings(), CalibrationFiles.beside(output)
    keep_apart([asked.sweep], [files.calibration, files.samples, files.figure])
    measured = measure(asked, files.samples, mode="resume" if resume else "new", out=out)
    if measured is None:
        return None
    return Calibrated(fit_into(files, asked.seed, law), files, measured.right)


def fit_into(files: CalibrationFiles, seed: int, law: str) -> Calibration:
    """Fit the samples; write the calibration and its figure. Raises InputError as `fit` does."""
    calibration = fit_files([files.samples], files.calibration, seed, law)
    draw_into(files.figure, calibration)
    return calibration


def fit_files(samples: Sequence[str | Path], path: Path, seed: int, law: str) -> Calibration:
    """Fit samples files and write the calibration. Raises InputError as `fit` does."""
    calibration = fit(samples, seed=seed, law=law)
    write_calibration(calibration, path)
    return calibration


def draw_into(figure: Path, calibration: Calibration) -> None:
    """Draw the points and the fitted lines. Raises InputError where the file cannot be written."""
    with writing(figure):
        draw(calibration, figure)
