"""What a fit works on and what a price asks for are the same quantities of the same operations."""

from __future__ import annotations

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.compute import Call, ComputeLaws, ReadySurface
from inferometer.emulator.calibrate.evaluate.compute_choice import Widths
from inferometer.emulator.calibrate.fit.compute import fit_compute
from inferometer.emulator.calibrate.laws.compute import chosen_shares
from inferometer.emulator.calibrate.schema.compute_records import ComputeLaw
from inferometer.emulator.measure.step_breakdown import numbers, step_breakdown
from inferometer.emulator.samples.probe_table import PROBE_COLUMNS
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.catalogue import load_shape
from inferometer.emulator.workload.features import SIZES, input_sizes, operation_sizes
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.operations import Compute
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import logits_bytes
from inferometer.emulator.workload.scaled import scaled
from inferometer.emulator.workload.step import Step
from tests.studies import planted_compute as planted

WIDE = Precision(32, 32, 32)
PROGRAMS = [
    build(scaled(load_shape(model), scale, 2).shape, Layout(), step, precision=WIDE)
    for model, scale in (("llama-3-70b", 1 / 16), ("mixtral-8x7b", 1 / 16))
    for step in (Step.decode(3, 300), Step.decode(1, 40), Step.decode(8, 90), Step.prefill(2, 64), Step.prefill(1, 24))
]


def recorded(program, probe):
    """Rows of a probe table as a launch that runs the program would record them; every operation takes 1 µs."""
    stage = program.stages[0]
    computes = {op.name: op for op in stage if isinstance(op, Compute)}
    names = [op.name for op in stage]
    readings = 1000 * np.arange(2 + 2 * len(names))[None]
    sizes = {name: {"kind": op.kind, **numbers(operation_sizes(op))} for name, op in computes.items()}
    inputs = {name: numbers(input_sizes(operation_sizes(op), WIDE.activation_bytes)) for name, op in computes.items()}
    chosen = float(logits_bytes(stage, WIDE))
    about = {"launch": 0, "probe": probe, "model": probe, "sharded": False, "tokens": float(program.tokens), "n": 1}
    about |= {
        "backend": "gloo",
        "device": "cpu",
        "launch_mode": "host",
        "dtype": "float32",
        "scheduler": "rr",
        "threads": 1,
        "concurrent_ranks": 1,
    }
    rows = []
    for op in step_breakdown(names, readings, sizes, inputs, chosen):
        row = {**about, **op, "us": 1.0, "working_set_bytes": 2**27}
        rows.append({name: row.get(name, 0.0) for name in PROBE_COLUMNS})
    return rows


@pytest.fixture(scope="module")
def laws():
    import pandas as pd

    grid = planted.probes(noise=0.0, launches=1)
    steps = pd.DataFrame([row for at, program in enumerate(PROGRAMS) for row in recorded(program, f"probe {at}")])
    return [ComputeLaw.model_validate(law) for law in fit_compute(pd.concat([grid[grid["op"] == "matmul"], steps]))]


class Asked:
    """In the place of a law's residuals: keeps what a price asks them for."""

    def __init__(self) -> None:
        self.places: list[dict[str, float]] = []

    def ratio(self, **place: np.ndarray) -> float:
        self.places += [dict(zip(place, map(float, values))) for values in zip(*np.broadcast_arrays(*place.values()))]
        return 1.0


def test_a_price_asks_for_what_the_fit_kept(laws):
    """Every operation of every program that was probed, priced, is at the place of a residual of the law that prices it."""
    compute = ComputeLaws("planted", laws, {})
    asked = {id(law): Asked() for law in laws if law.residuals}
    for law in laws:
        if law.form == "surface":
            compute._surfaces[id(law)] = ReadySurface(law)
            compute._surfaces[id(law)]._in_model = asked.get(id(law))
    by_line = compute._lines.us

    def us(which, sizes):
        for at, values in zip(which, zip(*sizes.values())):
            if (law := compute._lines.laws[at]).residuals:
                asked[id(law)].places.append(dict(zip(sizes, map(float, values))))
        return by_line(which, sizes)

    compute._lines.us = us
    for program in PROGRAMS:
        names = [op.name for op in program.stages[0]]
        calls = [
            Call(op, (before,) if before else (), tokens=program.tokens)
            for before, op in zip(["", *names], program.stages[0])
            if isinstance(op, Compute)
        ]
        compute.times(calls, Widths(32, 32, 32))
    for law in laws:
        kept = [residual.model_dump(exclude={"ratio"}) for residual in law.residuals or ()]
        for place in asked[id(law)].places if kept else []:
            assert place in kept, (law.kind, law.op, law.predecessors)
    assert {law.kind for law in laws if law.residuals and asked[id(law)].places} == {"matmul", "attention", "stream", "glue"}
    assert sum(len(one.places) for one in asked.values()) > 100


def test_the_sizes_of_an_operation_are_the_columns_of_the_probes():
    ops = [op for program in PROGRAMS for op in program.stages[0] if isinstance(op, Compute)]
    assert {op.kind for op in ops} == {"matmul", "attention", "stream"}
    assert all(set(operation_sizes(op)) == set(SIZES) <= set(PROBE_COLUMNS) for op in ops)


def test_shares_of_routed_rows_have_the_mean_they_are_asked_for():
    means = np.array([1.001, 1.5, 2.0, 4.0, 7.9])
    shares = chosen_shares(means)
    assert shares.sum(axis=-1) == pytest.approx(np.ones(5))
    assert (shares * np.arange(1, shares.shape[-1] + 1)).sum(axis=-1) == pytest.approx(means, rel=1e-6)
