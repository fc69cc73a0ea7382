"""What a step pays beyond isolated collectives, from a calibration's in-step overhead laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import PREFERRED
from inferometer.emulator.calibrate.evaluate.departure import Departure
from inferometer.emulator.calibrate.evaluate.in_step import choose_in_step_laws, outside, terms_us
from inferometer.emulator.calibrate.evaluate.in_step_residuals import departure_of, place_of
from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw
from inferometer.emulator.workload.program import Size

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

#: Waking up cold and drifting apart cost much the same whatever the collective: its overhead stands in for others'.
STANDS_IN = "all_reduce"
#: One stage hands on to the next: that they drift apart is the pipeline's waiting, which is priced as such.
HANDS_ON = frozenset({"send_recv"})


class CalibrationInStep:
    """The in-step overhead laws of one calibration; key narrows their choice as that of a network's laws."""

    def __init__(self, calibration: Calibration, key: Mapping[str, Any] | None = None) -> None:
        self._skews = calibration.in_step_laws
        self._key = {name: value for name, value in (key or {}).items() if name != "timing"}
        self._departures: dict[int, Departure] = {}
        """By the identity of the law."""
        self.notes: dict[str, None] = {}
        """In words, what was left out or stood in for so far."""

    def in_step_s(
        self, collective: str, bytes: Size, ranks: int, nodes: int, compute_gap_s: Size, isolated_s: Size
    ) -> Size | None:
        """Seconds at least 0, by the law and by how the cells that were measured depart from it.

        None, with a note, where neither the collective nor all_reduce was timed in a step there.
        """
        if ranks == 1:
            return 0.0
        for name in (collective, STANDS_IN):
            for law in self._of(name):
                if (law.ranks, law.nodes) == (ranks, nodes):
                    if name != collective:
                        self.notes[f"{collective}: the in-step overhead of {STANDS_IN}, its own was not measured"] = None
                    if collective in HANDS_ON:
                        compute_gap_s = 0.0 * np.asarray(compute_gap_s)
                    n, compute_gap_us = np.broadcast_arrays(np.asarray(bytes, float), np.asarray(compute_gap_s, float) * 1e6)
                    for limit in outside(law, n, compute_gap_us):
                        self.notes[f"the in-step overhead of {collective} is extrapolated in {limit}"] = None
                    told_s = isolated_s + np.maximum(terms_us(law, n, compute_gap_us).sum(axis=0), 0.0) * 1e-6
                    # Not for a stand-in: what it departs from includes its own isolated time.
                    if law.residuals and name == collective:
                        told_s = told_s * self._departure(law).ratio(place_of(n, compute_gap_us, True))
                    return np.maximum(told_s - isolated_s, 0.0)
        where = f"{ranks} ranks" + (f" of {nodes} nodes" if nodes > 1 else "")
        self.notes[f"{collective}: the in-step overhead on {where} was not measured, and is left out"] = None
        return None

    def _departure(self, law: InStepLaw) -> Departure:
        if id(law) not in self._departures:
            self._departures[id(law)] = departure_of(law.residuals or [])
        return self._departures[id(law)]

    def _of(self, collective: str) -> list[InStepLaw]:
        return choose_in_step_laws(self._skews, collective, self._key, PREFERRED)
