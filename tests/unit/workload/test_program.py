"""The program against the shapes: every parameter, FLOP, byte of the model is somewhere on some rank, once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.feedforward import load_imbalance, touched_experts
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.memory import resident
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Collective, Compute
from inferometer.emulator.workload.rank import attended_tokens
from inferometer.emulator.workload.shape import Experts, Heads, Latent, uniform
from inferometer.emulator.workload.step import Step

DENSE = uniform("dense", 8, 64, 256, 1024, Heads(8, 4, 16))
MIXED = uniform("mixed", 8, 64, 256, 1024, Heads(8, 8, 16), experts=Experts(8, 2, 32, shared=1), first_dense=2)
LATENT = uniform("latent", 8, 64, 256, 1024, Latent(8, 48, 32, 16, 8, 16), experts=Experts(8, 2, 32))
PARALLEL = uniform("parallel", 8, 64, 256, 1024, Heads(8, 1, 16), gated=False, parallel_attention=True)
SHAPES = [DENSE, MIXED, LATENT, PARALLEL]
BYTE = Precision(8, 8, 8)


def layouts(shape):
    for tp in (1, 2, 4):
        for pp in (1, 2, 4):
            for ep in (1, 2, 4) if shape.experts else (1,):
                if tp * ep <= shape.attention.query_heads:
                    yield Layout(tp=tp, ep=ep, pp=pp)
                if ep > 1:
                    yield Layout(tp=tp, ep=ep, pp=pp, attention="data")


def matmul_parameters(shape):
    """Weights of all matrices, from the equations."""
    d, a = shape.d_model, shape.attention
    if isinstance(a, Latent):
        q = d * a.query_rank + a.query_rank * a.query_heads * (a.nope_dim + a.rope_dim)
        kv = d * (a.kv_rank + a.rope_dim) + a.kv_rank * a.query_heads * (a.nope_dim + a.value_dim)
        attention = q + kv + a.query_heads * a.value_dim * d
    else:
        attention = d * (a.query_heads + 2 * a.kv_heads) * a.head_dim + a.query_heads * a.head_dim * d
    matrices = 3 if shape.gated else 2
    e = shape.experts
    dense_layers = sum(not shape.has_experts(layer) for layer in range(shape.layers))
    total = shape.layers * attention + dense_layers * matrices * d * shape.d_ff
    active = total
    if e is not None:
        expert = matrices * d * e.d_ff
        layers = shape.layers - dense_layers
        total += layers * (d * e.count + (e.count + e.shared) * expert)
        active += layers * (d * e.count + (e.active + e.shared) * expert)
    return total + d * shape.vocab, active + d * shape.vocab


def computes(program):
    return [(count, op) for stage in program.stages for count, op in stage.counted() if isinstance(op, Compute)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_one_rank_holds_every_parameter(shape):
    program = build(shape, Layout(), Step.decode(1, 0), precision=BYTE)
    total, _ = matmul_parameters(shape)
    held = sum(count * op.resident_bytes for count, op in computes(program) if op.kind == "matmul")
    assert held == total


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_flop_is_twice_the_active_parameters_per_token(shape):
    program = build(shape, Layout(), Step.decode(7, 0), precision=BYTE)
    _, active = matmul_parameters(shape)
    flop = sum(count * op.flop for count, op in computes(program) if op.kind == "matmul")
    assert flop == pytest.approx(2 * 7 * active)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda s: s.name)
def test_sharding_conserves_flop(shape):
    """Over all ranks of a layout the matmuls that are cut add up to the unsharded ones; the rest is named here."""
    step = Step.decode(16, 32)
    whole = dict.fromkeys((op.name for _, op in computes(build(shape, Layout(), step))), 0.0)
    for count, op in computes(build(shape, Layout(), step)):
        whole[op.name] += count * op.flop
    replicated = {"attention.query_down", "attention.latent_down"}  # small, done by every rank of the tensor axis
    for layout in layouts(shape):
        program = build(shape, layout, step)
        for name in {op.name for _, op in computes(program) if op.kind != "stream"}:
            ranks = layout.stage_ranks
            summed = sum(count * op.flop for count, op in computes(program) if op.name == name) * ranks
            if name in replicated:
                summed /= layout.attention_ranks
            if name == "moe.router":
                summed /= layout.tp
            if name == "attention.qkv" and layout.attention_ranks > getattr(shape.attention, "kv_heads", 8):
                continue  # each key-value head is computed by several ranks
            assert summed == pytest.approx(whole[name]), (layout, name)


def test_counts_of_one_dense_layer():
    """Two all_reduces per layer, one for the embedding, one all_gather of the logits: by hand, tp 4, 5 sequences."""
    program = build(DENSE, Layout(tp=4), Step.decode(5, 0), precision=Precision())
    collectives = [op for op in program.stages[0] if isinstance(op, Collective)]
    assert [op.collective for op in collectives] == ["all_reduce"] * 17 + ["all_gather"]
    assert {op.bytes for op in collectives[:-1]} == {5 * 64 * 2}
    assert collectives[-1].bytes == 5 * 1024 * 2
    assert all(op.ranks == 4 and op.nodes == 1 for op in collectives)


def test_parallel_attention_reduces_once_per_layer():
    program = build(PARALLEL, Layout(tp=2), Step.decode(1, 0))
    assert sum(1 for op in program.stages[0] if op.name == "layer.reduce") == PARALLEL.layers


def test_pipeline_hands_on_between_stages_and_sends_tokens_back():
    program = build(DENSE, Layout(tp=4, pp=4), Step.decode(8, 0), micro_batches=4, node_size=8)
    sends = [[op for op in stage if isinstance(op, Collective) and op.axis == "pp"] for stage in program.stages]
    assert [s[-1].name for s in sends] == ["pipeline.activations"] * 3 + ["pipeline.tokens"]
    assert [s[-1].nodes for s in sends] == [1, 2, 1, 2]
    assert sends[0][-1].bytes == 2 * 64 * 2  # two sequences per micro-batch


def test_all_to_all_carries_every_choice_of_every_token():
    program = build(MIXED, Layout(ep=4, attention="data"), Step.decode(32, 0), precision=BYTE)
    dispatch = next(op for op in program.stages[0] if op.name == "moe.dispatch")
    assert dispatch.bytes == 32 / 4 * 2 * 64
    assert dispatch.expected


def test_attended_tokens_are_counted_one_by_one():
    for context, new, window in ((0, 5, None), (7, 3, None), (0, 9, 4), (2, 6, 4), (10, 3, 4)):
        one_by_one = sum(min(context + i, window or 10**9) for i in range(1, new + 1))
        assert attended_tokens(context, new, window) == one_by_one


@given(
    layout=st.sampled_from([*layouts(MIXED)]),
    batch=st.integers(1, 512),
    context=st.integers(0, 4096),
)
@settings(max_examples=60, deadline=None)
def test_arrays_and_numbers_agree(layout, batch, context):
    """A grid is priced by the code that prices one deployment."""
    grid = build(MIXED, layout, Step.decode(np.array([batch, 3.0]), np.array([[context], [8.0]])))
    one = build(MIXED, layout, Step.decode(float(batch), float(context)))
    for field in ("flop", "weight_bytes", "activation_bytes", "kv_bytes", "bytes"):
        value = np.broadcast_to(grid.total(field), (2, 2))[0, 0]
        assert value == pytest.approx(one.total(field), rel=1e-12)


def test_every_sequence_of_every_micro_batch_is_kept():
    layout = Layout(tp=2, pp=4)
    program = build(DENSE, layout, Step.decode(8, 0), precision=BYTE, micro_batches=4)
    assert resident(program, 8, 100).kv_bytes == 8 * 100 * (2 * 2 * 16) * (8 // 4)


def test_latent_cache_is_kept_by_every_tensor_rank():
    one, four = (resident(build(LATENT, Layout(tp=tp), Step.decode(1, 0)), 1, 10).kv_bytes for tp in (1, 4))
    assert one == four == 10 * (32 + 8) * 2 * 8


def test_touched_experts_and_imbalance():
    e = Experts(64, 4, 32)
    assert touched_experts(e, 1) == pytest.approx(4)
    assert touched_experts(e, 10**6) == pytest.approx(64)
    assert load_imbalance(e, 8, 256, "uniform") == 1
    drawn = np.random.default_rng(0)
    many = Experts(256, 8, 32)
    cases = [
        (e, 8, 256),
        (Experts(4, 2, 32), 2, 16),
        (Experts(16, 8, 32), 2, 64),
        (many, 64, 64),
        (many, 64, 8),
        (many, 8, 8),
    ]
    for experts, ranks, tokens in cases:
        each = experts.count // ranks
        measured = []
        for _ in range(1000):
            choices = np.argsort(drawn.random((tokens, experts.count)), axis=1)[:, : experts.active]
            most = np.bincount((choices // each).ravel(), minlength=ranks).max()
            measured.append(most / (tokens * experts.active / ranks))
        assert load_imbalance(experts, ranks, tokens, "random") - 1 == pytest.approx(np.mean(measured) - 1, rel=0.1)


def test_nodes_of_groups_by_their_real_ranks():
    assert Layout(tp=8).nodes("tensor", 8) == 1
    assert Layout(tp=16).nodes("tensor", 8) == 2
    assert Layout(tp=4, ep=16).nodes("ep", 8) == 8
    assert Layout(tp=16, ep=4, attention="data").nodes("ep", 8) == 4
    # ranks 6 to 11, the second stage's, lie on two nodes, though the first stage's fill a part of one
    assert Layout(tp=6, pp=4).nodes("tensor", 8) == 2
    assert [Layout(tp=6, pp=4).nodes("pp", 8, stage) for stage in range(4)] == [2, 2, 2, 2]
    assert [Layout(tp=2, pp=4, dp=2).nodes("pp", 8, stage) for stage in range(4)] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("shape", "layout", "words"),
    [
        (DENSE, {"tp": 3}, "query heads = 8 does not divide by tp = 3"),
        (DENSE, {"pp": 9}, "layers = 8 are fewer than pp = 9"),
        (DENSE, {"ep": 2}, "ep = 2, but the model has no experts"),
        (MIXED, {"ep": 16}, "query heads = 8 does not divide by tp·ep = 16"),
    ],
)
def test_layouts_that_do_not_divide(shape, layout, words):
    with pytest.raises(InputError, match=words.replace("·", ".")):
        build(shape, Layout(**layout), Step.decode(1, 0))


@pytest.mark.parametrize("bad", [{"tp": 0}, {"pp": 1.5}, {"attention": "data"}, {"attention": "none", "ep": 2}])
def test_layouts_that_mean_nothing(bad):
    with pytest.raises(InputError, match="layout"):
        Layout(**bad)


def test_context_beyond_the_model():
    shape = uniform("short", 2, 64, 256, 1024, Heads(8, 4, 16), max_context=128)
    with pytest.raises(InputError, match=r"context 128 \+ 1 new tokens = 129 is beyond the model's 128"):
        build(shape, Layout(), Step.decode(1, 128))
