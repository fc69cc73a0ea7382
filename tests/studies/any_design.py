"""Whatever was measured, however little: a valid file must come out, and it must answer for the cells it was made from."""

from __future__ import annotations

import json
import warnings

import numpy as np
from hypothesis import strategies as st

from inferometer.emulator.calibrate.evaluate.file import to_json
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.laws.linear import affine
from tests.studies.synthetic import Noise, synthetic_cells

TRUTH = {"a": 120.0, "b": 35.0, "c": 80.0, "B_intra": 2.5, "B_inter": 0.9}
LAYOUTS = st.lists(
    st.sampled_from([(2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2), (16, 4)]), min_size=1, max_size=4, unique=True
)
SIZES = st.lists(st.sampled_from([64, 4096, 5000, 2**20, 2**24]), min_size=1, max_size=4, unique=True)


ANY_DESIGN = st.tuples(
    st.sampled_from(["all_reduce", "all_to_all", "broadcast", "send_recv", "barrier"]),
    LAYOUTS,
    SIZES,
    st.integers(1, 4),
    st.integers(0, 10**6),
    st.booleans(),
)
Design = tuple[str, list[tuple[int, int]], list[int], int, int, bool]
"""A collective, (ranks, nodes), bytes, launches, the seed of the noise, whether cells are missing."""


def check_design(design: Design) -> None:
    """Fit cells of a design and assert that the file is whole and says of each cell what it costs."""
    collective, layouts, sizes, launches, seed, gaps = design
    if collective == "send_recv":
        layouts = [layout for layout in layouts if layout[0] == 2] or [(2, 1)]
    sizes = [0] if collective == "barrier" else sizes
    noise = Noise(launch=0.3, cell=0.3, iteration=0.3)
    cells = synthetic_cells(
        collective,
        affine(collective),
        TRUTH,
        layouts,
        seed=seed,
        sizes=sizes,
        launches=launches,
        iterations=10,
        noise=noise,
    )
    if gaps:
        kept = np.random.default_rng(seed).random(len(cells)) < 0.7
        cells = cells[kept] if kept.any() else cells
    provenance = {"kind": "synthetic", "raw": []}
    calibration = calibrate(cells, seed=1, provenance=provenance, method={}, created="2026-01-01T00:00:00Z")
    json.loads(to_json(calibration), parse_constant=lambda name: 1 / 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        times = calibration.time_s(collective, cells["bytes"], cells["ranks"], cells["nodes"])
    assert np.isfinite(times).all() and (times > 0).all()
    model = calibration.law(collective)
    for parameter in model.params.values():
        if parameter.value is None:
            assert parameter.status in ("not_identified", "at_bound") and parameter.reason
        if parameter.status == "not_identified":
            assert parameter.value is None and parameter.ci95 is None
        if parameter.ci95 is None:
            assert parameter.ci95_reason
        else:
            assert parameter.ci95[0] <= parameter.ci95[1] and parameter.ci95[0] >= 0
