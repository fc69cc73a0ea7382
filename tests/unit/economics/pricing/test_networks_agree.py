"""The same constants give the same price, whether they stand in the code or in a calibration file."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer import load_calibration
from inferometer.emulator.economics.paper.epoch.catalogue import load_model
from inferometer.emulator.economics.paper.epoch.predict import predict
from inferometer.emulator.economics.pricing import paper_accelerators
from inferometer.emulator.economics.pricing.calibrated_network import CalibrationNetwork
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.scenario import scenario_of
from inferometer.emulator.workload.layout import Layout

H100 = paper_accelerators.load_accelerator("h100-sxm")


@pytest.mark.parametrize(
    ("model", "gpus", "batch"),
    [("llama-3-70b", 24.31, 1.03), ("deepseek-v3", 320.0, 4096.0), ("gpt-4", 460.0, 16.0), ("mixtral-8x22b", 125.0, 8.04)],
)
def test_a_file_of_the_three_protocols_gives_the_paper_latency(model, gpus, batch):
    network = CalibrationNetwork(load_calibration("paper-2025-code"))
    ours = predict(load_model(model), H100, gpus, batch, network=network).token_latency_s
    assert ours == pytest.approx(predict(load_model(model), H100, gpus, batch).token_latency_s, rel=1e-9)


def test_one_protocol_is_eq_23_for_one_all_reduce():
    """t_reduce = 6.8 + 1.2 (r/N − 1) + 10 log2 N µs, and 2 (r − 1)/r of the bytes at the LL rate."""
    network = CalibrationNetwork(load_calibration("paper-2025"))
    for ranks, nodes in ((8, 1), (16, 2), (64, 8), (4, 4)):
        t_reduce = 6.8 + 1.2 * (ranks / nodes - 1) + 10 * np.log2(nodes)
        time = network.time("all_reduce", 0, ranks, nodes)
        assert float(time.total_s) == pytest.approx(t_reduce * 1e-6, rel=1e-12)
    inside = network.time("all_reduce", 2e6, 8, 1)
    assert float(inside.bandwidth_s) == pytest.approx(2 * 7 / 8 * 2e6 / 225e9, rel=1e-9)


def test_only_network_terms_differ_between_a_calibration_and_the_constants():
    of = "llama-3-70b", "h100-sxm", Load(context=1000.0)
    constants = scenario_of(*of).predict(Layout(tp=8), 16)
    for name in ("h100-nccl", "paper-2025", "nccl-2.30"):
        ours = scenario_of(*of, calibration=name).predict(Layout(tp=8), 16)
        for term in ("kernel_s", "memory_s", "arithmetic_s", "roof_s"):
            assert ours.terms[term] == constants.terms[term]
        networks = [p.terms["network_latency_s"] + p.terms["network_bandwidth_s"] for p in (ours, constants)]
        assert networks[0] != networks[1]
        assert ours.token_latency_s - constants.token_latency_s == pytest.approx(networks[0] - networks[1])
        assert ours.memory == constants.memory
