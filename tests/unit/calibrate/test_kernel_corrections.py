"""What a roofline is multiplied by: planted surfaces are found, small tables get none, a price takes the same factor."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from inferometer.emulator.calibrate.evaluate.compute_choice import Widths
from inferometer.emulator.calibrate.fit.from_samples import fit
from inferometer.emulator.calibrate.fit.kernels.corrections import Design, fit_corrections
from inferometer.emulator.calibrate.laws.corrections import ReadyCorrection, factor, unaligned
from inferometer.emulator.calibrate.schema.compute_records import Correction
from inferometer.emulator.importers.imports import import_files
from inferometer.emulator.workload.call import Call
from inferometer.emulator.workload.operations import Compute
from tests.studies.planted_kernels import DEVICE, matmul_us, table

ROWS = (1, 2, 4, 8, 16, 17, 32, 33, 64, 65, 96, 128, 129, 192, 256, 257, 512, 1024, 2048)
WIDTHS = (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192)
SLOW = 1.6
"""Of matmuls with more than 128 rows, beyond the planted roofline."""


def rows_of(dtype="bfloat16", slow=1.0):
    rows = []
    for m, inner, outer in product(ROWS, WIDTHS, WIDTHS):
        us = matmul_us(m, inner, outer) * (slow if m > 128 else 1.0)
        rows.append({**DEVICE, "kind": "matmul", "rows": m, "inner": inner, "outer": outer, "us": us, "dtype": dtype})
    return rows


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrected")
    others = [row for row in table() if row["kind"] != "matmul"]
    path, samples = folder / "t.json", folder / "k.samples.jsonl"
    path.write_text(json.dumps([*others, *rows_of(slow=SLOW), *rows_of("fp8")]))
    import_files("kernels", [path]).write(samples)
    return fit([samples])


def law_of(calibration, dtype):
    (found,) = (
        law
        for law in calibration.compute_laws
        if (law.kind, law.target.dtype, law.target.launch_mode) == ("matmul", dtype, "graph")
    )
    return found


def test_a_jump_that_no_roofline_has_is_found(calibration):
    law = law_of(calibration, "bfloat16")
    assert law.corrections and law.fit.held_out.median < 0.02 and law.fit.held_out.p90 < 0.1
    plain = next(one for one in law.fit.alternatives if one.correction is None)
    assert plain.held_out.median > 3 * law.fit.held_out.median and not plain.chosen


def test_parameters_have_an_interval_over_cells(calibration):
    rate = law_of(calibration, "bfloat16").params["B"]
    assert rate.ci95 is not None and rate.ci95_over == "cells"


def test_a_price_takes_the_same_factor(calibration):
    times = {}
    for rows in (32, 1024):
        op = Compute("m", "matmul", 2.0 * rows * 4096 * 4096, 2 * 4096 * 4096, 4.0 * rows * 4096, matmul=(rows, 4096, 4096))
        (time,) = calibration.evaluator.compute({"launch_mode": "graph"}).times([Call(op)], Widths(16, 16, 16))
        times[rows] = (time.start_s + time.beyond_s) * 1e6 / matmul_us(rows, 4096, 4096)
    assert times[1024] / times[32] == pytest.approx(SLOW, rel=0.06)


def test_the_format_follows_the_widths(calibration):
    laws = calibration.evaluator.compute({"launch_mode": "graph"})
    op = Compute("m", "matmul", 2.0 * 1024 * 4096**2, 4096**2, 4.0 * 1024 * 4096, matmul=(1024, 4096, 4096))
    wide, narrow = (laws.times([Call(op)], Widths(bits, bits, 16))[0].beyond_s for bits in (16, 8))
    assert wide > 1.3 * narrow
    assert laws.notes([Call(op)], Widths(8, 16, 16)) == [
        "weights of 8 bits: no matmul was measured, priced as bfloat16 that reads fewer bytes"
    ]


def test_a_factor_is_linear_in_logarithms_and_constant_beyond():
    record = Correction(axes=("inner",), knots=[[1024, 4096]], values=[0.0, 0.4])
    ready = [ReadyCorrection.of(record)]
    sizes = {"rows": np.ones(4), "inner": np.array([512, 1024, 2048, 9999.0])}
    assert np.log(factor(ready, sizes)) == pytest.approx([0, 0, 0.2, 0.4])


def test_unaligned_rows_have_a_factor_of_their_own():
    assert list(unaligned([1, 9, 16, 17, 24, 257])) == [False, False, False, True, False, True]
    rng = np.random.default_rng(0)
    rows = rng.integers(17, 400, 600).astype(float)
    sizes = {"rows": rows, "outer": rng.choice([1024.0, 4096.0], 600)}
    (found,) = fit_corrections((Design(("rows", "outer"), True),), sizes, np.where(unaligned(rows), 0.3, 0.0))
    factors = factor([ReadyCorrection.of(found)], sizes)
    assert np.abs(np.log(factors[unaligned(rows)]) - 0.3).max() < 0.05 and (factors[~unaligned(rows)] == 1).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"values": [0.0]}, "values: 1, and the knots are 2"),
        ({"knots": [[4096, 1024]]}, "in rising order"),
        ({"axes": ("inner", "outer")}, "knots: 1 lists for 2 axes"),
    ],
)
def test_a_correction_is_whole(changes, words):
    with pytest.raises(ValueError, match=words):
        Correction.model_validate({"axes": ("inner",), "knots": [[1024, 4096]], "values": [0.0, 0.4]} | changes)


def test_a_step_errs_as_the_laws_of_its_own_operations(calibration):
    laws = calibration.evaluator.compute({"launch_mode": "graph"})
    op = Compute("m", "matmul", 2.0 * 8 * 4096**2, 2 * 4096**2, 4.0 * 8 * 4096, matmul=(8, 4096, 4096))
    assert laws.relative_error([Call(op)], Widths(16, 16, 16)) == law_of(calibration, "bfloat16").fit.held_out.median
