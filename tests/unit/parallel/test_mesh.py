"""The rank mesh against a direct walk over the grid."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferometer.parallel.mesh import RankMesh, powers_of_two

AXES = ("dp", "pp", "ep", "tp")


@st.composite
def meshes(draw):
    """A mesh of one to four axes over distinct, shuffled world ranks, and some of its axes."""
    degrees = {axis: draw(st.integers(1, 4)) for axis in AXES[: draw(st.integers(1, 4))]}
    size = prod(degrees.values())
    ranks = draw(st.permutations(range(3, 3 + size)))
    chosen = draw(st.lists(st.sampled_from(list(degrees)), min_size=1, unique=True))
    return RankMesh.of(degrees, ranks), degrees, list(ranks), chosen


@given(meshes())
def test_groups_partition_the_grid_and_hold_every_other_axis(case):
    mesh, degrees, ranks, chosen = case
    groups = mesh.groups(*chosen)
    assert sorted(rank for group in groups for rank in group) == sorted(ranks)
    assert {len(group) for group in groups} == {prod(degrees[axis] for axis in chosen)} == {mesh.degree(*chosen)}
    for group in groups:
        held = {tuple(v for axis, v in mesh.coordinates(rank).items() if axis not in chosen) for rank in group}
        assert len(held) == 1
        assert len({tuple(mesh.coordinates(rank)[axis] for axis in chosen) for rank in group}) == len(group)


@given(meshes())
def test_coordinates_are_the_inverse_of_the_row_major_layout(case):
    """Reference: itertools.product, whose last position runs fastest."""
    mesh, degrees, ranks, _ = case
    for rank, position in zip(ranks, product(*(range(d) for d in degrees.values()))):
        assert mesh.coordinates(rank) == dict(zip(degrees, position))
        assert mesh.grid[position] == rank


@given(meshes())
def test_the_group_of_a_rank_is_the_one_of_the_groups_that_holds_it(case):
    mesh, _, ranks, chosen = case
    for rank in ranks:
        assert [group for group in mesh.groups(*chosen) if rank in group] == [mesh.group_of(rank, *chosen)]


def test_the_worked_example_of_the_module():
    mesh = RankMesh.of({"pp": 2, "tp": 4}, 8)
    assert mesh.groups("tp") == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert mesh.groups("pp") == [(0, 4), (1, 5), (2, 6), (3, 7)]
    assert mesh.groups("tp", "pp")[0] == (0, 4, 1, 5, 2, 6, 3, 7)
    assert (mesh.size, mesh.degree("tp"), str(mesh)) == (8, 4, "pp(2)-tp(4)")


def test_errors_show_the_arithmetic():
    with pytest.raises(ValueError, match=r"pp·tp = 2·3 = 6 but there are 8 ranks"):
        RankMesh.of({"pp": 2, "tp": 3}, 8)
    with pytest.raises(ValueError, match=r"tp = 0 = 0 but there are 0 ranks"):
        RankMesh.of({"tp": 0}, 0)
    with pytest.raises(ValueError, match="a rank stands twice"):
        RankMesh(np.array([[0, 1], [1, 2]]), ("a", "b"))
    with pytest.raises(ValueError, match="2 dims"):
        RankMesh(np.array([[0, 1]]), ("a",))
    with pytest.raises(ValueError, match="different axis names"):
        RankMesh(np.array([[0, 1]]), ("a", "a"))


def test_what_is_not_in_the_mesh_is_named():
    mesh = RankMesh.of({"pp": 2, "tp": 2}, 4)
    for ask in (mesh.coordinates, lambda rank: mesh.group_of(rank, "tp")):
        with pytest.raises(ValueError, match=r"rank 9 is not in pp\(2\)-tp\(2\)"):
            ask(9)
    with pytest.raises(ValueError, match="no axis 'ep', only pp, tp"):
        mesh.groups("ep")


@given(st.integers(0, 5000))
def test_powers_of_two_are_all_those_within_the_limit(limit):
    assert list(powers_of_two(limit)) == [2**k for k in range(20) if 2**k <= limit]
