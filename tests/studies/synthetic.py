"""Synthetic cells with a planted truth, to show that the fit finds it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.calibrate.laws.linear import Law

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_SIZES = tuple(256 * 4**i for i in range(9))


@dataclass(frozen=True)
class Noise:
    """What spoils a synthetic measurement; spreads are standard deviations of ln t.

    launch: common to all cells of a launch. cell: of a cell in one launch. iteration: of one iteration, Student-t with
    tail_dof degrees of freedom (heavy tails). outliers: share of iterations, cell_outliers: share of (cell, launch)
    medians, that come out 2 to 10 times too long.
    """

    launch: float = 0.08
    cell: float = 0.03
    iteration: float = 0.05
    tail_dof: float = 3.0
    outliers: float = 0.10
    cell_outliers: float = 0.03


NO_NOISE = Noise(launch=0, cell=0, iteration=0, outliers=0, cell_outliers=0)


def synthetic_cells(
    collective: str,
    law: Law,
    truth: dict[str, float],
    layouts: Sequence[tuple[int, int]],
    *,
    seed: int,
    sizes: Sequence[int] = DEFAULT_SIZES,
    launches: int = 5,
    iterations: int = 40,
    noise: Noise | None = None,
    **key: Any,
) -> pd.DataFrame:
    """Cells as measured where the law holds exactly with parameters truth (µs, GB/s).

    layouts: (ranks, nodes) pairs; sizes in bytes; key overrides the key's fields. One row per cell and launch, in the
    order launch, layout, size, with us the median of its iterations_us [iterations] in µs.
    """
    import pandas as pd

    spread = Noise() if noise is None else noise
    rng = np.random.default_rng(seed)
    theta = law.theta(truth)
    fields = {
        "collective": collective,
        "implementation": "synthetic",
        "backend": "gloo",
        "launch_mode": "host",
        "timing": "isolated",
        "dtype": "float32",
        "concurrent_groups": 1,
        "scheduler": "batch",
        "oversubscribed": False,
    } | key
    rows = []
    for launch in range(launches):
        effect = spread.launch * rng.standard_normal()
        for ranks, nodes in layouts:
            for n in sizes:
                us = float(law.time_us(theta, n, ranks, nodes)[0])
                us *= np.exp(effect + spread.cell * rng.standard_normal())
                if rng.random() < spread.cell_outliers:
                    us *= rng.uniform(2, 10)
                times = us * np.exp(spread.iteration * rng.standard_t(spread.tail_dof, iterations))
                times *= np.where(rng.random(iterations) < spread.outliers, rng.uniform(2, 10, iterations), 1.0)
                rows.append(
                    fields
                    | {
                        "bytes": int(n),
                        "ranks": ranks,
                        "nodes": nodes,
                        "ranks_per_node": ranks / nodes,
                        "launch": launch,
                        "us": float(np.median(times)),
                        "n": iterations,
                        "flags": [],
                        "wrong": 0,
                        "iterations_us": times,
                    }
                )
    return pd.DataFrame(rows)
