"""The instance size of the paper's section 2.2: an optimum, and what it costs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx
from scipy.optimize import minimize_scalar

from inferometer.emulator.calibrate.laws.paper import paper_parameters
from inferometer.emulator.economics.paper.closed_form import all_reduce, roofline
from inferometer.emulator.economics.paper.closed_form.infinite_bandwidth import (
    gpu_seconds_at_minimum_latency,
    gpu_seconds_per_token,
    large_model_latency_s,
    minimum_token_latency_s,
    optimal_gpus,
    square_root_tokens_per_s,
    token_latency_s,
)

H100 = {"flop_per_s": 1e15, "memory_bytes_per_s": 3.3e12}
BANDWIDTH = H100["memory_bytes_per_s"]
models = {"params": st.floats(1e9, 1e13), "layers": st.integers(8, 200)}


@given(**models, width=st.sampled_from([0.5, 1, 2]), hop_s=st.floats(1e-7, 1e-5))
def test_the_optimum_is_where_a_search_finds_it(params, layers, width, hop_s):
    def latency(log_gpus):
        return float(
            token_latency_s(np.exp(log_gpus), 1, params=params, layers=layers, bytes_per_param=width, hop_s=hop_s, **H100)
        )

    found = minimize_scalar(latency, bounds=(0.0, 20.0), method="bounded", options={"xatol": 1e-9})
    best = minimum_token_latency_s(params, layers, width, BANDWIDTH, hop_s)
    assert best <= found.fun * (1 + 1e-9)
    assert latency(np.log(optimal_gpus(params, layers, width, BANDWIDTH, hop_s))) == approx(float(best))


def test_a_model_that_one_gpu_serves_best():
    assert optimal_gpus(1e6, 100, 2, BANDWIDTH, 1e-6) == 1
    assert minimum_token_latency_s(1e6, 100, 2, BANDWIDTH, 1e-6) == approx(2e6 / BANDWIDTH)


def test_the_fastest_instance_costs_three_times_the_arithmetic():
    huge = gpu_seconds_at_minimum_latency(1e18, 100, 2, H100["flop_per_s"], BANDWIDTH, 1e-6)
    assert huge == approx(3 * roofline.flop_per_token(1e18) / H100["flop_per_s"], rel=0.01)
    gpus = optimal_gpus(7e10, 80, 2, BANDWIDTH, 1e-6)
    batch = roofline.critical_batch(2, **H100)
    ours = gpu_seconds_at_minimum_latency(7e10, 80, 2, H100["flop_per_s"], BANDWIDTH, 1e-6)
    same = gpu_seconds_per_token(gpus, batch, params=7e10, layers=80, bytes_per_param=2, hop_s=1e-6, **H100)
    assert ours == approx(same)


def test_scaling_of_large_models():
    one = large_model_latency_s(1e12, 100, 2, BANDWIDTH, 1e-6)
    assert large_model_latency_s(1e12, 100, 2, 8 * BANDWIDTH, 1e-6) == approx(one / 2), "memory: a cube root"
    assert large_model_latency_s(1e12, 100, 2, BANDWIDTH, 8e-6) == approx(4 * one), "latency: its square"
    # eq. 19: with layers ∝ N^(1/4), 16 times the parameters and twice the layers take 4 times as long
    deeper = large_model_latency_s(16e12, 200, 2, BANDWIDTH, 1e-6)
    assert deeper == approx(4 * one)
    assert square_root_tokens_per_s(16e12, 1e12, 1 / one) == approx(1 / deeper)
    exact = minimum_token_latency_s(1e18, 100, 2, BANDWIDTH, 1e-6)
    assert exact == approx(large_model_latency_s(1e18, 100, 2, BANDWIDTH, 1e-6), rel=1e-2)


def test_arrays_are_priced_at_once():
    gpus = np.array([[1.0], [8.0], [64.0]])
    batches = np.array([1.0, 100.0])
    grid = token_latency_s(gpus, batches, params=7e10, layers=80, bytes_per_param=2, hop_s=1e-6, **H100)
    assert grid.shape == (3, 2)
    one = token_latency_s(64.0, 100.0, params=7e10, layers=80, bytes_per_param=2, hop_s=1e-6, **H100)
    assert grid[2, 1] == one
    assert token_latency_s(1.0, 1.0, params=7e10, layers=80, bytes_per_param=2, hop_s=1e-6, **H100) == approx(
        roofline.token_latency_s(7e10, 2, 1, **H100)
    ), "one GPU reduces nothing"


def test_the_all_reduce_of_section_3():
    law = paper_parameters("all_reduce")
    assert all_reduce.tree_latency_s(1, 1) == approx(law["a"] * 1e-6)
    assert all_reduce.tree_latency_s(32, 4) == approx((6.8 + 1.2 * 7 + 10 * 2) * 1e-6)
    assert all_reduce.instance_reduce_s(64, 16) == approx(all_reduce.tree_latency_s(8, 4))
    assert all_reduce.bandwidth_s(1e6, 4, 1e11) == approx(7.5e-6)
