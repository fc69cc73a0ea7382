"""How collectives in a step depart from the isolated law plus the in-step overhead.

There are residuals of two kinds: of cells timed in_step, after matmuls that all ranks repeat, and of the collectives in
models' steps. Steps are priced as models' steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from inferometer.emulator.aliases import Array
from inferometer.emulator.calibrate.evaluate.departure import Departure, Kernel, features
from inferometer.emulator.calibrate.schema.in_step_records import InStepResidual
from inferometer.emulator.calibrate.schema.keys import Key

if TYPE_CHECKING:
    import pandas as pd

#: Over ln bytes, ln compute gap, from cells to models.
KERNELS: tuple[Kernel, ...] = ((0.3, (float(np.log(8)), float(np.log(6)), 1.5)),)
NOISE = 0.05


def departure_of(residuals: Sequence[InStepResidual]) -> Departure:
    """A function of place_of: time in a step over the isolated time plus s."""
    at = place_of(
        [one.bytes for one in residuals], [one.compute_gap_us for one in residuals], [one.in_model for one in residuals]
    )
    return Departure(at, [one.ratio for one in residuals], KERNELS, NOISE)


def place_of(bytes: ArrayLike, compute_gap_us: ArrayLike, in_model: ArrayLike) -> Array:
    """[…, 3]; these broadcast."""
    return features(*(np.log(np.maximum(size, 1.0)) for size in (bytes, compute_gap_us)), in_model)


def in_models(steps: pd.DataFrame | None, key: Key, ranks: int, nodes: int) -> pd.DataFrame:
    """The collectives of models' steps that belong to key on so many ranks, one row each: the median over launches.

    steps: rows of measure.probe_table.model_collectives, or None. Columns: bytes, compute_gap_us, us.
    """
    import pandas as pd

    columns = ["bytes", "compute_gap_us", "us"]
    if steps is None or key["concurrent_groups"] != 1:
        return pd.DataFrame(columns=columns, dtype=float)
    same = (steps["ranks"] == ranks) & (steps["nodes"] == nodes)
    for name in ("collective", "backend", "dtype", "scheduler"):
        same &= steps[name] == key[name]
    return steps[same].groupby(["probe", "op"], sort=True)[columns].median()
