"""Laws of a device's kernels: planted ones are recovered, and a calibration of kernels alone says what it lacks."""

from __future__ import annotations

import json

import numpy as np
import pytest

from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.calibrate.laws.kernels import MATMUL, equation, kernel_us
from inferometer.emulator.importers.imports import import_files
from tests.studies.planted_kernels import HOST_US, PASSES, TRUTH, matmul_us, table


def calibration_of(tmp_path, *tables):
    paths = []
    for number, rows in enumerate(tables):
        paths.append(tmp_path / f"{number}.json")
        paths[-1].write_text(json.dumps(rows))
    samples = tmp_path / "k.samples.jsonl"
    import_files("kernels", paths).write(samples)
    return fit([samples])


def law_of(calibration, kind, op=None, mode="graph"):
    (found,) = (law for law in calibration.compute_laws if (law.kind, law.op, law.target.launch_mode) == (kind, op, mode))
    return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return calibration_of(tmp_path_factory.mktemp("planted"), table())


def test_a_planted_matmul_law_is_recovered(planted):
    law = law_of(planted, "matmul")
    assert {name: one.value for name, one in law.params.items()} == pytest.approx(TRUTH, rel=0.02)
    assert law.fit.held_out.median < 0.01 and law.fit.held_out.n == 45
    assert law.equation == "t = o + l·inner/1024 + (((weight_bytes + activation_bytes)/B)^q + (flop/F)^q)^(1/q)"


def test_the_chain_is_chosen_by_its_held_out_error(planted):
    law = law_of(planted, "matmul")
    with_chain, without = law.fit.alternatives
    assert law.formula == with_chain.formula and with_chain.chosen and not without.chosen
    assert without.formula.chain is None and without.held_out.median > with_chain.held_out.median


def test_passes_have_laws_of_their_own_and_a_mean_for_the_others(planted):
    for op, (o, _, rate) in PASSES.items():
        law = law_of(planted, "stream", op)
        assert (law.params["o"].value, law.params["B"].value) == pytest.approx((o, rate), rel=0.02)
    mean = law_of(planted, "stream")
    assert mean.params["o"].value == pytest.approx(np.mean([o for o, *_ in PASSES.values()]), rel=0.02)
    assert mean.params["o"].source == "mean of add, rms_norm" and mean.fit.held_out.median > 0.1


def test_a_mode_with_the_null_kernel_alone_has_the_kernels_of_the_other(planted):
    assert law_of(planted, "null", mode="eager").params["o"].value == HOST_US
    eager, graph = (law_of(planted, "matmul", mode=mode) for mode in ("eager", "graph"))
    assert eager.params["B"].value == graph.params["B"].value
    assert "launch_mode graph" in eager.params["B"].source and "launch_mode" not in graph.params["B"].source


def test_one_launch_has_no_interval_and_three_have(tmp_path, planted):
    lone = law_of(planted, "matmul").params["o"]
    assert lone.ci95 is None and "needs 3 launches" in lone.ci95_reason
    three = law_of(calibration_of(tmp_path, *(table(0.02, seed) for seed in range(3))), "matmul").params["B"]
    assert three.ci95[0] < three.value < three.ci95[1] and three.ci95_over == "launches"


def test_a_cache_of_one_tensor_takes_its_rate_from_reading_memory(tmp_path):
    rows = [{**row, "one_tensor": 1} if row["kind"] == "attention" else row for row in table()]
    read = {**rows[0], "kind": "memory", "op": "read", "bytes": 10**9, "us": 250.0}
    rate = law_of(calibration_of(tmp_path, [*rows, read]), "attention", "decode").params["B"]
    assert (rate.value, rate.status) == (pytest.approx(4000.0), "fixed_prior") and "one tensor" in rate.source


def test_the_verdict_says_that_there_is_no_network(planted):
    assert planted.network_laws == [] and "network terms are not identified" in planted.not_measured["network"]
    assert planted.quality.verdict == "usable_with_care"
    assert any("no collective was measured" in reason for reason in planted.quality.reasons)


def test_too_few_shapes_bear_no_law(tmp_path):
    from inferometer.emulator.errors import InputError

    few = [row for row in table() if row["kind"] != "matmul" or row["inner"] == row["outer"] == 1024]
    with pytest.raises(InputError, match="no law could be fitted"):
        calibration_of(tmp_path, few)


def test_a_law_is_given_by_its_fields():
    sizes = {"inner": 4096, "weight_bytes": 2 * 4096 * 6144, "activation_bytes": 2 * 8 * 10240, "flop": 2 * 8 * 4096 * 6144}
    assert kernel_us(MATMUL, TRUTH, sizes) == pytest.approx(matmul_us(8, 4096, 6144))
    assert equation(MATMUL.model_copy(update={"chain": None, "arithmetic": False})) == (
        "t = o + (weight_bytes + activation_bytes)/B"
    )
