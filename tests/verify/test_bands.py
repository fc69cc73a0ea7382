"""Decisions under uncertainty: bands of a frontier hold the truth, and probabilities to be the best are right as often."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from inferometer.emulator.calibrate.evaluate.calibration import Calibration
from inferometer.emulator.calibrate.fit.build import calibrate
from inferometer.emulator.calibrate.laws.linear import affine
from inferometer.emulator.compare.deployments import Question, search
from inferometer.emulator.economics.serving.candidates import Target
from inferometer.emulator.economics.serving.draws import choice, frontier_band
from tests.studies.synthetic import NO_NOISE, Noise, synthetic_cells

TRIALS = 200
SIZES = tuple(4**power for power in range(4, 13))
TOPOLOGIES = [(2, 1), (4, 1), (8, 1)]
QUESTION = Question("llama-3-8b", "h100-sxm", Target(), gpus_max=8, batch_max=64)
RIVALS = ((2, 4), (4, 8))
"""Tensor-parallel degrees that are about as fast as each other in a trial."""
BATCHES = (1, 4, 16, 64)
"""For each of them the fastest layout is a decision."""


def made(seed: int, truth: Mapping[str, float], noise: Noise, launches: int = 4) -> Calibration:
    key = {"implementation": "nccl", "backend": "nccl", "launch_mode": "stream", "dtype": "float16"}
    cells = [
        synthetic_cells(
            name, affine(name), {term.name: truth.get(term.name, 20.0) for term in affine(name).terms}, TOPOLOGIES,
            seed=seed + at, sizes=SIZES, launches=launches, iterations=8, noise=noise, **key,
        )
        for at, name in enumerate(("all_reduce", "all_gather"))
    ]  # fmt: skip
    about = {"kind": "synthetic", "raw": []}
    rows = pd.concat(cells, ignore_index=True)
    return calibrate(rows, seed=1, provenance=about, method={}, created="2026-01-01T00:00:00Z", law="affine")


class Truths:
    """The exact times of all candidates for any planted parameters: they are linear in a, b and 1/B."""

    def __init__(self) -> None:
        plain = {"a": 10.0, "b": 2.0, "B_intra": 100.0}
        moved = [plain, plain | {"a": 20.0}, plain | {"b": 4.0}, plain | {"B_intra": 200.0}]
        tables = [search(QUESTION, made(0, truth, NO_NOISE, 1)).columns for truth in moved]
        self.columns = tables[0]
        X = np.array([self._row(truth) for truth in moved])
        self._slopes = np.linalg.solve(X, np.array([table["token_latency_s"] for table in tables]))

    @staticmethod
    def _row(truth: Mapping[str, float]) -> list[float]:
        return [1.0, truth["a"], truth["b"], 1 / truth["B_intra"]]

    def times_s(self, truth: Mapping[str, float]) -> np.ndarray:
        return np.array(self._row(truth)) @ self._slopes

    def close(self, rng: np.random.Generator) -> dict[str, float]:
        """Parameters by which two degrees of RIVALS are about as fast as each other: b is drawn around where they tie."""
        few, many = (
            int(np.flatnonzero((self.columns["tp"] == tp) & (self.columns["gpus"] == tp) & (self.columns["batch"] == 1))[0])
            for tp in RIVALS[rng.integers(len(RIVALS))]
        )
        truth = {"a": rng.uniform(2.0, 8.0), "b": 1.0, "B_intra": float(np.exp(rng.uniform(np.log(50), np.log(400))))}
        at_one = self.times_s(truth)
        slope = self._slopes[2]
        tie = 1.0 + (at_one[few] - at_one[many]) / (slope[many] - slope[few])
        return truth | {"b": float(tie * np.exp(0.2 * rng.standard_normal()))}


@pytest.mark.timeout(600)
def test_bands_and_probabilities_are_calibrated() -> None:
    truths = Truths()
    inside, chances = [], []
    for trial in range(TRIALS):
        truth = truths.close(np.random.default_rng(trial))
        true_s = truths.times_s(truth)
        found = search(QUESTION, made(1000 + 10 * trial, truth, Noise()))
        assert all((found.columns[name] == truths.columns[name]).all() for name in ("layout", "gpus", "batch"))
        drawn = found.open.drawn(seed=trial)
        factor = found.columns["gpu_s_per_token"] / found.columns["token_latency_s"]
        cost = np.geomspace(found.columns["gpu_s_per_token"].min() * 1.1, found.columns["gpu_s_per_token"].max(), 8)
        low, _, high = frontier_band(drawn, factor, cost)
        best, _, _ = frontier_band(true_s[None], factor, cost)
        open = np.isfinite(low) & np.isfinite(best) & (high > low)  # one GPU alone has no collective to err about
        inside += ((low <= best) & (best <= high))[open].tolist()
        for batch in BATCHES:
            rows = np.flatnonzero(found.columns["batch"] == batch)
            chance = choice(drawn[:, rows], np.ones(len(rows))).p_best
            right = int(true_s[rows].argmin())
            chances += [(p, at == right) for at, p in enumerate(chance) if p > 0.02]
    table = np.array(chances, dtype=float)
    print(f"\ntruth inside the 90 % band at {np.mean(inside):.1%} of {len(inside)} costs")
    shares = {}
    for low_p, high_p in ((0.02, 0.2), (0.2, 0.3), (0.3, 0.7), (0.7, 0.8), (0.8, 1.01)):
        here = table[(table[:, 0] >= low_p) & (table[:, 0] < high_p)]
        shares[low_p] = here[:, 1].mean()
        print(f"given {low_p:.0%} to {high_p:.0%}: {shares[low_p]:.0%} of {len(here)} are the best")
    assert 0.85 <= np.mean(inside) <= 0.95
    assert 0.65 <= shares[0.7] <= 0.85 and 0.35 <= shares[0.3] <= 0.65 and 0.15 <= shares[0.2] <= 0.35
