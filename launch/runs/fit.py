"""The files of a calibration: samples are fitted, the calibration and its figure written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.evaluate.file import write_calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.errors import InputError
from inferometer.emulator.report.figure import draw
from inferometer.launch.runs.outputs import calibration_path, note, output_path, replaced_path, writing


@dataclass(frozen=True)
class CalibrationFiles:
    """Where a calibration goes, with what belongs beside it."""

    calibration: Path
    samples: Path
    figure: Path

    @classmethod
    def beside(cls, output: str | Path) -> CalibrationFiles:
        """FILE.json, FILE.samples.jsonl, FILE.png. Raises InputError where one of them cannot be written."""
        path = calibration_path(output)
        files = cls(path, output_path(str(path.with_suffix(".samples.jsonl"))), replaced_path(str(path.with_suffix(".png"))))
        if files.figure == path:
            raise InputError(f"-o {path}: the figure goes there; name the calibration FILE.json")
        return files


def fit_into(files: CalibrationFiles, seed: int, law: str) -> Calibration:
    """Fit the samples; write the calibration and its figure. Raises InputError as `fit` does."""
    calibration = fit_files([files.samples], files.calibration, seed, law)
    draw_into(files.figure, calibration)
    return calibration


def fit_files(samples: Sequence[str | Path], path: Path, seed: int, law: str) -> Calibration:
    """Fit samples files and write the calibration. Raises InputError as `fit` does."""
    calibration = fit(samples, seed=seed, law=law)
    left_out: Any = calibration.method["left_out"]
    for what, count in left_out.items():
        note(f"left out: {count} {what}")
    write_calibration(calibration, path)
    return calibration


def draw_into(figure: Path, calibration: Calibration) -> None:
    """Draw the points and the fitted lines. Raises InputError where the file cannot be written."""
    with writing(figure):
        draw(calibration, figure)
