"""Calibrations made from cells of known parameters."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.laws.linear import affine
from tests.studies.synthetic import NO_NOISE, synthetic_cells

#: The paper's H100, eq. 23 and 39: numbers to compute by hand with.
TRUTH = {"a": 6.8, "b": 1.2, "c": 10.0, "B_intra": 225.0, "B_inter": 25.0}
SIZES = tuple(512 * 4**i for i in range(9))  # to 32 MiB
ONE_NODE = [(2, 1), (4, 1), (8, 1)]
CLUSTER = [*ONE_NODE, (2, 2), (8, 2), (16, 2), (32, 4)]
GPUS = {"hardware": {"devices": ["NVIDIA H100"]}, "software": {"versions": ["2.29.2"]}}


Layouts = Sequence[tuple[int, int]]


def made_from(frames: Sequence[pd.DataFrame], law: str = "affine", **about: object) -> Calibration:
    cells = pd.concat(frames, ignore_index=True)
    provenance = {"kind": "synthetic", "raw": []} | GPUS | about
    return calibrate(cells, seed=1, provenance=provenance, method={}, created="2026-01-01T00:00:00Z", law=law)


def cells_of(collective: str, layouts: Layouts, truth: dict[str, float] = TRUTH, **key: object) -> pd.DataFrame:
    fields = {"implementation": "nccl", "backend": "nccl", "launch_mode": "stream", "dtype": "float16"} | key
    law = affine(collective)
    known = {term.name: truth[term.name] for term in law.terms}
    return synthetic_cells(
        collective, law, known, layouts, seed=1, sizes=SIZES, launches=3, iterations=6, noise=NO_NOISE, **fields
    )
