"""What a design can tell: against numpy's rank, an independent oracle, and cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferometer.emulator.calibrate.fit.explain import combination_expression, not_identified_reason
from inferometer.emulator.calibrate.fit.points import Points
from inferometer.emulator.calibrate.laws.design import identify
from inferometer.emulator.calibrate.laws.linear import AFFINE, affine, flat_ring

SIZES = (1024, 65536, 2**22)


def points(layouts, sizes=SIZES):
    cells = np.array([(n, r, N) for r, N in layouts for n in sizes], dtype=float)
    index = np.arange(len(cells))
    return Points(*cells.T, np.zeros_like(index), index, np.ones(len(cells)), np.ones(len(cells)))


def examine(law, layouts, sizes=SIZES):
    p = points(layouts, sizes)
    design = law.design(p.n, p.r, p.N)
    return design, p


def in_row_space(X, vector):
    """Oracle: does adding the vector as a row leave the rank as it is? Columns scaled, exact arithmetic not needed."""
    scale = np.where(np.abs(X).max(axis=0) > 0, np.abs(X).max(axis=0), 1)
    stacked = np.vstack([X / scale, vector / np.abs(vector).max()])
    return np.linalg.matrix_rank(stacked, tol=1e-7) == np.linalg.matrix_rank(X / scale, tol=1e-7)


layout = st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4])).map(lambda t: (t[0] * t[1], t[1]))
several = st.lists(layout.filter(lambda rn: rn[0] > 1), min_size=1, max_size=5, unique=True)
some_sizes = st.lists(st.sampled_from([256, 4096, 65536, 2**20]), min_size=1, max_size=3, unique=True)


@settings(max_examples=150, deadline=None)
@given(several, some_sizes, st.sampled_from(["all_reduce", "all_to_all", "broadcast"]), st.booleans())
def test_rank_and_identifiable_parameters_match_the_oracle(layouts, sizes, collective, flat):
    law = flat_ring(collective) if flat else affine(collective)
    p = points(layouts, sizes)
    X = law.columns(p.n, p.r, p.N)
    design = law.design(p.n, p.r, p.N)
    scale = np.where(np.abs(X).max(axis=0) > 0, np.abs(X).max(axis=0), 1)
    assert design.rank == np.linalg.matrix_rank(X / scale, tol=1e-7)
    for j, name in enumerate(design.names):
        assert (name in design.identified) == in_row_space(X, np.eye(len(design.names))[j]), name
    assert np.allclose(X / scale, X[:, list(design.pivots)] @ design.combinations / scale, rtol=0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(2, 6))
def test_rank_of_random_matrices(seed, rank, columns):
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, (8, rank)) @ rng.integers(-3, 4, (rank, columns)) * 1.0
    design = identify(X, [f"p{j}" for j in range(columns)])
    assert design.rank == np.linalg.matrix_rank(X)
    outside = rng.standard_normal((20, columns))
    assert design.spans(outside).tolist() == [design.rank == columns] * 20
    assert design.spans(X).all()


def test_one_node_hides_c_and_the_inter_bandwidth():
    design, p = examine(affine("all_reduce"), [(2, 1), (4, 1), (8, 1)])
    assert set(design.identified) == {"a", "b", "B_intra"}
    assert "one node, so log2 N is always 0" in not_identified_reason("c", design, p, AFFINE)
    assert "no byte crosses nodes" in not_identified_reason("B_inter", design, p, AFFINE)


def test_one_group_size_merges_a_and_b():
    design, p = examine(affine("all_reduce"), [(4, 1), (8, 2), (16, 4)])
    assert set(design.identified) == {"c", "B_intra", "B_inter"}
    assert combination_expression(design, 0, p) == ("a + 3·b", "us")
    reason = not_identified_reason("b", design, p, AFFINE)
    assert reason == "one group size only (4 ranks per node); only a + 3·b is determined"


def test_two_ranks_only_merges_a_and_b():
    design, p = examine(affine("all_reduce"), [(2, 1)])
    assert combination_expression(design, 0, p) == ("a + b", "us")
    assert set(design.identified) == {"B_intra"}
    design, p = examine(flat_ring("all_reduce"), [(2, 1)])
    assert "one rank count only (2)" in not_identified_reason("a", design, p, flat_ring("all_reduce").formula)


def test_one_rank_per_node_hides_b_and_the_intra_bandwidth():
    design, p = examine(affine("all_reduce"), [(2, 2), (4, 4), (8, 8)])
    assert set(design.identified) == {"a", "c", "B_inter"}
    assert "one rank per node" in not_identified_reason("b", design, p, AFFINE)
    assert "one rank per node" in not_identified_reason("B_intra", design, p, AFFINE)


def test_both_bandwidths_need_a_run_that_has_only_one_of_them():
    # rho = 2 and 4 on two nodes: kappa_intra = 1, 1.5 and kappa_inter = 0.5, 0.25 differ, so these do split them.
    design, _ = examine(affine("all_reduce"), [(4, 2), (8, 2)])
    assert {"B_intra", "B_inter"} <= set(design.identified)
    design, p = examine(affine("all_reduce"), [(4, 2)])
    assert combination_expression(design, 1, p) == ("1/B_intra + 0.5/B_inter", "ns/byte")
    assert "one proportion" in not_identified_reason("B_inter", design, p, AFFINE)


def test_one_size_merges_the_bandwidth_and_says_so_in_words():
    design, p = examine(affine("all_reduce"), [(2, 1)], sizes=[65536])
    assert design.rank == 1
    assert combination_expression(design, 0, p) == ("t at 65536 bytes", "us")
    assert "one message size only (65536 bytes)" in not_identified_reason("B_intra", design, p, AFFINE)
    design, p = examine(affine("all_reduce"), [(2, 1), (4, 1)], sizes=[65536])
    assert combination_expression(design, 0, p) == ("a + 0.75·(65536 bytes)/B_intra", "us")


def test_a_full_design_identifies_everything():
    design, _ = examine(affine("all_reduce"), [(4, 1), (2, 2), (8, 2), (4, 4)])
    assert set(design.identified) == {"a", "b", "c", "B_intra", "B_inter"}
    assert design.condition < 20


def test_a_query_in_an_unmeasured_direction_is_nan():
    design, _ = examine(affine("all_reduce"), [(4, 1), (8, 2), (16, 4)])
    law = affine("all_reduce")
    combinations = design.combinations @ law.theta({"a": 5, "b": 1, "c": 10, "B_intra": 1, "B_inter": 1})
    known = law.predict_us(design, combinations, 0, [4, 32], [1, 8])
    assert known.tolist() == pytest.approx([8, 38])
    assert np.isnan(law.predict_us(design, combinations, 0, [8, 2], 1)).all()
