"""How cells timed in a step depart from the isolated law plus the skew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.calibrate.departure import Array, Departure, Kernel, features
from inferometer.emulator.calibrate.skewrecords import SeenStep

#: Over ln bytes and ln time apart.
KERNELS: tuple[Kernel, ...] = ((0.3, (float(np.log(8)), float(np.log(6)))),)
NOISE = 0.05


def departure_of(seen: Sequence[SeenStep]) -> Departure:
    """A function of place_of: time in a step over the isolated time plus s."""
    at = place_of([its.bytes for its in seen], [its.apart_us for its in seen])
    return Departure(at, [its.ratio for its in seen], KERNELS, NOISE)


def place_of(bytes: ArrayLike, apart_us: ArrayLike) -> Array:
    """[…, 2]; these broadcast."""
    return features(*(np.log(np.maximum(its, 1.0)) for its in (bytes, apart_us)))
