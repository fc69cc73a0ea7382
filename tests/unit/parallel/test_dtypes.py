"""The table of dtypes: against torch, against what MPI can add, and as the one place where names meet."""

from __future__ import annotations

from dataclasses import MISSING, fields

import numpy as np
import pytest

from inferometer.parallel.dtypes import DTYPES, EXECUTED, MEASURED, NAMED, Dtype, bits_of, by_name, common_name


def test_widths_are_numpys_where_numpy_has_the_dtype():
    known = {name: dtype for name, dtype in DTYPES.items() if hasattr(np, name)}
    assert set(DTYPES) - set(known) == {"bfloat16", "float8_e4m3fn", "float8_e5m2", "fp8"}
    assert all(np.dtype(name).itemsize == dtype.itemsize for name, dtype in known.items())
    assert DTYPES["bfloat16"].itemsize == 2


def test_every_name_of_another_tool_finds_the_one_record():
    for dtype in DTYPES.values():
        names = {dtype.name, dtype.nccl_tests, dtype.aiconfigurator, *dtype.spellings} - {None}
        assert {NAMED[name].name for name in names} == {common_name(name) for name in names} == {dtype.name}
    assert [common_name(name) for name in ("half", "bf16", "float", "char", "q4")] == [
        "float16", "bfloat16", "float32", "int8", "q4"
    ]  # fmt: skip
    assert (bits_of("half"), bits_of("q4"), bits_of(None)) == (16, None, None)


def test_what_is_measured_has_a_place_in_the_table_and_what_is_executed_is_measured():
    assert all(dtype.nccl_tests for dtype in MEASURED.values())
    assert {dtype.name for dtype in EXECUTED.values()} <= set(MEASURED)
    assert {bits: dtype.name for bits, dtype in EXECUTED.items()} == {32: "float32", 16: "bfloat16"}
    assert [name for name, dtype in MEASURED.items() if "mpi" in dtype.summed_by] == ["float32", "float16"]


def test_a_record_that_lacks_something_or_takes_anothers_name_is_refused():
    whole = {field.name: getattr(DTYPES["float16"], field.name) for field in fields(Dtype)}
    assert Dtype(**whole) == DTYPES["float16"]
    for lacking in (field.name for field in fields(Dtype) if field.default is MISSING):
        with pytest.raises(TypeError, match=lacking):
            Dtype(**{name: value for name, value in whole.items() if name != lacking})
    with pytest.raises(ValueError, match="bits = 12 is no whole number of bytes"):
        Dtype(**whole | {"bits": 12})
    with pytest.raises(ValueError, match="mine and float16 are both called half"):
        by_name([DTYPES["float16"], Dtype(**whole | {"name": "mine"})])
