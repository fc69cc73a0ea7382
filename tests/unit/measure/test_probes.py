"""Which probes of the compute side are made, and how steps are broken down by operation."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.measure.method import Method, ProbeModel, Probes, load_sweep
from inferometer.emulator.measure.probes import (
    MatmulProbe,
    ModelProbe,
    kept_bytes,
    levels,
    participants,
    probes_of,
    shared_out,
)
from inferometer.emulator.measure.step_breakdown import collective_breakdown, step_breakdown
from inferometer.emulator.samples.probe_table import model_collectives, probe_table
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.step import Step

MODEL = {"model": "llama-3-8b", "scale": 0.03125, "layers": 1}
COMPUTE = {"rows": [1, 8], "inner": [64, 32], "outer": [64, 128], "models": [MODEL], "batches": [1, 2], "contexts": [8, 16]}


def method(**changes):
    compute = COMPUTE | {"prompts": [8, 16]}
    sweep = load_sweep("default").model_copy(update={"compute": type(load_sweep("default").compute)(**compute)})
    return Method(**({"backend": "gloo", "world_size": 4, "sizes_bytes": [64], "sweep": sweep} | changes))


def test_levels_are_powers_of_two_and_all():
    assert [levels(n) for n in (1, 2, 3, 4, 6, 8)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4], [1, 2, 4, 6], [1, 2, 4, 8]]


@pytest.mark.parametrize(
    ("ranks", "cores", "threads", "concurrent_ranks"),
    [(4, 8, 1, {1, 2, 4}), (4, 2, 1, {1, 2}), (4, 8, 4, {1, 2}), (2, 1, 1, {1})],
)
def test_no_more_ranks_compute_at_once_than_there_are_cores(ranks, cores, threads, concurrent_ranks):
    assert {probe.concurrent_ranks for probe in probes_of(method(threads=threads), [ranks], cores)} == concurrent_ranks


def test_every_probe_once_matmuls_first_then_the_corners_of_the_models():
    found = probes_of(method(), [1], 1)
    assert len({probe.id for probe in found}) == len(found) == 2 * 2 + 2 * 2 + 2
    assert [type(probe) for probe in found] == [MatmulProbe] * 4 + [ModelProbe] * 6
    corners = {(probe.phase, probe.batch, probe.tokens) for probe in found[4:8]}
    assert {("prefill", 1, 8), ("decode", 2, 16)} <= corners


def test_models_come_in_goes_and_several_whole_ones_at_once_with_the_corners_alone():
    models = [MODEL, MODEL | {"layers": 2}, MODEL | {"tp": 2}]
    compute = Probes(**COMPUTE | {"prompts": [8, [4, 2], 16], "models": models})
    made = method(sweep=load_sweep("default").model_copy(update={"compute": compute}))
    found = [probe for probe in probes_of(made, [2], 2) if isinstance(probe, ModelProbe)]
    per_model = {}
    for at, probe in enumerate(found):
        per_model.setdefault((probe.concurrent_ranks, probe.model.layers, probe.model.tp), []).append(at)
    assert {key: len(places) for key, places in per_model.items()} == {
        (1, 1, 1): 7, (1, 2, 1): 7, (2, 1, 1): 4, (2, 2, 1): 4, (2, 1, 2): 7
    }  # fmt: skip
    goes = [slice(0, 4), slice(4, 6), slice(6, 7)]  # the first bears a law
    for before, after in pairwise(goes):
        ends = max(at for places in per_model.values() for at in places[before])
        assert ends < min(at for places in per_model.values() for at in places[after])
    for places in per_model.values():
        for go in goes:
            phases = [found[at].phase for at in places[go]]
            assert phases == sorted(phases, reverse=True), "prefills first"
    whole = {(probe.batch, probe.tokens) for probe in found if probe.phase == "prefill" and probe.concurrent_ranks == 1}
    assert whole == {(1, 8), (4, 2), (1, 16)}


def test_the_weights_that_a_rank_keeps_are_those_of_every_model_once():
    probes = probes_of(method(), [1], 1)
    assert kept_bytes(probes) == kept_bytes(probes[:5]) > 0 == kept_bytes(probes[:4])
    (model,) = {probe.model for probe in probes[4:]}
    program = build(model.shape(), model.layout, Step.decode(1, 0), precision=Precision(32, 32, 32))
    assert kept_bytes(probes) >= program.total("weight_bytes")


def test_a_probe_knows_its_steps_tokens():
    for probe in probes_of(method(), [1], 1):
        if isinstance(probe, ModelProbe):
            assert probe.step_tokens == probe.step.tokens


def test_one_rank_and_all_of_them_come_before_numbers_between():
    assert list(dict.fromkeys(probe.concurrent_ranks for probe in probes_of(method(world_size=8), [8], 8))) == [1, 8, 2, 4]


@pytest.mark.parametrize(
    ("changes", "dtypes"),
    [
        ({"dtypes": ["float32", "bfloat16", "float16"]}, {"float32", "bfloat16"}),
        ({"backend": "mpi", "dtypes": ["float32", "bfloat16"]}, {"float32"}),
        ({"backend": "nccl"}, set()),
    ],
)
def test_only_dtypes_in_which_models_run_are_probed(changes, dtypes):
    assert {probe.dtype for probe in probes_of(method(**changes), [1], 1)} == dtypes


def test_the_first_ranks_of_every_node_take_part():
    assert participants([0, 0, 1, 0, 1], 1) == [0, 2]
    assert participants([0, 0, 1, 0, 1], 2) == [0, 1, 2, 4]


def test_an_unknown_model_in_a_sweep_is_named(tmp_path):
    file = tmp_path / "s.toml"
    tables = '[[tier]]\ncollectives = ["all_reduce"]\n[compute]\nrows = [1, 2]\ninner = [8, 16]\nouter = [8, 16]\n'
    file.write_text(
        f'name = "s"\n{tables}models = [{{model = "llama-9"}}]\nbatches = [1, 2]\ncontexts = [1, 2]\nprompts = [1, 2]\n'
    )
    with pytest.raises(InputError, match=r"s\.toml: compute: .*llama-9"):
        load_sweep(str(file))


def test_a_step_taken_apart_adds_up():
    """Two layers of two operations, then the head: means times how often they occur are the step, but for rounding."""
    names = ["norm", "up", "norm", "up", "head"]
    sized = {"kind": "matmul", "rows": 2.0, "inner": 3.0, "outer": 5.0, "matrices": 1.0, "activation_bytes": 8.0}
    sizes = dict.fromkeys(names, sized)
    entered = {"activation_bytes": 24.0, "matrices": 1.0}
    inputs = dict.fromkeys(names, entered)
    readings = np.cumsum(np.random.default_rng(1).integers(1, 100, (7, 2 + 2 * len(names))) * 2, axis=1)
    found = step_breakdown(names, readings, sizes, inputs, 40.0)
    own = {(op["predecessors"], op["op"]): op["ns"] for op in found if op["kind"] != "glue"}
    ways = {(op["predecessors"], op["op"]): op["ns"] for op in found if op["kind"] == "glue"}
    assert own.keys() == {("", "norm"), ("norm", "up"), ("up", "norm"), ("up", "head")}
    assert ways.keys() == {("", "step.begin"), ("norm", "up"), ("up", "norm"), ("up", "head"), ("head", "step.end")}
    for step, reading in enumerate(readings):
        total = sum(ns[step] for its in (own, ways) for ns in its.values())
        total += sum(its["norm", "up"][step] for its in (own, ways))  # the one way that is taken twice
        assert total == pytest.approx(reading[-1] - reading[0], abs=5)
    entering = {(op["predecessors"], op["op"]): op.get("activation_bytes") for op in found if op["kind"] == "glue"}
    assert entering["norm", "up"] == 24 and entering["head", "step.end"] == 40 and entering["", "step.begin"] is None


def test_a_way_leads_through_the_collectives_on_it_without_their_time():
    names = ["out", "reduce", "gather", "norm"]
    sizes = {"out": {"kind": "matmul", "rows": 2.0, "inner": 3.0, "outer": 5.0, "matrices": 1.0, "activation_bytes": 8.0}}
    sizes["norm"] = {"kind": "stream", "rows": 0.0, "inner": 0.0, "outer": 0.0, "matrices": 0.0, "activation_bytes": 64.0}
    readings = np.array([[0, 1, 10, 13, 113, 118, 918, 925, 930, 931]])  # gaps 1; 3, 5, 7; 1, collectives 100 and 800
    found = step_breakdown(names, readings, sizes, {name: {} for name in sizes}, 40.0)
    own = {(op["predecessors"], op["op"]): op["ns"] for op in found if op["kind"] != "glue"}
    assert own == {("", "out"): [9], ("out, reduce, gather", "norm"): [5]}
    ways = {(op["predecessors"], op["op"]): op["ns"] for op in found if op["kind"] == "glue"}
    assert ways == {("", "step.begin"): [1], ("out, reduce, gather", "norm"): [15], ("norm", "step.end"): [1]}


def test_collectives_of_a_step_but_for_those_that_follow_uneven_work():
    names = ["up", "reduce", "up", "reduce", "experts", "combine", "gather"]
    sizes = {name: {"collective": f"kind of {name}", "bytes": 8.0} for name in ("reduce", "combine", "gather")}
    # up 2, reduce 10 after 4; up 2, reduce 30 after 8; experts 100, combine 50; gather 7 after 3; two us later the end
    step = [0, 1, 3, 4, 14, 16, 18, 22, 52, 53, 153, 154, 204, 207, 214, 216]
    found = collective_breakdown(names, 1000 * np.array([step, step]), sizes, {"experts"})
    assert [(its["op"], its["kind"], its["collective"], its["bytes"]) for its in found] == [
        (name, "collective", f"kind of {name}", 8.0) for name in ("reduce", "gather")
    ]
    assert [(its["ns"], its["compute_gap_us"]) for its in found] == [([20000] * 2, 6.0), ([7000] * 2, 3.0)]


@pytest.mark.parametrize(
    ("gpus", "per_node", "concurrent_ranks", "whether"),
    [
        (2, [2], 2, True), (2, [4, 4], 4, True), (2, [4], 2, False), (2, [1], 1, False), (2, [3], 3, False),
        (2, [4, 2], 4, False), (4, [2, 2], 2, False),
    ],
)  # fmt: skip
def test_sharded_models_take_up_the_whole_world(gpus, per_node, concurrent_ranks, whether):
    assert shared_out(ProbeModel(model="llama-3-8b", tp=gpus), per_node, concurrent_ranks) is whether


def test_a_model_that_its_layout_does_not_divide_is_refused():
    with pytest.raises(ValueError, match="query heads = 4 does not divide by tp = 8"):
        Probes(**COMPUTE | {"prompts": [8, 16], "models": [MODEL | {"scale": 0.125, "tp": 8}]})


def test_the_table_has_medians_and_the_last_of_a_probe_made_twice(tmp_path):
    path = tmp_path / "x.samples.jsonl"
    about = {
        "backend": "gloo",
        "device": "cpu",
        "launch_mode": "host",
        "dtype": "float32",
        "scheduler": "rr",
        "threads": 1,
        "concurrent_ranks": 2,
    }
    probe = {"record": "compute", "launch": 0, "cell": "p", **about, "participants": [0, 1], "working_set_bytes": 1}
    probe |= {"model": None, "sharded": False, "tokens": 0}
    op = {
        "op": "matmul",
        "kind": "matmul",
        "rows": 8.0,
        "inner": 2.0,
        "outer": 2.0,
        "ns": [[1000, 2000, 90000], [4000, 4000]],
    }
    older = probe | {"ops": [op | {"ns": [[1], [1]]}]}
    records = [{"record": "header", "schema": "inferometer/samples/1"}, older, probe | {"ops": [op]}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    row = probe_table(path).iloc[0]
    # by hand: the median of 1, 2, 90 us, and that of 4 and 4
    assert len(probe_table(path)) == 1 and row["us"] == pytest.approx((2 + 4) / 2)
    assert (row["rows"], row["flop"], row["n"]) == (8.0, 0.0, 2)


def test_a_probe_without_times_of_a_participant_is_refused(tmp_path):
    path = tmp_path / "x.samples.jsonl"
    record = {
        "record": "compute",
        "launch": 0,
        "cell": "p",
        "backend": "gloo",
        "device": "cpu",
        "launch_mode": "host",
        "dtype": "float32",
    }
    record |= {"scheduler": "rr", "threads": 1, "concurrent_ranks": 2, "participants": [0, 1], "working_set_bytes": 1}
    record |= {
        "model": "llama-3-8b",
        "sharded": False,
        "tokens": 1,
        "ops": [{"op": "attention.core", "kind": "attention", "ns": [[1]]}],
    }
    path.write_text('{"record": "header", "schema": "inferometer/samples/1"}\n' + json.dumps(record) + "\n")
    with pytest.raises(InputError, match=r"line 2: ns of attention\.core needs times of each of 2 participants"):
        probe_table(path)


def test_collectives_of_models_have_a_table_of_their_own(tmp_path):
    paths = [tmp_path / "a.samples.jsonl", tmp_path / "b.samples.jsonl"]
    record = {
        "record": "compute",
        "launch": 0,
        "cell": "p",
        "backend": "gloo",
        "device": "cpu",
        "launch_mode": "host",
        "dtype": "float32",
    }
    record |= {
        "scheduler": "rr",
        "threads": 1,
        "concurrent_ranks": 2,
        "participants": [0, 1],
        "working_set_bytes": 1,
        "model": "llama-3-8b",
        "sharded": True,
        "tokens": 1,
    }
    norm = {"op": "norm", "kind": "stream", "activation_bytes": 8.0, "ns": [[5], [5]]}
    reduce = {"op": "reduce", "kind": "collective", "collective": "all_reduce", "bytes": 64.0, "ranks": 2, "nodes": 1}
    reduce |= {"compute_gap_us": 40.0, "ns": [[1000, 3000], [5000, 5000]]}
    for path in paths:
        lines = [{"record": "header", "schema": "inferometer/samples/1"}, record | {"ops": [norm, reduce]}]
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert list(probe_table(paths[0])["op"]) == ["norm"]
    found = model_collectives(*paths)
    assert list(found["launch"]) == [0, 1] and list(found["us"]) == [3.5, 3.5]
    assert dict(found.iloc[0])["collective"] == "all_reduce" and set(found["compute_gap_us"]) == {40.0}
    paths[0].write_text(paths[0].read_text().replace('"ranks": 2', '"ranks": 1'))
    with pytest.raises(InputError, match=r"a\.samples\.jsonl: line 2: ops\.1.*ranks"):
        model_collectives(*paths)
