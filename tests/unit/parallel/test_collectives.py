"""Every record against the textbook definition of its collective, carried out over all ranks in numpy.

The reference knows each rank's input (``data``) and nothing else of the records: it sums, concatenates and cuts.
"""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.calibrate.laws.bus_factors import bus_factors
from inferometer.emulator.importers.run import TOOL_COLLECTIVES, tool_name
from inferometer.emulator.report.table import row
from inferometer.parallel.collective_record import Call, Collective, ToolNames, by_name
from inferometer.parallel.collectives import COLLECTIVES
from inferometer.parallel.traffic import Traffic

RECORDS = COLLECTIVES
ROOT = 0
GROUPS = [(name, size) for name in RECORDS for size in range(1, 9) if size == 2 or not RECORDS[name].pair]
UNEVEN = ("all_to_all_v_uniform", "all_to_all_v_skewed")


def textbook(name, inputs, sends):
    """What each rank holds afterwards; ``sends[i]``: how many elements rank i sends to each rank (uneven forms)."""
    size = len(inputs)
    if name in ("all_reduce", "reduce_scatter"):
        total = np.sum(inputs, axis=0)
        return [total] * size if name == "all_reduce" else np.split(total, size)
    if name == "all_gather":
        return [np.concatenate(inputs)] * size
    if name == "all_to_all":
        return [np.concatenate([np.split(sent, size)[rank] for sent in inputs]) for rank in range(size)]
    if name in UNEVEN:
        blocks = [np.split(sent, np.cumsum(counts)[:-1]) for sent, counts in zip(inputs, sends)]
        return [np.concatenate([row[rank] for row in blocks]) for rank in range(size)]
    if name == "broadcast":
        return [inputs[ROOT]] * size
    if name in ("reduce", "gather"):
        whole = np.sum(inputs, axis=0) if name == "reduce" else np.concatenate(inputs)
        return [whole if rank == ROOT else whole[:0] for rank in range(size)]
    if name == "scatter":
        return np.split(inputs[ROOT], size)
    if name == "send_recv":
        return [inputs[1], inputs[0]]
    if name == "send_recv_ring":
        return [inputs[rank - 1] for rank in range(size)]
    return inputs  # barrier and null leave everything as it is


def calls_of(name, size, bytes_):
    record = RECORDS[name]
    elements = record.elements(bytes_, 4, size)
    if record.solo:
        return [Call(elements, 1, 0)] * size
    return [Call(elements, size, rank) for rank in range(size)]


@pytest.mark.parametrize(("name", "size"), GROUPS)
@settings(max_examples=20)
@given(elements=st.one_of(st.integers(0, 40), st.integers(1000, 20_000)))
def test_expected_is_what_the_definition_gives(name, size, elements):
    record = RECORDS[name]
    calls = calls_of(name, size, 4 * elements)
    inputs = [record.data(call) for call in calls]
    sends = [record.prepare(call)[1] for call in calls] if name in UNEVEN else None
    for call, sent, reference in zip(calls, inputs, textbook(name, inputs, sends)):
        expected = record.expected(call)
        np.testing.assert_array_equal(expected, reference)
        assert len(sent) == record.input_elements(call)
        undefined = name == "reduce" and call.rank != ROOT
        assert len(expected) == (0 if undefined else len(sent) if record.in_place else record.output_elements(call))
        assert sent.dtype == expected.dtype == np.int16


def exact_in_bfloat16(values):
    """A bfloat16 is the upper half of a float32."""
    return not np.any(values.astype(np.float32).view(np.uint32) & 0xFFFF)


@pytest.mark.parametrize(("name", "size"), GROUPS)
def test_every_value_is_exact_in_the_coarsest_dtypes(name, size):
    record = RECORDS[name]
    for call in calls_of(name, size, 4 * 5000):
        for values in (record.data(call), record.expected(call)):
            assert exact_in_bfloat16(values)
            np.testing.assert_array_equal(values.astype(np.float16).astype(np.int64), values)
            assert values.size == 0 or (values.min() >= 0 and values.max() <= 256)


@pytest.mark.parametrize("size", [3, 100, 200, 256, 300])
def test_sums_stay_exact_in_any_order_however_many_ranks(size):
    """All summands are ≥ 0, so no partial sum exceeds the whole."""
    record = RECORDS["all_reduce"]
    inputs = [record.data(Call(2000, size, rank)) for rank in range(size)]
    assert min(values.min() for values in inputs) >= 0
    total = np.sum(inputs, axis=0)
    assert 0 < total.max() <= 256
    np.testing.assert_array_equal(record.expected(Call(2000, size, size - 1)), total)


