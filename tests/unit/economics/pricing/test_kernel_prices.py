"""Steps priced by the kernels of a device: passes one by one, host and device one beside the other."""

from __future__ import annotations

import json

import pytest

from inferometer.emulator.calibrate.evaluate.file import write_calibration
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.economics.pricing.itemised import HOST
from inferometer.emulator.economics.pricing.prices import measured_prices
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.kernels.executions import PLAIN
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Compute
from inferometer.emulator.workload.step import Step
from inferometer.launch.cli import main
from tests.studies.planted_kernels import HOST_US, matmul_us, table


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "t.json").write_text(json.dumps(table()))
    import_files("kernels", [folder / "t.json"]).write(folder / "k.samples.jsonl")
    return fit([folder / "k.samples.jsonl"])


def priced(calibration, mode, batch=8, context=2048):
    program = build(load_shape("llama-3-8b"), Layout(), Step.decode(batch, context), precision=Precision(16, 16, 16))
    return step_time(program, measured_prices(calibration, key={"launch_mode": mode}))


def test_an_operation_costs_its_kernel_and_every_pass_around_it(calibration):
    step = priced(calibration, "graph")
    found = {one.op.name: one for one in step.ops}
    assert float(found["attention.qkv"].terms.total_s) * 1e6 == pytest.approx(matmul_us(8, 4096, 6144), rel=0.01)
    out = float(found["attention.out"].terms.total_s) * 1e6
    assert out == pytest.approx(matmul_us(8, 4096, 4096) + 1.5 + 3 * 2 * 8 * 4096 / 3e6, rel=0.01)
    assert found["attention.out"].repeats == 32


def test_a_graphs_step_is_the_sum_of_its_kernels(calibration):
    step = priced(calibration, "graph")
    assert "host_s" not in step.terms
    assert float(step.total_s) == pytest.approx(float(step.terms.total_s))


def test_launched_one_by_one_a_step_takes_the_longer_of_host_and_device(calibration):
    graph, eager = priced(calibration, "graph"), priced(calibration, "eager")
    calls = sum(
        one.repeats * PLAIN.calls(one.op) for one in graph.ops if isinstance(one.op, Compute) and one.op.kind != "glue"
    )
    assert float(eager.total_s) == pytest.approx(float(calls) * HOST_US * 1e-6)
    assert float(eager.total_s) > float(graph.total_s)
    assert float(eager.terms.total_s) == pytest.approx(float(eager.total_s))
    assert float(eager.terms["host_s"]) == pytest.approx(float(eager.total_s - graph.total_s))
    assert eager.ops[-1].op.name == HOST
    busy = [float(priced(calibration, mode, batch=256, context=8000).total_s) for mode in ("graph", "eager")]
    assert busy[0] == pytest.approx(busy[1])


def test_what_was_not_measured_is_named(calibration):
    (note,) = (text for text in priced(calibration, "graph").notes if "not measured" in text)
    assert "cat, copy, embedding, mul, silu_mul, sub: not measured, priced as the mean of the passes" in note


def test_predict_prices_the_device_that_was_measured(calibration, tmp_path, capsys):
    path = tmp_path / "gpu.json"
    write_calibration(calibration, path)
    asked = ["predict", "llama-3-8b", "--calibration", str(path), "--batch", "8", "--context", "2048"]
    assert main([*asked, "--launch-mode", "graph", "--json", "-"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["token_latency_s"] == pytest.approx(float(priced(calibration, "graph").total_s))
    assert found["gpus"] == 1 and "NVIDIA H200" in found["accelerator"]
    assert main(asked) == 2
    assert "launch_mode eager and graph: choose with --key launch_mode" in capsys.readouterr().err
    assert main([*asked, "--launch-mode", "graph", "--tp", "2"]) == 2
    assert "all_reduce" in capsys.readouterr().err


def test_collectives_of_another_calibration_beside_the_kernels(calibration, tmp_path, capsys):
    """What was measured of the device stays as it is; collectives cost what they cost by the other calibration alone."""
    path = tmp_path / "gpu.json"
    write_calibration(calibration, path)
    model = ["predict", "llama-3-8b", "--batch", "8", "--context", "2048", "--tp", "2", "--json", "-"]
    asked = [*model, "--calibration", str(path), "--launch-mode", "graph"]
    assert main(asked) == 2
    error = capsys.readouterr().err
    assert "kernels of NVIDIA H200 were measured and no all_reduce, which several ranks need: give a --network" in error
    assert "(built in: h200-nccl, h200-sglang" in error
    found = {}
    for network, accelerator in (("h200-nccl", "h200"), ("h200-vllm", "h200"), ("a100-nccl", "a100-sxm")):
        assert main([*asked, "--network-calibration", network]) == 0
        joined = json.loads(capsys.readouterr().out)
        assert main([*model, "--calibration", network, "--accelerator", accelerator]) == 0
        alone = json.loads(capsys.readouterr().out)
        for term in ("network_latency_s", "network_bandwidth_s"):
            assert joined["terms"][term] == pytest.approx(alone["terms"][term]) and joined["terms"][term] > 0
        found[network] = joined
    assert len({one["terms"]["compute_s"] for one in found.values()}) == 1
    notes = {name: " ".join(one["notes"]) for name, one in found.items()}
    assert "not between h200" in notes["a100-nccl"]
    assert "mixes two machines" not in notes["h200-nccl"] + notes["h200-vllm"]


def test_an_engine_takes_no_second_calibration(capsys):
    asked = "predict llama-3-8b --accelerator h100-sxm --engine vllm --prompt 512 --output 128".split()
    assert main([*asked, "--network-calibration", "h100-nccl"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
