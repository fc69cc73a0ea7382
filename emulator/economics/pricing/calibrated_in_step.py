"""What a step pays beyond isolated collectives, from a calibration's skew laws."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.calibrate.evaluate.calibration import PREFERRED
from inferometer.emulator.calibrate.evaluate.departure import Departure
from inferometer.emulator.calibrate.evaluate.in_step import choose_skews, outside, terms_us
from inferometer.emulator.calibrate.evaluate.in_step_residuals import departure_of, place_of
from inferometer.emulator.calibrate.schema.in_step_records import Skew
from inferometer.emulator.workload.program import Size

if TYPE_CHECKING:
    from inferometer.emulator.calibrate.evaluate.calibration import Calibration

#: Waking up cold and drifting apart cost much the same whatever the collective: this one's skew stands in for others.
STANDS_IN = "all_reduce"
#: One stage hands on to the next: that they drift apart is the pipeline's waiting, which is priced as such.
HANDS_ON = frozenset({"send_recv"})


class CalibrationSkew:
    """The skew laws of one calibration; key narrows their choice as that of a network's laws."""

    def __init__(self, calibration: Calibration, key: Mapping[str, Any] | None = None) -> None:
        self._skews = calibration.skew
        self._key = {name: value for name, value in (key or {}).items() if name != "timing"}
        self._departures: dict[int, Departure] = {}
        """By the identity of the law."""
        self.notes: dict[str, None] = {}
        """In words, what was left out or stood in for so far."""

    def skew_s(self, collective: str, bytes: Size, ranks: int, nodes: int, apart_s: Size, isolated_s: Size) -> Size | None:
        """Seconds at least 0, by the law and by how the cells that were measured depart from it.

        None, with a note, where neither the collective nor all_reduce was timed in a step there.
        """
        if ranks == 1:
            return 0.0
        for name in (collective, STANDS_IN):
            for law in self._of(name):
                if (law.ranks, law.nodes) == (ranks, nodes):
                    if name != collective:
                        self.notes[f"{collective}: the skew of {STANDS_IN}, its own was not measured"] = None
                    if collective in HANDS_ON:
                        apart_s = 0.0 * np.asarray(apart_s)
                    n, apart_us = np.broadcast_arrays(np.asarray(bytes, float), np.asarray(apart_s, float) * 1e6)
                    for limit in outside(law, n, apart_us):
                        self.notes[f"the skew of {collective} is extrapolated in {limit}"] = None
                    told_s = isolated_s + np.maximum(terms_us(law, n, apart_us).sum(axis=0), 0.0) * 1e-6
                    # Not for a stand-in: what it departs from includes its own isolated time.
                    if law.seen and name == collective:
                        told_s = told_s * self._departure(law).ratio(place_of(n, apart_us, True))
                    return np.maximum(told_s - isolated_s, 0.0)
        where = f"{ranks} ranks" + (f" of {nodes} nodes" if nodes > 1 else "")
        self.notes[f"{collective}: the skew on {where} was not measured, and is left out"] = None
        return None

    def _departure(self, law: Skew) -> Departure:
        if id(law) not in self._departures:
            self._departures[id(law)] = departure_of(law.seen or [])
        return self._departures[id(law)]

    def _of(self, collective: str) -> list[Skew]:
        return choose_skews(self._skews, collective, self._key, PREFERRED)
