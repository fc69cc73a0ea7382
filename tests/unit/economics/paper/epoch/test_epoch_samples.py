"""What the paper's own code computes: every sampled point, term, collective and speculative case comes out."""

import numpy as np
import pytest

from inferometer.emulator.economics.paper.epoch import load_model
from inferometer.emulator.economics.paper.epoch.arithmetic import flop
from inferometer.emulator.economics.paper.epoch.breakdown import breakdown
from inferometer.emulator.economics.paper.epoch.collectives import PaperNetwork, network_of
from inferometer.emulator.economics.paper.epoch.forward import ForwardPass
from inferometer.emulator.economics.paper.epoch.memory import matmul_bytes
from inferometer.emulator.economics.paper.epoch.predict import predict
from inferometer.emulator.economics.paper.epoch.presented import as_presented, toy_latency_s
from inferometer.emulator.economics.paper.epoch.search import fastest
from inferometer.emulator.economics.paper.epoch.stage import CANDIDATES

COLLECTIVES = {"allreduce": "all_reduce", "all-to-all": "all_to_all", "p2p": "send_recv"}
TERMS = ("kernel_s", "network_latency_s", "network_bandwidth_s", "memory_s", "arithmetic_s")
LAYOUT = {"two_d": "two_d_tp", "pp": "N_PP", "ep": "N_EP", "tp_ff": "N_TP_ff", "tp_attention": "N_TP_attn"}
LAYOUT |= {"attention_scale_down": "attn_scaledown", "micro_batch": "microbatch"}


def near(value):
    return pytest.approx(value, rel=1e-9, abs=1e-20)


def winner(forward, point, candidates):
    found = fastest(forward, np.array([point["n_gpu"]]), np.array([point["batch"]]), candidates=candidates)
    return found.latency_s.item(), CANDIDATES[found.candidate.item()]


@pytest.fixture(scope="module")
def points(samples, paper_model, paper_gpu):
    found = []
    for point in samples["points"]:
        model, gpu = paper_model(point["model"]), paper_gpu(point["gpu"])
        found.append((point, ForwardPass(model, gpu, network_of(gpu), point["input_len"], point["seq_len"])))
    return found


def test_points_terms_and_layouts(points):
    count = 0
    for point, forward in points:
        candidates = [c for c in CANDIDATES if point["use_pp"] or c.pipeline_step == 0]
        latency_s, candidate = winner(forward, point, candidates)
        parts = breakdown(forward, point["n_gpu"], point["batch"], candidate)
        assert latency_s == near(point["latency_s"])
        assert parts.latency_s == near(latency_s)
        assert parts.terms == {name: near(point["best"][name]) for name in TERMS}
        assert parts.layout == {ours: near(point["best"][theirs]) for ours, theirs in LAYOUT.items()}
        count += 1
    assert count >= 18


def test_collectives_of_the_winning_layouts(points):
    compared = 0
    for point, forward in points:
        candidates = [c for c in CANDIDATES if point["use_pp"] or c.pipeline_step == 0]
        _, candidate = winner(forward, point, candidates)
        ours = breakdown(forward, point["n_gpu"], point["batch"], candidate).collectives

        def key(c):
            return c["bytes"], c["count"]

        theirs = sorted(
            ({"count": c["times"], "collective": COLLECTIVES[c["coll"]]} | c for c in point["best"]["collectives"]), key=key
        )
        for mine, other in zip(sorted(ours, key=key), theirs, strict=True):
            assert mine["collective"] == other["collective"]
            assert mine["count"] == pytest.approx(other["count"], abs=1e-9)
            for name, same in (("bytes", "bytes"), ("ranks", "n_ranks"), ("nodes", "n_nodes")):
                assert mine[name] == near(other[same])
            assert mine["latency_s"] == near(other["latency_s_each"])
            assert mine["bandwidth_s"] == near(other["bandwidth_s_each"])
            compared += 1
    assert compared >= 50


def test_restricted_sets_of_layouts(points):
    for point, forward in points:
        for name, expected in point["restricted"].items():
            words = name.split("_")
            candidates = [
                c
                for c in CANDIDATES
                if c.two_d == (words[0] == "2D")
                and (words[1] == "anyPP" or c.pipeline_step == 0)
                and (words[-1] != "noscale" or c.scale_step == 0)
            ]
            if not point["use_pp"]:
                candidates = [c for c in candidates if c.pipeline_step == 0]
            assert winner(forward, point, candidates)[0] == near(expected), (point["id"], name)


def test_earlier_functions(points):
    for point, forward in points:
        model, gpu = forward.model, forward.accelerator
        where = point["n_gpu"], point["batch"]
        terms = as_presented(model, gpu, *where, context=forward.context, tokens=forward.tokens)
        theirs = point["as_presented_function"]
        for name in TERMS:
            assert float(getattr(terms, name)) == near(theirs[name])
        assert float(terms.total_s) == near(theirs["latency_s"])
        if "section_2_2_function" in point:
            assert float(toy_latency_s(model, gpu, *where)) == near(point["section_2_2_function"])


