"""What a validation predicts, from laws of which every operation's time follows by hand."""

from __future__ import annotations

from itertools import product

import pytest

from inferometer.emulator.calibrate.evaluate.file import load_calibration
from inferometer.emulator.calibrate.schema.compute_records import (
    LINE_UNITS,
    ComputeDomain,
    ComputeFit,
    ComputeLaw,
    ComputeTarget,
    knot,
)
from inferometer.emulator.calibrate.schema.records import HeldOutError, Parameter
from inferometer.emulator.errors import InputError
from inferometer.emulator.validate.forecast import CALIBRATION, TERMS, VARIANTS, Forecaster
from inferometer.emulator.validate.settings import Configuration
from inferometer.emulator.workload.program import Compute

DENSE = Configuration(model="llama-3-70b", scale=1 / 16, layers=2, batch=4, context=64)
MATMUL_US, ATTENTION_US, STREAM_US, BETWEEN_US, MEMORY_GB_PER_S = 10.0, 2.0, 1.0, 0.5, 8.0
ROWS, INNER, OUTER = [1, 1_000_000], [1, 100_000], [1, 100_000]


def value(number, unit="us"):
    return Parameter(value=number, unit=unit, ci95=None, status="fitted", source="planted")


def law(kind, us):
    target = ComputeTarget(
        backend="gloo", device="cpu", launch_mode="host", dtype="float32", scheduler="other", threads=1, concurrent_ranks=2
    )
    line = {"o": value(us)} | {name: value(0.0) for name in LINE_UNITS}
    surface = {knot(*sizes): value(us) for sizes in product(ROWS, INNER, OUTER)}
    rates = {"smallest_us": value(us), "memory_gb_per_s": value(MEMORY_GB_PER_S), "gflops": value(1e9)}
    flat = kind == "matmul"
    return ComputeLaw(
        target=target, kind=kind, form="surface" if flat else "line", equation="", params=surface if flat else line,
        **({"rows": ROWS, "inner": INNER, "outer": OUTER, "rates": rates} if flat else {}),
        domain=ComputeDomain(),
        fit=ComputeFit(n_points=1, n_launches=3, medape=0.0, held_out=HeldOutError(median=None, p90=None, n=0, reason="")),
    )  # fmt: skip


def forecaster(*laws):
    paper = load_calibration("paper-2025")
    of = {"backend": "gloo", "scheduler": "other"}
    models = [model.model_copy(update={"target": model.target.model_copy(update=of)}) for model in paper.network_laws]
    return Forecaster(paper.model_copy(update={"network_laws": models, "compute_laws": list(laws)}), "gloo", "other")


def measured():
    its = {"matmul": MATMUL_US, "attention": ATTENTION_US, "stream": STREAM_US, "glue": BETWEEN_US}
    return forecaster(*(law(kind, us) for kind, us in its.items()))


def test_terms_are_those_of_the_operations_and_add_up():
    found = measured().predictions(DENSE, "decode")
    assert tuple(found) == VARIANTS
    own = found[CALIBRATION]
    # qkv, out, up, down of 2 layers, the logits; cores; norms of 2 layers, lookup, last norm; 16 times glue, begin and end
    by_hand = {"matmul": 9 * 10, "attention": 2 * 2, "stream": 6 * 1, "network": 0, "waiting": 0, "glue": 18 * 0.5}
    assert {name: own.terms[name] * 1e6 for name in TERMS} == pytest.approx(by_hand)
    assert own.total_s * 1e6 == pytest.approx(sum(by_hand.values()))
    assert own.by_op["ffn.up"] * 1e6 == pytest.approx(2 * MATMUL_US)
    assert found["compute only"].total_s == pytest.approx(own.total_s)  # one rank: nothing is sent
    assert found["communication only"].total_s == 0
    ops = [op for stage in DENSE.program("decode", 1).stages for op in stage if isinstance(op, Compute)]
    assert found["pure roofline"].total_s == pytest.approx(sum(float(op.memory_bytes) for op in ops) / MEMORY_GB_PER_S / 1e9)


def test_two_ranks_pay_for_what_they_send():
    cell = DENSE.model_copy(update={"tp": 2})
    found = measured().predictions(cell, "prefill")
    own = found[CALIBRATION]
    assert own.terms["waiting"] is None  # no in-step overhead was measured: no part of the total
    known = sum(seconds for seconds in own.terms.values() if seconds is not None)
    assert own.total_s == pytest.approx(known)
    assert own.terms["network"] == pytest.approx(found["communication only"].total_s)
    assert found["compute only"].total_s == pytest.approx(own.total_s - own.terms["network"])
    assert own.by_op["attention.reduce"] > 2 * 8e-6  # two layers, 6.8 + 1.2 us and what the bytes take
    words = measured().notes(cell, "prefill")
    assert any("the in-step overhead on 2 ranks" in its for its in words)


def test_without_compute_laws_only_the_network_is_known():
    found = forecaster().predictions(DENSE.model_copy(update={"tp": 2}), "decode")
    assert found[CALIBRATION].total_s is None and "has no compute terms" in found[CALIBRATION].reason
    assert found[CALIBRATION].terms["network"] > 0 and found[CALIBRATION].terms["matmul"] is None
    assert "attention.reduce" in found[CALIBRATION].by_op and "ffn.up" not in found[CALIBRATION].by_op
    assert found["communication only"].total_s > 0
    assert [name for name in VARIANTS if found[name].total_s is None] == [*VARIANTS[:4]]


def test_other_widths_than_those_measured_are_refused():
    with pytest.raises(InputError, match="measured in float32"):
        measured().predictions(DENSE.model_copy(update={"bits": 16}), "decode")
