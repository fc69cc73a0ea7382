"""Lines of a calibration asked together: an element of each array for a question to one of them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.departure import Departures
from inferometer.emulator.calibrate.evaluate.residuals import SizesInModel, size_residuals, sizes_at, steps_of_several
from inferometer.emulator.calibrate.laws.compute import line_columns
from inferometer.emulator.calibrate.schema.compute_records import LINE_UNITS, ComputeLaw

PARAMETERS = ("o", *LINE_UNITS)


class Lines:
    """The lines that were asked so far, with their residuals made ready once for each."""

    def __init__(self) -> None:
        self.laws: list[ComputeLaw] = []
        self._places: dict[int, int] = {}
        """By the identity of the law."""
        self._residuals: list[SizesInModel | None] = []
        self._together: tuple[Array, Departures] | None = None

    def place(self, law: ComputeLaw) -> int:
        """By which `us` knows a law."""
        if id(law) not in self._places:
            self._places[id(law)] = len(self.laws)
            self.laws.append(law)
            self._residuals.append(size_residuals(law))
            self._together = None
        return self._places[id(law)]

    def us(self, which: NDArray[np.intp], sizes: Mapping[str, Array]) -> Array:
        """Time in µs [m] by the line at which [m] and its residuals; sizes: by RESIDUAL_SIZES, [m] each."""
        parameters, departures = self._together or self._collected()
        own = parameters[which]
        us = np.zeros(len(which))
        for at, column in enumerate(line_columns(sizes).values()):
            us = us + own[:, at] * column
        return us * departures.ratio(which, sizes_at(sizes), steps_of_several(sizes["tokens"]))

    def _collected(self) -> tuple[Array, Departures]:
        values = [[law.params[name].value or 0.0 for name in PARAMETERS] for law in self.laws]
        departures = [None if one is None else one.departure for one in self._residuals]
        self._together = np.array(values), Departures(departures)
        return self._together
