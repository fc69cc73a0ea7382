"""Network terms from elsewhere: they replace the constants, and nothing else."""

import math

import numpy as np
import pytest

from inferometer.emulator.economics.paper.epoch import load_model
from inferometer.emulator.economics.paper.epoch.collectives import PaperNetwork
from inferometer.emulator.economics.paper.epoch.predict import predict
from inferometer.emulator.economics.pricing.constants import PAPER_PROTOCOLS
from inferometer.emulator.economics.pricing.network import CollectiveTime
from inferometer.emulator.errors import InputError


class ThreeProtocols:
    """The paper's three protocols on an H100, written once more, one number at a time."""

    name = "three protocols"
    asked = 0

    def one(self, collective, X, R, M):
        if R <= 1:
            return 0.0, 0.0
        m = 2 if collective == "all_reduce" else 1
        options = []
        for base_us, a_us, c_us, fraction in ((6.8, 0.6, 5, 0.5), (14, 1.25, 8.5, 0.95), (0, 28, 28, 1)):
            inside = m * (R - M) / R * X / (450e9 * fraction)
            between = m * (M - 1) / R * X / (50e9 * fraction)
            options.append(((base_us + m * (a_us * (R / M - 1) + c_us * math.log2(M))) * 1e-6, max(inside, between)))
        return min(options, key=sum)

    def time(self, collective, bytes, ranks, nodes):
        self.asked += 1
        values = np.vectorize(self.one, otypes=[float, float])(collective, bytes, ranks, nodes)
        return CollectiveTime(*values)


class Scaled(ThreeProtocols):
    """All collectives a number of times as slow."""

    def __init__(self, factor):
        self.factor = factor

    def one(self, *query):
        return tuple(self.factor * part for part in super().one(*query))


@pytest.mark.parametrize(
    ("name", "gpus", "batch", "context"),
    [("llama-3-70b", 24.31, 1.03, 0), ("llama-3-70b", 100, 900, 2000), ("deepseek-v3", 320, 4096, 0), ("gpt-4", 64, 20, 0)],
)
def test_the_same_three_protocols_give_the_same_latency(h100, name, gpus, batch, context):
    model, network = load_model(name), ThreeProtocols()
    own = predict(model, h100, gpus, batch, context=context)
    other = predict(model, h100, gpus, batch, context=context, network=network)
    assert network.asked > 10 and other.network == "three protocols"
    assert other.token_latency_s == pytest.approx(own.token_latency_s, rel=1e-9)
    assert other.layout == own.layout
    assert other.terms == pytest.approx(own.terms, rel=1e-9)


def test_only_the_network_terms_differ(h100):
    model = load_model("llama-3-70b", 8)
    own = predict(model, h100, 16, 64)
    other = predict(model, h100, 16, 64, network=Scaled(1.001))
    assert other.layout == own.layout
    differing = {name for name in own.terms if other.terms[name] != pytest.approx(own.terms[name], rel=1e-12)}
    assert differing == {"network_latency_s", "network_bandwidth_s"}
    for name in differing:
        assert other.terms[name] == pytest.approx(1.001 * own.terms[name], rel=1e-9)
    assert predict(model, h100, 16, 64, network=Scaled(3)).token_latency_s > own.token_latency_s


@pytest.mark.parametrize(("ranks", "nodes"), [(2, 1), (8, 1), (16, 2), (64, 8), (7.5, 1.5)])
def test_one_protocol_is_equation_23(h100, ranks, nodes):
    """6.8 + 1.2 (N_GPU/N_node − 1) + 10 log2 N_node µs for one all_reduce."""
    time = PaperNetwork(h100, PAPER_PROTOCOLS[:1]).time("all_reduce", 0, ranks, nodes)
    assert float(time.total_s) * 1e6 == pytest.approx(6.8 + 1.2 * (ranks / nodes - 1) + 10 * math.log2(nodes), rel=1e-12)


def test_each_protocol_wins_somewhere_and_the_total_is_the_sum(h100):
    bytes = np.geomspace(1, 1e11, 60)
    best = PaperNetwork(h100)
    time = best.time("all_reduce", bytes, 8.0, 1.0)
    assert best.total_s("all_reduce", bytes, 8.0, 1.0) == pytest.approx(time.total_s, rel=1e-14)
    singles = [PaperNetwork(h100, (p,)).time("all_reduce", bytes, 8.0, 1.0).total_s for p in PAPER_PROTOCOLS]
    assert time.total_s == pytest.approx(np.min(singles, axis=0), rel=1e-14)
    assert {int(i) for i in np.argmin(singles, axis=0)} == {0, 1, 2}


class Unknown:
    name = "a network nobody measured"

    def time(self, collective, bytes, ranks, nodes):
        shape = np.broadcast_shapes(*(np.shape(value) for value in (bytes, ranks, nodes)))
        return CollectiveTime(*(np.full(shape, np.nan),) * 2)


def test_a_network_that_knows_nothing_is_an_error(h100):
    with pytest.raises(InputError, match="a network nobody measured determines the collectives of no layout of 8 GPUs"):
        predict(load_model("llama-3-70b"), h100, 8, 8, network=Unknown())
    with pytest.raises(InputError, match="no constants for 'broadcast'"):
        PaperNetwork(h100).time("broadcast", 1, 2, 1)
