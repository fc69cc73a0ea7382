"""NCCL's own model: values worked out by hand from its figures, and those that NCCL itself printed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.emulator.calibrate.laws.nccl_tuner import PROTOCOLS, TUNED, NcclTuner, generation_of, load_constants
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.tuned import TunerNetwork
from inferometer.emulator.economics.serving.predict import predict
from inferometer.emulator.errors import InputError
from tests.places import DATA

FIGURES = DATA / "nccl_tuner_constants_2.30.7.json"
H100 = NcclTuner("hopper", 450.0, 50.0)
B200 = NcclTuner("blackwell", 900.0, 50.0)
A100 = NcclTuner("ampere", 300.0, 25.0)
BY_GENERATION = {"volta": NcclTuner("volta", 150.0, 12.5), "ampere": A100, "hopper": H100, "blackwell": B200}


def entry(tuner: NcclTuner, way: str, collective: str, bytes: float, ranks: int, nodes: int = 1) -> tuple[float, float]:
    """Latency and algorithm bandwidth of one algorithm and protocol."""
    one = (np.array([float(v)]) for v in (bytes, ranks, nodes))
    latency, gbps = tuner.table(collective, *one)[way]
    return float(latency[0]), float(gbps[0])


def test_a_small_all_reduce_on_one_node_is_a_ring_with_ll():
    found = H100.estimate("all_reduce", 8, 8)
    assert found.algorithm == "Ring-LL"
    assert found.latency_us == pytest.approx(6.6 + 14 * 0.6)  # 15.0
    assert found.transfer_us == pytest.approx(8 / (1000 * 141.0 * 8 / 14))


def test_two_nodes_of_eight_h100_say_what_nccl_logged():
    """NVIDIA/nccl issue 1453: 25.21 µs for 128 B."""
    found = H100.estimate("all_reduce", 128, 16, 2)
    assert found.algorithm == "Tree-LL" and round(float(found.us), 2) == 25.21


@given(st.sampled_from(sorted(BY_GENERATION)), st.integers(1, 8), st.integers(0, 7))
def test_the_tree_with_ll_is_the_papers_t_reduce(generation, local, doublings):
    nodes = 2**doublings
    if local * nodes == 1:
        return
    latency, _ = entry(BY_GENERATION[generation], "Tree-LL", "all_reduce", 8, local * nodes, nodes)
    assert latency == pytest.approx(6.8 + 1.2 * (local - 1) + 10 * doublings)


@pytest.mark.parametrize(
    ("tuner", "way", "case", "latency", "gbps"),
    [
        (H100, "Ring-LL", ("all_gather", 8, 8, 1), 6.6 + 7 * 0.6, 141.0 * 8 / 7),
        (H100, "Ring-LL128", ("all_reduce", 8, 8, 1), 14 + 14 * 1.9, 0.92 * 360 * 8 / 14),
        (H100, "NVLS-Simple", ("all_reduce", 8, 8, 1), 25, 8 * 40 * 0.85 * 7 / 8 * 2 * 8 / 14),
        (H100, "NVLS-Simple", ("all_reduce", 8, 16, 2), 25, 0),  # over nodes it needs a reducing network
        (H100, "Tree-LL", ("all_reduce", 300_000, 8, 1), 15.2, 0.5 * 0.4 * min(0.92 * 360 / 3.8, 141)),  # its worst size
        (H100, "Tree-LL", ("all_gather", 8, 8, 1), 15.2, 0),
        (H100, "Ring-LL", ("all_reduce", 8, 16, 2), 6.6 + 28 * 1 + 2 * 2.7, 39.0 * 16 / 30),
        (H100, "Ring-Simple", ("all_reduce", 8, 16, 2), 8.4 + 28 * 3.4 + 2 * 14, 360 * 16 / 30),
        (H100, "Ring-Simple", ("all_reduce", 1 << 20, 16, 2), 1.4 * (8.4 + 28 * 3.4 + 2 * 14), 360 * 16 / 30),
        (H100, "NVLSTree-Simple", ("all_reduce", 8, 16, 2), 25 + 2 * 20.9, 57.7 * 8 * 16 / 30),
        (H100, "PAT-Simple", ("all_gather", 8, 4, 4), 8 + 2 * 14 / 3.5 + 2.8 * 4, 0.75 * 48 * 4 / 3),
        (A100, "Ring-Simple", ("broadcast", 8, 8, 1), 8.4 + 3.4, 240),
        # NVIDIA/nccl pull request 2343: modelled 640 GB/s, measured 382 to 386
        (B200, "Ring-LL128", ("all_reduce", 8, 2, 1), 14 + 2 * 1.9, 640),
    ],
)
def test_entries_worked_out_by_hand(tuner, way, case, latency, gbps):
    assert entry(tuner, way, *case) == (pytest.approx(latency), pytest.approx(gbps))


def test_an_amd_host_is_slower_over_nodes():
    amd = NcclTuner("hopper", 450.0, 50.0, "amd")
    assert entry(amd, "Ring-LL", "all_reduce", 8, 16, 2) == (
        pytest.approx(6.6 + 28 * 2 + 5.4),
        pytest.approx(22.5 * 16 / 30),
    )
    assert amd.estimate("all_reduce", 8, 8).us == H100.estimate("all_reduce", 8, 8).us


@given(
    st.sampled_from(sorted(BY_GENERATION)),
    st.sampled_from(TUNED),
    st.integers(0, 1 << 34),
    st.integers(1, 8),
    st.integers(1, 512),
)
def test_the_fastest_way_is_taken_and_every_case_has_one(generation, collective, bytes, local, nodes):
    tuner, ranks = BY_GENERATION[generation], local * nodes
    found = tuner.estimate(collective, bytes, ranks, nodes)
    if ranks == 1:
        assert found.us == 0 and found.algorithm == ""
        return
    table = tuner.table(collective, *(np.array([float(v)]) for v in (bytes, ranks, nodes)))
    times = {way: float(latency[0] + bytes / (1000 * gbps[0])) for way, (latency, gbps) in table.items() if gbps[0] > 0}
    assert float(found.us) == pytest.approx(min(times.values()))
    assert 0 < float(found.latency_us) <= float(found.us) < np.inf and str(found.algorithm) in times


def test_queries_broadcast():
    found = H100.estimate("all_reduce", np.array([[8], [1 << 20]]), np.array([1, 2, 8]))
    assert found.us.shape == (2, 3) and (found.us[:, 0] == 0).all()
    assert found.us[1, 2] == H100.estimate("all_reduce", 1 << 20, 8).us


def test_what_nccl_does_not_model_is_refused():
    with pytest.raises(InputError, match="no model of all_to_all: it knows all_reduce"):
        H100.estimate("all_to_all", 8, 8)
    with pytest.raises(InputError, match="between nodes is not known"):
        NcclTuner("hopper", 450.0, None).estimate("all_reduce", 8, 16, 2)
    with pytest.raises(InputError, match="knows volta, ampere, hopper, blackwell"):
        NcclTuner("maxwell", 450.0, None)


@pytest.mark.parametrize(
    ("device", "name", "key", "words"),
    [
        ("t4", "nccl-2.30", {}, "of which generation is t4"),
        ("h100-sxm", "nccl-2.30", {"backend": "nccl"}, "no laws to choose among"),
        ("h100-sxm", "nccl-2.30-maxwell", {}, "knows volta"),
    ],
)
def test_a_network_of_no_known_generation_is_refused(device, name, key, words):
    with pytest.raises(InputError, match=words):
        TunerNetwork(name, load_accelerator(device), key)


def test_built_in_accelerators_have_their_generation():
    named = [name for figures in load_constants()["generations"].values() for name in figures["devices"]]
    assert len(set(named)) == len(named) and generation_of("h200") == "hopper" and generation_of("mine") is None
    for name in named:
        network = TunerNetwork("nccl-2.30", load_accelerator(name), {})
        assert network.time("all_reduce", 8, 8, 1).total_s == pytest.approx(15.0e-6, rel=0.01)
    assert TunerNetwork("nccl-2.30-ampere", load_accelerator("t4"), {}).name.endswith("(ampere) on the links of t4")


def test_predict_takes_it_by_name():
    row = predict("llama-3-8b", "h100-sxm", gpus=8, calibration="nccl-2.30").iloc[0]
    assert row["network"] == "NCCL 2.30's own model (hopper) on the links of h100-sxm"
    assert row["network_latency_s"] == pytest.approx(2 * 32 * 15.0e-6, rel=0.05)


def test_the_figures_are_those_of_the_source():
    theirs, ours = json.loads(FIGURES.read_text()), load_constants()
    algorithms = theirs["order"]["algo"]
    for name, row in ours["base_us"].items():
        at = algorithms.index(name)
        assert row == theirs["baseLatencies"][at]
        for ours_name, theirs_name in (("nvlink", "NVLINK"), ("net", "NET")):
            assert ours["hop_us"][ours_name][name] == theirs["hwLatencies"][theirs_name][at]
    for name in PROTOCOLS:
        assert ours["tree_correction"][name] == theirs["treeCorrectionFactor_64B_doubling"][name]
    for at, figures in enumerate(ours["generations"].values()):
        assert figures["ll_max_one_node"] == theirs["llMaxBws"][at][0]
        assert figures["nvls_efficiency"] == theirs["nvlsEfficiency"][at]
        for ours_name, theirs_name in (("ring_ll128", "RingLL128"), ("tree_ll128", "TreeLL128"), ("tree", "Tree")):
            assert figures[ours_name] == theirs[f"perChMax{theirs_name}Bws"][at]
        assert figures["nvls_tree"] == theirs["perChMaxNVLSTreeBws"][at]
    assert [ours["ll_max"][cpu] for cpu in ("intel", "amd")] == [row[1:] for row in theirs["llMaxBws"][:2]]


@pytest.mark.parametrize("query", [(1024, 2, 4), (1024, 8, 0), (np.nan, 8, 1), (-1, 8, 1)])
def test_what_is_no_query_is_refused(query):
    with pytest.raises(InputError, match=r"must be|fewer ranks than nodes"):
        NcclTuner("hopper", 450.0, 50.0).estimate("all_reduce", *query)


@pytest.mark.parametrize("speeds", [(-450.0, 50.0), (450.0, -1.0), (float("nan"), None)])
def test_a_speed_below_0_is_refused(speeds):
    with pytest.raises(InputError, match="_gbps must be finite and at least 0"):
        NcclTuner("hopper", *speeds)