def test_collectives(samples, paper_gpu):
    for case in samples["collectives"]:
        gpu, name = paper_gpu(case["gpu"]), COLLECTIVES[case["coll"]]
        query = name, case["bytes"], case["n_ranks"], case["n_nodes"]
        time = network_of(gpu).time(*query)
        assert float(time.total_s) == near(case["total_s"])
        if "latency_s" in case:
            assert float(time.latency_s) == near(case["latency_s"])
            assert float(time.bandwidth_s) == near(case["bandwidth_s"])
            assert float(PaperNetwork(gpu, overlap=False).time(*query).total_s) == near(case["total_no_overlap_s"])


def test_speculative_points(samples, paper_model, paper_gpu):
    for case in samples["spec_dec_points"]:
        speculator = paper_model(case["approx"])
        arguments = (paper_model(case["model"]), paper_gpu(case["gpu"]), case["n_gpu"], case["batch"])
        found = predict(
            *arguments,
            context=case["input_len"],
            speculator=speculator,
            acceptance=case["acceptance"],
            gamma_max=case["gamma_max"],
        )
        assert found.token_latency_s == near(case["latency_s"]) and found.gamma == case["best_gamma"]
        assert found.pass_s == near(case["base_latency_s"][str(found.gamma)])
        assert found.draft_s == near(case["approx_latency_s"])
        for gamma, expected in case["base_latency_s"].items():
            assert predict(*arguments, context=case["input_len"], tokens=int(gamma)).token_latency_s == near(expected)


def test_matmul_traffic(samples):
    for case in samples["matmul_rw_bytes"]:
        model = load_model("llama-3-70b", 8 * case["wp"])
        found = matmul_bytes(model, case["m"], case["k"], case["n"], np.array(float(case["tp"])))
        assert float(found) == near(case["bytes"])


def test_models(samples, paper_model):
    for theirs, entry in samples["models"].items():
        model = paper_model(theirs)
        assert model.sparsity == entry["sparsity_factor_floor"]
        assert model.kv_heads == entry["num_kv_heads_k_plus_v"]
        assert model.attention_parameters == entry["attn_params_per_layer"]
        assert model.ff_parameters == entry["total_ff_params"]
        assert model.embedding_parameters == entry["embedding_plus_unembedding_params"]
        assert model.parameters == near(entry["total_params"])
        assert model.active_parameters == near(entry["total_active_params"])
        assert model.kv_bytes_per_token == entry["kv_cache_bytes_per_token"]
        assert flop(model, 0, 1).total == near(entry["flop_per_token_L0"])
        assert flop(model, 10_000, 1).total == near(entry["flop_per_token_L10000"])
        assert model.parallel_attention == entry["parallel_attention"]


def test_accelerators(samples, paper_gpu):
    for theirs, entry in samples["gpus"].items():
        if theirs == "H100_ZL":  # the paper's complete model refuses it
            continue
        gpu = paper_gpu(theirs)
        assert gpu.flop_per_s == {int(bits): rate for bits, rate in entry["peak_flop_s"].items()}
        assert (gpu.flop_fraction, gpu.memory_fraction) == (entry["arithmetic_cap"], entry["hbm_cap"])
        assert (gpu.memory_bytes, gpu.memory_bytes_per_s) == (entry["hbm_bytes"], entry["hbm_B_s_peak"])
        assert (gpu.node_size, gpu.kernel_s) == (entry["node_size"], entry["kernel_launch_s"])
        assert gpu.usd_per_hour == near(entry["usd_per_hour"])
        links = [2 * entry[f"{kind}_allreduce_B_s"] for kind in ("intranode", "internode")]
        if gpu.collectives == "ring":
            assert gpu.all_reduce_bytes_per_s == entry["internode_allreduce_B_s"]
        else:
            assert [gpu.intra_bytes_per_s, gpu.inter_bytes_per_s] == links


def test_tables_to_twelve_digits(samples, paper_model, paper_gpu, paper_frontier):
    """One speculative and one plain row, fastest and preferred; the printed tables are in test_epoch_tables.py."""
    plain = paper_frontier(paper_model("Llama_3_70B_8_bit"), paper_gpu("H100"))
    mixtral = paper_frontier(paper_model("Mixtral_8x22B"), paper_gpu("H100"), speculator=load_model("llama-3-8b"))
    rows = samples["reproduced"]
    for found, expected in (
        (plain.preferred, rows["table6_alpha3"]["Llama 3 70B 8-bit"]),
        (mixtral.fastest, rows["table2"]["Mixtral 8x22B (16-bit)"]),
        (mixtral.preferred, rows["table3_alpha3"]["Mixtral 8x22B (16-bit)"]),
    ):
        names = {"tokens_per_s": "tok_s", "usd_per_mtok": "usd_per_M", "gpus": "n_gpu", "batch": "batch"}
        names |= {"mfu": "mfu_of_theoretical_peak"}
        assert {name: found[name] for name in names} == {ours: near(expected[theirs]) for ours, theirs in names.items()}