@pytest.mark.parametrize("size", range(2, 9))
def test_data_tell_ranks_and_shards_apart(size):
    """A result from the wrong rank, or a shard too far, must not look right."""
    for name in ("all_reduce", "all_gather", "all_to_all", "broadcast", "send_recv_ring"):
        inputs = [RECORDS[name].data(call) for call in calls_of(name, size, 4 * 840 * size)]
        for i in range(size):
            for j in range(i):
                assert np.mean(inputs[i] != inputs[j]) > 0.5
        for shards in (np.split(values, size) for values in inputs):
            for one, following in pairwise(shards):
                assert np.mean(one != following) > 0.5


def test_no_partial_sum_is_the_sum():
    record = RECORDS["all_reduce"]
    for size in range(2, 9):
        expected = record.expected(Call(4000, size, 0))
        for rank in range(size):
            assert np.mean(expected - record.data(Call(4000, size, rank)) != expected) > 0.5


@pytest.mark.parametrize("ranks", range(2, 17))
def test_bus_factors_are_those_of_nccl_tests(ranks):
    """Reference: nccl-tests doc/PERFORMANCE.md."""
    shard = {"all_gather", "reduce_scatter", "all_to_all", "gather", "scatter", *UNEVEN}
    for name, record in RECORDS.items():
        wanted = 2 * (ranks - 1) / ranks if name == "all_reduce" else (ranks - 1) / ranks if name in shard else 1.0
        wanted = wanted if record.sized else 0.0
        assert record.bus_factor(ranks) == pytest.approx(wanted, rel=1e-12), name


@given(st.sampled_from(sorted(RECORDS)), st.integers(1, 8), st.integers(0, 1 << 20), st.sampled_from([2, 4]))
def test_elements_are_what_fits_in_whole_shards(name, size, bytes_, itemsize):
    record = RECORDS[name]
    elements = record.elements(bytes_, itemsize, size)
    if not record.sized:
        assert elements == 1
        return
    shards = size if name in ("all_gather", "reduce_scatter", "all_to_all", "gather", "scatter") else 1
    assert elements % shards == 0
    assert elements * itemsize <= bytes_ < (elements + shards) * itemsize


@pytest.mark.parametrize(("name", "size"), [(n, s) for n, s in GROUPS if RECORDS[n].sized])
def test_accounted_bytes_are_nccl_tests_convention(name, size):
    """One rank's buffer; the total for all_gather and reduce_scatter; the most any rank moves if uneven."""
    record = RECORDS[name]
    calls = calls_of(name, size, 4 * 3000)
    accounted = {record.accounted_elements(call) for call in calls}
    assert len(accounted) == 1
    sent = [len(record.data(call)) for call in calls]
    received = [len(record.expected(call)) for call in calls]
    if name in ("all_gather", "gather"):
        assert accounted == {sum(sent)}
    elif name in ("reduce_scatter", "scatter"):
        assert accounted == {sum(received)}
    elif name in UNEVEN:
        assert accounted == {max(*sent, *received)}
    else:
        assert accounted == set(sent)


@pytest.mark.parametrize("name", UNEVEN)
@given(st.integers(1, 8), st.integers(0, 9000))
def test_what_one_rank_sends_another_receives(name, size, elements):
    prepared = [RECORDS[name].prepare(Call(elements, size, rank)) for rank in range(size)]
    for receiver in range(size):
        for sender in range(size):
            assert prepared[receiver][0][sender] == prepared[sender][1][receiver]


def test_a_rank_that_receives_nothing_still_has_an_output_of_its_own():
    """Four ranks send one element each: some rank gets none, and must not be taken for working in place."""
    record = RECORDS["all_to_all_v_uniform"]
    received = [record.output_elements(Call(1, 4, rank)) for rank in range(4)]
    assert 0 in received and sum(received) == 4
    assert not record.in_place


def test_every_collective_can_be_fitted_shown_and_imported():
    """Each has a bus factor, a row of the table and a name in other tools, but for what no other tool has."""
    nowhere_else = {"all_to_all_v_uniform", "all_to_all_v_skewed", "barrier", "null"}
    for name, record in RECORDS.items():
        inside, between = bus_factors(name, [2, 8], [1, 2])
        assert (inside + between > 0).all() == record.sized and inside[0] == record.bus_factor(2)
        shown = row(cell_shown(name)).split()
        assert (shown[3] == "sum", int(shown[4]) == 0) == (record.sums, record.rooted)
        spellings = [record.tools.tests, *record.tools.spellings]
        imported = {TOOL_COLLECTIVES[tool_name(word)] for word in spellings if word}
        assert imported == (set() if name in nowhere_else else {name})


def cell_shown(name):
    cell = {"collective": name, "ranks": 2, "nodes": 1, "groups": "alone", "timing": "isolated", "dtype": "float32"}
    cell |= {"bytes": 64, "count": 16, "mean": 2.0, "median": 2.0, "p95": 2.0, "ci95": None, "n": 6, "wrong": 0}
    return cell | {"bus_factor": RECORDS[name].bus_factor(2)}


