"""The statistics of one cell against exact probabilities, simulated processes and hand-made arrays."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from inferometer.emulator.samples.statistics import (
    drift,
    effective_count,
    median_interval,
    relative_half_width,
    summary,
)


@pytest.mark.parametrize("n", [*range(6, 60), 99, 100, 200, 1000])
def test_the_median_interval_covers_95_per_cent_exactly_reckoned(n):
    """Order statistics l and h of n bracket the median with probability P(l ≤ Binomial(n, ½) < h)."""
    low, high = median_interval(np.random.default_rng(n).permutation(np.arange(1, n + 1)).astype(float))
    coverage = binom.cdf(high - 1, n, 0.5) - binom.cdf(low - 1, n, 0.5)
    assert coverage >= 0.948
    narrower = binom.cdf(high - 3, n, 0.5) - binom.cdf(low + 1, n, 0.5)
    assert narrower < 0.95  # not needlessly wide: two steps in on both sides would not do


def test_below_six_samples_there_is_no_interval():
    assert median_interval(np.arange(5.0)) is None
    assert relative_half_width(np.arange(1.0, 6)) == math.inf
    assert median_interval(np.arange(6.0)) == (0.0, 5.0)


def test_half_width_by_hand():
    assert relative_half_width(np.array([9.0, 10, 10, 10, 10, 12])) == pytest.approx(0.15)
    assert relative_half_width(np.zeros(10)) == math.inf
    assert relative_half_width(np.array([])) == math.inf


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6, 0.9])
def test_the_effective_count_of_an_autoregressive_process(rho):
    """Reference: n (1 − ρ)/(1 + ρ) of the process that made the numbers."""
    n, random = 20_000, np.random.default_rng(3)
    shocks = random.standard_normal(n)
    logs = np.zeros(n)
    for i in range(1, n):
        logs[i] = rho * logs[i - 1] + shocks[i]
    assert effective_count(np.exp(0.1 * logs)) == pytest.approx(n * (1 - rho) / (1 + rho), rel=0.06)


def test_the_effective_count_never_exceeds_the_count():
    alternating = np.array([1.0, 2.0] * 50)
    assert effective_count(alternating) == 100
    assert effective_count(np.ones(50)) == 50
    assert effective_count(np.array([1.0, 2.0])) == 2
    assert effective_count(np.array([1.0, 0.0, 2.0])) == 3  # a time of zero has no logarithm


def test_drift_compares_the_halves():
    assert drift(np.array([10.0] * 6 + [12.0] * 6)) == pytest.approx(0.2)
    assert drift(np.array([10.0] * 7 + [5.0] * 8)) == pytest.approx(-0.5)
    assert drift(np.arange(1.0, 12)) is None


@given(st.lists(st.floats(0.1, 1e6), min_size=1, max_size=80))
def test_the_summary_is_in_order_and_within_the_data(times):
    numbers = summary(np.array(times))
    ordered = [numbers[key] for key in ("min", "p5", "p25", "median", "p75", "p95", "p99")]
    assert all(a <= b * (1 + 1e-12) for a, b in pairwise(ordered))
    assert numbers["n"] == len(times)
    assert numbers["min"] == min(times)
    assert numbers["n_eff"] <= len(times)
    if numbers["ci95"]:
        assert numbers["ci95"][0] <= numbers["median"] <= numbers["ci95"][1]


def test_the_summary_by_hand():
    numbers = summary(np.array([1.0, 2, 3, 4, 100]))
    assert (numbers["median"], numbers["mean"], numbers["mad"], numbers["min"]) == (3, 22, 1, 1)
    assert (numbers["p25"], numbers["p75"]) == (2, 4)
    assert (numbers["ci95"], numbers["drift"]) == (None, None)
