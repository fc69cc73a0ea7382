"""Emulations that one start of the ranks carries out, one after another."""

from __future__ import annotations

import random
from typing import Literal

from pydantic import Field, model_validator

from inferometer.emulator.measure.method import Backend, Scheduler, Strict
from inferometer.emulator.validate.settings import Emulation

SHARED = ("backend", "device", "world_size", "scheduler", "threads", "launches", "timeout_s")
"""What belongs to the ranks, not to what they emulate."""


class Matrix(Strict):
    """The cells of one file of samples, which go by their place here. A single emulation is a matrix of one cell."""

    cells: list[Emulation] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_start(self) -> Matrix:
        for name in SHARED:
            values = {getattr(cell, name) for cell in self.cells}
            if len(values) > 1:
                raise ValueError(f"{name} must be the same in all cells, not {', '.join(sorted(map(str, values)))}")
        return self

    @property
    def backend(self) -> Backend:
        return self.cells[0].backend

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        return self.cells[0].device

    @property
    def world_size(self) -> int:
        return self.cells[0].world_size

    @property
    def scheduler(self) -> Scheduler:
        return self.cells[0].scheduler

    @property
    def threads(self) -> int:
        return self.cells[0].threads

    @property
    def launches(self) -> int:
        return self.cells[0].launches

    @property
    def timeout_s(self) -> float:
        return self.cells[0].timeout_s

    def order(self, launch: int) -> list[int]:
        """The places of the cells in the random order of a launch, so that no cell always runs behind the same one."""
        places = list(range(len(self.cells)))
        random.Random(f"{self.cells[0].seed}/{launch}").shuffle(places)
        return places
