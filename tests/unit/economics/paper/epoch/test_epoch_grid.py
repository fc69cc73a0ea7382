"""The fast grid against 132 plain passes, the pruned frontier against all points."""

import sys

import numpy as np
import pytest

from inferometer.emulator.economics.paper.epoch import load_accelerator, load_model
from inferometer.emulator.economics.paper.epoch.frontier import frontier
from inferometer.emulator.economics.paper.epoch.grid import latency_grid, paper_grid
from inferometer.emulator.economics.paper.epoch.predict import predict
from inferometer.emulator.errors import InputError
from tests.places import BENCHMARKS


@pytest.fixture(scope="module")
def naive_grid():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        from rivals import naive_grid
    finally:
        sys.path.pop(0)
    return naive_grid


@pytest.mark.parametrize(
    ("model", "bits", "gpu", "context"),
    [
        ("llama-3-70b", 8, "h100-sxm", 0.0),
        ("deepseek-v3", 8, "h100-sxm", 0.0),
        ("mixtral-8x22b", 16, "h800", 8192.0),
        ("gpt-4", 16, "a100-sxm", 1000.0),
        ("falcon-180b", 8, "v100-sxm", 0.0),
    ],
)
def test_every_latency_and_every_frontier_point(naive_grid, model, bits, gpu, context):
    model, gpu = load_model(model, bits), load_accelerator(gpu)
    axes = paper_grid(model, gpu, 90)
    plain = naive_grid.latencies(model, gpu, *axes, context)
    fast = latency_grid(model, gpu, *axes, context=context)
    finite = np.isfinite(plain)
    assert finite.sum() > 4000 and np.array_equal(finite, np.isfinite(fast))
    assert np.abs(fast[finite] / plain[finite] - 1).max() < 1e-12
    rows, columns = np.divmod(naive_grid.pareto(plain, *axes), 90)
    found = frontier(model, gpu, context=context, points=90).points
    assert len(found) > 60
    assert found["gpus"].tolist() == axes[0][rows].tolist()
    assert found["batch"].tolist() == axes[1][columns].tolist()
    assert found["token_latency_s"].to_numpy() == pytest.approx(plain[rows, columns], rel=1e-12)


def test_the_pruned_speculative_frontier_is_that_of_all_points(naive_grid, h100):
    model, speculator = load_model("mixtral-8x22b"), load_model("llama-3-8b")
    axes = paper_grid(model, h100, 50)
    every = latency_grid(model, h100, *axes, speculator=speculator)
    rows, columns = np.divmod(naive_grid.pareto(every, *axes), 50)
    found = frontier(model, h100, speculator=speculator, points=50).points
    assert found["gpus"].tolist() == axes[0][rows].tolist()
    assert found["batch"].tolist() == axes[1][columns].tolist()
    assert set(found["gamma"]) > {1, 5}


def test_a_row_is_what_predict_says(h100):
    model, speculator = load_model("llama-3-70b", 8), load_model("llama-3-8b")
    found = frontier(model, h100, context=2000, speculator=speculator, points=60)
    for row in (found.fastest, found.preferred, found.cheapest):
        one = predict(model, h100, row.gpus, row.batch, context=2000, speculator=speculator)
        assert one.token_latency_s == pytest.approx(row.token_latency_s, rel=1e-12)
        assert (one.gamma, one.usd_per_mtok) == (row.gamma, pytest.approx(row.usd_per_mtok, rel=1e-12))
        assert {name: row[name] for name in one.layout} == pytest.approx(one.layout, rel=1e-12)
        assert one.mfu == pytest.approx(row.mfu, rel=1e-12)


def test_faster_costs_more(h100):
    points = frontier(load_model("gpt-4"), h100, points=60).points
    assert (np.diff(points["token_latency_s"]) > 0).all() and (np.diff(points["usd_per_mtok"]) < 0).all()


def test_a_demand_cap_leaves_out_what_serves_more(naive_grid, h100):
    model = load_model("llama-3-70b", 8)
    free, capped = frontier(model, h100, points=60), frontier(model, h100, points=60, demand_cap=500)
    served = capped.points["batch"] / capped.points["token_latency_s"]
    assert served.max() <= 500 < (free.points["batch"] / free.points["token_latency_s"]).max()
    assert capped.cheapest.usd_per_mtok > free.cheapest.usd_per_mtok
    axes = paper_grid(model, h100, 60)
    every = latency_grid(model, h100, *axes)
    allowed = np.where(axes[1] / every <= 500, every, np.inf)
    rows, columns = np.divmod(naive_grid.pareto(allowed, *axes), 60)
    # The thresholds start at the fastest point of all, so a kept point may lack here, but none may be new.
    assert set(zip(capped.points["gpus"], capped.points["batch"])) <= set(zip(*undominated(allowed, *axes)))
    assert capped.cheapest.gpus in axes[0][rows] and capped.cheapest.batch in axes[1][columns]
    with pytest.raises(InputError, match=r"serves less than 0\.1 tokens/s"):
        frontier(model, h100, points=20, demand_cap=0.1)


def undominated(latency, gpus, batch):
    """GPUs and batches of the points that no other beats in both, one pair of loops."""
    order = np.argsort(latency, axis=None)
    rows, columns = np.divmod(order, len(batch))
    cost = gpus[rows] * latency[rows, columns] / batch[columns]
    best = np.minimum.accumulate(cost)
    kept = np.r_[True, best[1:] < best[:-1]]
    return gpus[rows[kept]], batch[columns[kept]]


def test_alpha_moves_the_preferred_point(h100):
    slow, quick = (frontier(load_model("llama-3-70b", 8), h100, points=60, alpha=alpha).preferred for alpha in (1, 6))
    assert slow.tokens_per_s < quick.tokens_per_s and slow.usd_per_mtok < quick.usd_per_mtok
