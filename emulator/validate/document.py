"""What a validation hands over: every cell measured and predicted, the errors over all, how far they reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.errors import RunFailed
from inferometer.emulator.samples.samples import read_header, read_records
from inferometer.emulator.validate.comparison import Compared, compared, missed, overall, rows_of
from inferometer.emulator.validate.extrapolation import extrapolations
from inferometer.emulator.validate.forecast import Forecast, Forecaster
from inferometer.emulator.validate.plan import Part, Plan
from inferometer.emulator.validate.settings import PHASES
from inferometer.emulator.validate.settings import SCHEMA as SAMPLES_SCHEMA
from inferometer.emulator.validate.table import SCHEMA

Forecasts = Mapping[tuple[int, str], Mapping[str, Forecast]]
"""By place in the plan and phase, by variant."""


@dataclass(frozen=True)
class Validation:
    """What is held against what. where: the plan's file or name; source: the calibration's."""

    plan: Plan
    where: str
    parts: Sequence[Part]
    left_out: Mapping[int, str]
    calibration: Calibration
    source: str

    def forecaster(self) -> Forecaster:
        matrix = self.parts[0].matrix
        return Forecaster(self.calibration, matrix.backend, matrix.scheduler)

    def forecasts(self) -> Forecasts:
        """Of every cell and phase. Raises InputError as the forecaster does."""
        forecaster = self.forecaster()
        cells = [(place, cell) for part in self.parts for place, cell in zip(part.places, part.matrix.cells)]
        return {(place, phase): forecaster.predictions(cell, phase) for place, cell in cells for phase in cell.phases}

    def _notes(self) -> list[str]:
        """Where the cells leave what the calibration has measured."""
        forecaster = self.forecaster()
        cells = [cell for part in self.parts for cell in part.matrix.cells]
        return list(
            dict.fromkeys(words for cell in cells for phase in cell.phases for words in forecaster.notes(cell, phase))
        )

    def document(self, paths: Sequence[Path]) -> dict[str, Any]:
        """Schema inferometer/validation/1, from the samples of each part. Unknown is None.

        Raises RunFailed for a cell without a step to count, InputError for files that are not such samples.
        """
        forecasts = self.forecasts()
        rows: list[Compared] = []
        launches: list[dict[str, Any]] = []
        for part, path in zip(self.parts, paths):
            records = list(read_records(path, allow_cut=True, schema=SAMPLES_SCHEMA))
            rows += _rows(part, records, forecasts, path)
            launches += [_launch(record, part.matrix.world_size) for record in records if record["record"] == "launch_end"]
        rows.sort(key=lambda row: (row.cell, PHASES.index(row.phase)))
        matrix = self.parts[0].matrix
        return {
            "schema": SCHEMA,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": read_header(paths[0], SAMPLES_SCHEMA)["environment"],
            "calibration": {"id": self.calibration.id, "path": self.source, "quality": self.calibration.quality.verdict},
            "matrix": {"name": self.plan.name, "path": self.where},
            "method": {
                "backend": matrix.backend,
                "scheduler": matrix.scheduler,
                "threads": matrix.threads,
                "launches": matrix.launches,
                "stop": self.plan.stop.model_dump(mode="json"),
            },
            "samples": [str(path) for path in paths],
            "launches": launches,
            "left_out": [{"cell": place, "reason": why} for place, why in self.left_out.items()],
            "overall": overall(rows),
            "missed": missed(rows),
            "notes": self._notes(),
            "extrapolation": extrapolations((cell for part in self.parts for cell in part.matrix.cells), self.forecaster()),
            "cells": [asdict(row) for row in rows],
        }


def _rows(part: Part, records: Sequence[dict[str, Any]], forecasts: Forecasts, path: Path) -> list[Compared]:
    rows = []
    for at, (place, cell) in enumerate(zip(part.places, part.matrix.cells)):
        for phase in cell.phases:
            launches = rows_of(records, at, phase)
            if not launches:
                raise RunFailed(f"{path}: no plain {phase} step of {cell.words()} was counted")
            rows.append(compared(cell, place, phase, launches, forecasts[place, phase]))
    return rows


def _launch(record: Mapping[str, Any], ranks: int) -> dict[str, Any]:
    """The state of the machine over one launch."""
    return {
        "ranks": ranks,
        "launch": record["launch"],
        "load_1m": record["conditions"]["load_1m"],
        "steal_fraction": record["steal_fraction"],
    }
