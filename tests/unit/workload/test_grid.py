"""The 2-D cut in the program: the paper's four reductions per layer, by hand."""

from __future__ import annotations

import pytest

from inferometer.emulator.errors import InputError
from inferometer.emulator.workload.build import build
from inferometer.emulator.workload.layout import Layout
from inferometer.emulator.workload.precision import Precision
from inferometer.emulator.workload.program import Collective, Compute
from inferometer.emulator.workload.shape import Experts, Heads, uniform
from inferometer.emulator.workload.step import Step

DENSE = uniform("dense", 1, 64, 256, 1024, Heads(16, 4, 8))


def test_the_collectives_of_one_layer():
    """tp 16 is 4 × 4, 3 tokens of 2 bytes. q, k, v of a grid column: 4 ranks · (1 + 2·1) heads of 8, k and v 4 times."""
    program = build(DENSE, Layout(tp=16, tensor="2d"), Step.decode(3, 0), precision=Precision())
    layer = next(segment for segment in program.stages[0].segments if segment.name == "dense layer")
    found = [(op.name, op.collective, op.axis, op.bytes) for op in layer.ops if isinstance(op, Collective)]
    assert found == [
        ("attention.norm_reduce", "all_reduce", "width", 3 * 4),
        ("attention.qkv_reduce", "reduce_scatter", "width", 3 * 4 * 3 * 8 * 2),
        ("attention.gather", "all_gather", "width", 3 * 4 * 8 * 2),
        ("attention.reduce", "all_reduce", "tensor", 3 * 64 / 4 * 2),
        ("ffn.norm_reduce", "all_reduce", "width", 3 * 4),
        ("ffn.up_reduce", "all_reduce", "width", 3 * 2 * 256 / 4 * 2),
        ("ffn.reduce", "all_reduce", "tensor", 3 * 64 / 4 * 2),
    ]
    assert {op.ranks for op in layer.ops if isinstance(op, Collective)} == {4}


def test_nodes_under_rows_and_columns_of_the_grid():
    """Ranks of a row lie side by side; those of a column at distance √tp: on nodes of 4, each on its own node."""
    layout = Layout(tp=16, tensor="2d")
    assert (layout.nodes("tensor", 4), layout.nodes("width", 4)) == (1, 4)


@pytest.mark.parametrize("field", ["flop", "weight_bytes", "kv_bytes"])
def test_each_rank_has_as_much_of_every_matrix_as_in_the_1d_cut(field):
    """Norms are the exception: the 2-D cut divides them too."""
    totals = []
    for tensor in ("1d", "2d"):
        program = build(DENSE, Layout(tp=16, tensor=tensor), Step.decode(3, 10))
        totals.append(sum(getattr(op, field) for op in program.stages[0] if isinstance(op, Compute) and op.kind != "stream"))
    assert totals[0] == totals[1]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"tp": 8, "tensor": "2d"}, "tp = 8 is no square"),
        ({"tp": 4, "ep": 2, "tensor": "2d"}, r"tp·ep = 4·2: use attention = 'data'"),
        ({"tp": 4, "tensor": "3d"}, "tensor = '3d'"),
    ],
)
def test_grids_that_are_none(layout, words):
    with pytest.raises(InputError, match=words):
        Layout(**layout)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"d_model": 65}, "d_model = 65 does not divide by √tp = 2"),
        ({"d_ff": 255}, "d_ff = 255 does not divide by √tp = 2"),
        ({"experts": Experts(4, 1, 33)}, "expert d_ff = 33 does not divide by √tp = 2"),
    ],
)
def test_grids_that_do_not_divide(changes, words):
    asked = {"d_model": 64, "d_ff": 256, "experts": None} | changes
    shape = uniform("odd", 1, asked["d_model"], asked["d_ff"], 1024, Heads(16, 4, 8), asked["experts"])
    with pytest.raises(InputError, match=words):
        build(shape, Layout(tp=4, tensor="2d"), Step.decode(1, 0))


def test_tokens_that_do_not_divide_are_padded():
    """5 tokens over ep 2: 3 each, the last one padding; what is dispatched is the real ones' copies."""
    shape = uniform("mixed", 1, 64, 256, 128, Heads(8, 8, 8), experts=Experts(8, 2, 32))
    program = build(shape, Layout(ep=2), Step.decode(5, 0), precision=Precision())
    ops = {op.name: op for op in program.stages[0]}
    assert ops["moe.router"].matmul == (3, 64, 8)
    assert ops["moe.gather"].bytes == 6 * 64 * 2
    assert ops["moe.dispatch"].bytes == 2.5 * 2 * 64 * 2
