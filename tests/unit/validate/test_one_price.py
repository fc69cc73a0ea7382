"""What `validate` confirms is what `predict` sells: a step has one time, on a calibration and on a datasheet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.calibrate.schema.in_step_records import InStepLaw, InStepResidual
from inferometer.emulator.calibrate.schema.records import Provenance, Target
from inferometer.emulator.economics.pricing.accelerators import load_accelerator
from inferometer.emulator.economics.pricing.constants import ConstantNetwork
from inferometer.emulator.economics.pricing.prices import datasheet_prices, measured_prices
from inferometer.emulator.economics.pricing.processor import flop_per_s
from inferometer.emulator.economics.pricing.step import step_time
from inferometer.emulator.economics.serving.deployable import Load
from inferometer.emulator.economics.serving.predict import predict
from inferometer.emulator.economics.serving.scenario import Scenario
from inferometer.emulator.validate.forecast import CALIBRATION, Forecaster
from inferometer.emulator.validate.plan import load_plan
from inferometer.emulator.validate.predicted import mean_over_ranks, priced_step
from inferometer.emulator.validate.settings import Configuration
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.program import Collective
from tests.studies import planted_compute as planted

PHASES = ("prefill", "decode")
CELLS = load_plan("default").cell
H100 = load_accelerator("h100-sxm")
WITH_FLOAT32 = replace(H100, flop_per_s={32: 60e12, **H100.flop_per_s})
DEPLOYMENTS = {
    "dense": Configuration(model="llama-3-8b", bits=16, batch=8, context=1024),
    "dense, cut": Configuration(model="llama-3-70b", bits=16, tp=8, batch=64, context=1000),
    "experts": Configuration(model="mixtral-8x7b", bits=16, ep=8, batch=64, context=512),
    "experts, both axes": Configuration(model="mixtral-8x7b", bits=16, ep=4, tp=2, batch=32, context=512),
    "latent attention": Configuration(model="deepseek-v3", bits=16, ep=8, attention="data", batch=64, context=512),
    "latent attention, tp": Configuration(model="deepseek-v3", bits=16, tp=8, batch=16, context=512),
    "pipeline": Configuration(model="llama-3-70b", bits=16, pp=4, tp=2, batch=16, context=512, micro_batches=4),
    "replicas": Configuration(model="llama-3-8b", bits=16, dp=4, tp=2, batch=16, context=512),
}


@pytest.fixture(scope="module")
def calibration():
    """A machine of two ranks: laws of computing on one and on two of them, of collectives, of their in-step overhead."""
    laws = [ComputeLaw.model_validate(document) for document in fit_compute(planted.probes(noise=0.02))]
    laws += [ComputeLaw.model_validate(d) for d in fit_compute(planted.probes(noise=0.02, concurrent_ranks=2, slower=1.5))]
    known = load_calibration("paper-2025")
    of = {"backend": "gloo", "scheduler": "rr"}
    network = [law.model_copy(update={"target": law.target.model_copy(update=of)}) for law in known.network_laws]
    where = Provenance(kind="measured", hardware={"memory_bytes": 64e12}, topology={"ranks_per_node": [2]})
    update = {"network_laws": network, "compute_laws": laws, "in_step_laws": [in_step_law(network[0].target)]}
    return known.model_copy(update={**update, "provenance": where})


def in_step_law(target: Target) -> InStepLaw:
    def value(number, unit):
        return {"value": number, "unit": unit, "ci95": None, "status": "fitted", "source": "planted"}

    params = {"s0": value(30.0, "us"), "u": value(0.01, "1"), "v": value(0.05, "ns/byte")}
    held_out = {"median": None, "p90": None, "n": 0, "reason": "planted"}
    fit = {"residual": "log", "loss": "huber", "f_scale": 0.1, "n_points": 1, "n_cells": 1, "n_isolated_from_law": 0}
    return InStepLaw.model_validate(
        {
            "target": target.model_copy(update={"collective": "all_reduce", "timing": "in_step"}).model_dump(),
            "ranks": 2, "nodes": 1, "equation": "", "params": params, "flags": [], "cells": [],
            "domain": {"bytes": (64, 1 << 24), "compute_gap_us": (10.0, 1e5)},
            "fit": fit | {"n_excluded": {}, "medape": 0.0, "p90ape": 0.0, "held_out": held_out},
            "residuals": [InStepResidual(bytes=4096, compute_gap_us=500.0, ratio=1.3, in_model=True).model_dump()],
        }
    )  # fmt: skip


def sold(cell, prices, phase):
    """The step that `predict` prices for a cell, and the latency it states: time per output token, or to the first token."""
    scenario = Scenario(cell.small().shape, prices, Load(context=float(cell.context)), "alike")
    deployment = scenario.deployment(cell.layout)
    if phase == "decode":
        return deployment.decode(cell.batch, scenario.load), scenario.time(cell.layout, cell.batch).token_latency_s
    program = deployment.prefill_program(cell.batch, cell.context, cell.micro_batches)
    step = step_time(program, prices, concurrent_ranks=deployment.concurrent_ranks, rhythm="once")
    return step, step.total_s


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("cell", CELLS, ids=[cell.words() for cell in CELLS])
def test_the_matrix_is_predicted_by_a_calibration_as_it_is_validated(calibration, cell, phase):
    forecast = Forecaster(calibration, "gloo", "rr").predictions(cell, phase)[CALIBRATION]
    prices = measured_prices(calibration, precision=cell.precision, key={"backend": "gloo", "scheduler": "rr"})
    step, latency_s = sold(cell, prices, phase)
    assert forecast.total_s == pytest.approx(step.mean_end_s, rel=1e-12)
    assert step.total_s == latency_s
    if cell.pp == 1 or phase == "decode":  # before the last stage of a prefill the others are done
        assert forecast.total_s == pytest.approx(latency_s, rel=1e-12)
    for one in step.ops:
        if isinstance(one.op, Collective):
            assert one.terms["network_latency_s"] + one.terms["network_bandwidth_s"] == pytest.approx(
                calibration.time_s(one.op.collective, one.op.bytes, one.op.ranks, one.op.nodes), rel=1e-12
            )
    for call, time in zip(step.bill.calls, step.bill.computed):
        about = {"concurrent_ranks": call.concurrent_ranks, "sharded": call.sharded, "tokens": call.tokens}
        told = calibration.compute_s(call.op, predecessors=call.predecessors, backend="gloo", **about)
        assert time.terms.total_s == pytest.approx(told, rel=1e-12)
    assert by_hand(step) == pytest.approx(step.ends_s[-1], rel=1e-12)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("cell", [*CELLS, *DEPLOYMENTS.values()], ids=lambda cell: cell.words())
def test_predict_and_validate_have_one_time_on_a_datasheet(cell, phase):
    prices = datasheet_prices(WITH_FLOAT32, precision=cell.precision)
    validated = priced_step(cell, phase, prices, 8)
    seen = mean_over_ranks(validated)
    step, latency_s = sold(cell, prices, phase)
    assert seen.total_s == pytest.approx(step.mean_end_s, rel=1e-12)
    assert validated.total_s == pytest.approx(latency_s, rel=1e-12)
    assert by_hand(step, prices.device) == pytest.approx(step.ends_s[-1], rel=1e-12)
    terms = step.terms
    assert terms.total_s + step.pipeline_s == pytest.approx(latency_s, rel=1e-12)
    assert max(terms["memory_s"], terms["arithmetic_s"]) <= terms["roof_s"] * (1 + 1e-12)


def by_hand(step, device=None):
    """When the last stage ends, all operations added up; on a datasheet priced anew from their bytes and FLOP."""
    program, stages = step.program, []
    priced = iter(step.ops)
    for stage in program.stages:
        total = 0.0
        for _ in range(sum(1 for _ in stage.counted()) + glue_of(step, stage.index)):
            one = next(priced)
            seconds = sum(value for name, value in one.terms.items() if name not in ("memory_s", "arithmetic_s"))
            if device is not None:
                seconds = on_datasheet(one.op, device, program.precision)
            total += one.repeats * seconds
        stages.append(total)
    parts = program.micro_batches
    if step.ends_s[0] == step.ends_s[-1]:  # decode: all stages end a step together, one after the other
        return max(sum(stages), parts * max(stages))
    return sum(stages) + (parts - 1) * max(stages)


def glue_of(step, stage):
    return sum(one.stage == stage and getattr(one.op, "kind", "") == "glue" for one in step.ops)


def on_datasheet(op, device, precision):
    if isinstance(op, Collective):
        return float(ConstantNetwork(device).time(op.collective, op.bytes, op.ranks, op.nodes).total_s)
    if op.kind == "glue":
        return 0.0
    bits = precision.attention_bits if op.kind == "attention" else precision.matmul_bits
    moved = op.weight_bytes + op.activation_bytes + op.kv_bytes
    return device.kernel_s + max(
        moved / (device.memory_bytes_per_s * device.memory_fraction), op.flop / flop_per_s(device, bits)
    )


def test_operations_bound_by_memory_and_by_arithmetic_do_not_hide_each_other():
    """Llama 3 8B on two H100, batch 512: attention waits for the cache while matmuls wait for their arithmetic."""
    row = predict("llama-3-8b", "h100-sxm", batch=512, layout=Layout(tp=2), memory_reserve=0.0).iloc[0]
    assert row["token_latency_s"] * 1e3 == pytest.approx(35.973, abs=5e-4)
    rest = row["kernel_s"] + row["network_latency_s"] + row["network_bandwidth_s"]
    assert (rest + max(row["memory_s"], row["arithmetic_s"])) * 1e3 == pytest.approx(34.001, abs=5e-4)  # as if they did
