"""Do 95 % intervals hold the planted truth? Of compute laws over launches, of network laws over the cells of one launch."""

import numpy as np
import pytest

from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.fit.intervals import over_cells
from inferometer.emulator.calibrate.fit.points import points_of
from inferometer.emulator.calibrate.fit.robust import fit_law
from inferometer.emulator.calibrate.laws.linear import affine
from tests.studies.planted_compute import LARGEST, matmul_us, probes
from tests.studies.recognition import NOISE, ONE_NODE, SIZES
from tests.studies.synthetic import synthetic_cells

RUNS = 100


@pytest.mark.timeout(900)
def test_intervals_of_a_compute_rate_cover_the_truth() -> None:
    """Launches differ by 5 %."""
    truth, inside = 4 * LARGEST / matmul_us(1, LARGEST) / 1e3, 0
    for seed in range(RUNS):
        surface = next(law for law in fit_compute(probes(noise=0.05, seed=seed)) if law["form"] == "surface")
        low, high = surface["rates"]["memory_gb_per_s"]["ci95"]
        inside += low <= truth <= high
    print(f"\nmemory rate inside its 95 % interval in {inside} of {RUNS} runs")
    assert 0.88 * RUNS <= inside <= 0.99 * RUNS


@pytest.mark.timeout(900)
def test_intervals_over_cells_cover_the_truth() -> None:
    """One launch, 3 % of noise between its cells."""
    law = affine("all_reduce")
    planted = {"a": 8.0, "b": 2.0, "c": 12.0, "B_intra": 50.0, "B_inter": 20.0}
    covered = []
    for seed in range(RUNS):
        options = {"seed": seed, "sizes": SIZES[::2], "launches": 1, "iterations": 1, "noise": NOISE}
        points = points_of(synthetic_cells("all_reduce", law, planted, ONE_NODE, **options))
        low, high = over_cells(fit_law(law, points), points, seed, refits=60).intervals.T
        true = np.array([8.0, 2.0, 1 / 50.0])
        covered += ((low <= true) & (true <= high)).tolist()
    print(f"\nparameters inside their 95 % intervals in {np.mean(covered):.1%}")
    assert 0.86 < np.mean(covered) < 0.99
