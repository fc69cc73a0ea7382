"""Kernels of a GPU, timed on its stand-in: every one of a plan runs, and what is written is as an imported table becomes."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from inferometer.emulator.calibrate.fit.from_samples import fit  # noqa: E402
from inferometer.emulator.economics.pricing.prices import measured_prices  # noqa: E402
from inferometer.emulator.measure.kernels import probing  # noqa: E402
from inferometer.emulator.measure.kernels.plan import kernels_of  # noqa: E402
from inferometer.emulator.measure.kernels.taking import settle  # noqa: E402
from inferometer.emulator.measure.kernels.work import Kernels  # noqa: E402
from inferometer.emulator.measure.method import KernelProbes, Method, Sweep, Tier  # noqa: E402
from inferometer.emulator.measure.probing import probe_all  # noqa: E402
from inferometer.emulator.measure.runner import Launch  # noqa: E402
from inferometer.emulator.samples.records import complaint  # noqa: E402
from inferometer.emulator.workload.precision import Precision  # noqa: E402
from inferometer.parallel.placement import HostReport, Placement  # noqa: E402
from tests.places import ROOT  # noqa: E402
from tests.studies.stand_in_gpu import NAME, StandInGpu  # noqa: E402

SMALL = {
    "model_type": "llama", "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 96,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "torch_dtype": "bfloat16",
}  # fmt: skip


@pytest.fixture
def wanted(tmp_path, monkeypatch):
    """Kernels of a model small enough for a processor."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SMALL))
    monkeypatch.setattr("inferometer.emulator.measure.kernels.work.LEAST_POOL_BYTES", 1 << 16)
    monkeypatch.setattr("inferometer.emulator.measure.kernels.plan.MEMORY_BYTES", 1 << 16)
    monkeypatch.setattr("inferometer.emulator.measure.kernels.taking.SETTLE_S", 0.05)
    return KernelProbes(
        models=[{"model": str(path), "tp": [1, 2]}], rows=[1, 4, 16, 64], batches=[1, 2], contexts=[16, 64],
        prompts=[16, 32], seconds=0.001,
    )  # fmt: skip


def test_every_kernel_of_the_plan_runs_and_its_calls_take_turns_on_memory(wanted):
    kernels = Kernels(StandInGpu(), torch.bfloat16)
    assert kernels.pool_bytes == 4 << 20  # four times the L2 of the stand-in
    plan = kernels_of(wanted, "bfloat16")
    assert {(k.kind, k.op) for k in plan} >= {
        ("null", "null"), ("memory", "read"), ("memory", "copy"), ("matmul", "matmul"), ("attention", "decode"),
        ("attention", "prefill"), ("stream", "rms_norm"), ("stream", "silu_mul"), ("stream", "cat"), ("stream", "copy"),
        ("stream", "embedding"), ("stream", "argmax"),
    }  # fmt: skip
    for kernel in plan:
        for call in kernels.calls(kernel)[:2]:
            call()
    matmul = next(k for k in plan if k.kind == "matmul")
    parts = kernels._parts(matmul.shape[1] * matmul.shape[2])
    assert len({part.data_ptr() for part in parts}) == len(parts) > 20


def test_a_grouped_matmul_is_a_launch_for_each_matrix(wanted):
    mixtral = wanted.model_copy(update={"models": [type(wanted.models[0])(model="mixtral-8x7b")], "rows": [8, 16]})
    grouped = [k for k in kernels_of(mixtral, "bfloat16") if k.op == "grouped"]
    assert grouped and all(dict(k.sizes)["matrices"] == 8 for k in grouped)
    assert any(k.op == "topk" and k.shape[1:] == (8, 2) for k in kernels_of(mixtral, "bfloat16"))


def test_clocks_settle_or_the_time_is_over(monkeypatch):
    device, ticks = StandInGpu(), []
    assert settle(device, lambda: ticks.append(1)) < 4
    assert ticks


def _probed(world, control, wanted, past=False):
    tier = Tier(collectives=["all_reduce"])
    method = Method(
        backend="gloo", world_size=world.size, sizes_bytes=[256], sweep=Sweep(name="test", tier=[tier], kernels=wanted),
        launch_modes=["graph", "stream", "eager"],
    )  # fmt: skip
    hosts = [HostReport("host", "boot", "net", 0, gpu=f"GPU-{rank}") for rank in range(world.size)]
    launch = Launch(method, control, Placement.from_reports(hosts), world, cores=64)
    launch.device = StandInGpu()
    launch.connect()
    records = []
    deadline = 0.0 if past else None
    end, left = probe_all(launch, None, (), deadline, lambda: False, records.append)
    return end, left, records


@pytest.mark.slow
def test_one_rank_makes_compute_laws_and_says_that_there_is_no_network(ranks, wanted, write_samples, monkeypatch):
    monkeypatch.setattr(probing, "CHUNK", 50)
    ((end, left, records),) = ranks(1, _probed, wanted)
    assert (end, left) == (None, [])
    assert [r["cell"] for r in records] == [f"kernels/{NAME}/gloo/{mode}/bfloat16" for mode in ("graph", "stream", "eager")]
    by_mode = {r["launch_mode"]: {op["kind"] for op in r["ops"]} for r in records}
    assert by_mode["stream"] == by_mode["eager"] == {"null"}
    assert by_mode["graph"] == {"null", "memory", "matmul", "attention", "stream"}
    about = records[0]["conditions"][0]
    assert about["before"] == about["after"] == {"sm_clock_mhz": 1980.0}
    assert "rotate" in about["l2_policy"] and about["attention"]
    found = [{"record": "compute", "launch": 0, **record} for record in records]
    assert [complaint(record) for record in found] == [None] * 3
    calibration = fit([write_samples(*found)])
    modes = {(law.target.launch_mode, law.kind) for law in calibration.compute_laws}
    assert {("graph", "matmul"), ("graph", "attention"), ("eager", "matmul"), ("eager", "null")} <= modes
    assert calibration.network_laws == () or not calibration.network_laws
    assert "network terms are not identified" in calibration.not_measured["network"]
    prices = measured_prices(calibration, precision=Precision(16, 16, 16), key={"launch_mode": "graph"}, as_machine=False)
    assert prices.processor is not None


@pytest.mark.slow
def test_kernels_that_the_time_does_not_suffice_for_are_named(ranks, wanted, monkeypatch):
    monkeypatch.setattr(probing, "CHUNK", 10)
    ((end, left, records),) = ranks(1, _probed, wanted, True)
    assert end is None and left and sum(len(r["ops"]) for r in records if r["launch_mode"] == "graph") == 10
    assert any("rms_norm" in name for name in left)


def test_the_shipped_sweep_is_of_gpus():
    from inferometer.emulator.measure.method import load_sweep

    sweep = load_sweep("gpu")
    assert sweep.kernels is not None and sweep.compute is None
    assert (ROOT / "configs/validations/gpu.toml").exists()