FIELDS = {field.name: getattr(RECORDS["gather"], field.name) for field in dataclasses.fields(Collective)}
ESSENTIAL = [field.name for field in dataclasses.fields(Collective) if field.default is dataclasses.MISSING]


@pytest.mark.parametrize("lacking", ESSENTIAL)
def test_a_record_that_lacks_something_is_refused_when_it_is_made(lacking):
    assert {"name", "bytes_are", "data", "expected", "run", "traffic", "tools"} <= set(ESSENTIAL)
    assert Collective(**FIELDS) == RECORDS["gather"]
    with pytest.raises(TypeError, match=lacking):
        Collective(**{name: value for name, value in FIELDS.items() if name != lacking})
    with pytest.raises(ValueError, match=f"lacks {lacking}"):
        Collective(**FIELDS | {lacking: None})


def test_records_that_contradict_themselves_or_each_other_are_refused():
    with pytest.raises(ValueError, match="gather: sized = True, but its traffic is 'nothing'"):
        Collective(**FIELDS | {"traffic": Traffic(pattern="nothing", passes=1)})
    with pytest.raises(ValueError, match="two collectives are called gather"):
        by_name([RECORDS["gather"], RECORDS["gather"]])
    with pytest.raises(ValueError, match="mine and gather are both called gather"):
        by_name([RECORDS["gather"], Collective(**FIELDS | {"name": "mine"})])
    for wrong in ({"pattern": "star", "passes": 1}, {"pattern": "ring", "passes": 0}):
        with pytest.raises(ValueError, match=r"pattern 'star' is none of|passes = 0"):
            Traffic(**wrong)
    with pytest.raises(TypeError, match="vidur"):
        ToolNames(tests="gather", aiconfigurator=None, nccl_tuner=None)


def test_what_the_records_claim_of_themselves():
    assert {name for name, record in RECORDS.items() if record.sums} == {"all_reduce", "reduce_scatter", "reduce"}
    assert {name for name, record in RECORDS.items() if record.rooted} == {"broadcast", "reduce", "gather", "scatter"}
    assert {name for name, record in RECORDS.items() if not record.sized} == {"barrier", "null"}
    assert {name for name, record in RECORDS.items() if record.pair} == {"send_recv"}
    assert {name for name, record in RECORDS.items() if record.solo} == {"null"}
    assert {name: r.operations for name, r in RECORDS.items() if r.operations != 1} == {"send_recv": 2}
    in_place = {name for name, record in RECORDS.items() if record.in_place}
    assert in_place == {"all_reduce", "broadcast", "reduce", "barrier", "null"}
    assert all(name == record.name for name, record in RECORDS.items())


class Recorder:
    """A communicator that only notes what is asked of it."""

    def __init__(self, size, rank):
        self.size, self.rank, self.calls = size, rank, []

    def __getattr__(self, name):
        return lambda *args: self.calls.append((name, *args))


def ping_pong(rank, size):
    return [("recv", "out", 0), ("send", "in", 0)] if rank else [("send", "in", 1), ("recv", "out", 1)]


# communicator calls of (rank, size) with input "in" and output "out"
RUNS = {
    "all_reduce": lambda rank, size: [("all_reduce", "in")],
    "all_gather": lambda rank, size: [("all_gather", "out", "in")],
    "reduce_scatter": lambda rank, size: [("reduce_scatter", "out", "in")],
    "all_to_all": lambda rank, size: [("all_to_all", "out", "in")],
    "all_to_all_v_uniform": lambda rank, size: [("all_to_all", "out", "in", "received", "sent")],
    "all_to_all_v_skewed": lambda rank, size: [("all_to_all", "out", "in", "received", "sent")],
    "send_recv": ping_pong,
    "send_recv_ring": lambda rank, size: [("exchange", "in", (rank + 1) % size, "out", (rank - 1) % size)],
    "broadcast": lambda rank, size: [("broadcast", "in", 0)],
    "reduce": lambda rank, size: [("reduce", "in", 0)],
    "gather": lambda rank, size: [("gather", "out", "in", 0)],
    "scatter": lambda rank, size: [("scatter", "out", "in", 0)],
    "barrier": lambda rank, size: [("barrier",)],
    "null": lambda rank, size: [("all_reduce", "in")],
}


@pytest.mark.parametrize(("name", "size"), [(name, 2 if RECORDS[name].pair else 4) for name in RECORDS])
def test_run_makes_the_calls_of_its_collective(name, size):
    for rank in range(size):
        communicator = Recorder(size, rank)
        RECORDS[name].run(communicator, "in", "out", ("received", "sent"))
        assert communicator.calls == RUNS[name](rank, size)
