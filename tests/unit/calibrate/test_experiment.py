"""What an allocation determines, and which cells tell most, against cases worked out by hand and against chance."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from inferometer.emulator.calibrate.experiment.allocation import Allocation, determined_by, would_determine
from inferometer.emulator.calibrate.experiment.order import MOST, NOISE_SD, by_information, expected_s, prior
from inferometer.emulator.measure.plan import Cell

SIZES = [64 * 4**k for k in range(10)]


def cells_of(groups, tiers=("all_reduce",)):
    return [
        Cell(name, "float32", size, "isolated", "alone", mesh, ranks, nodes, tier)
        for tier, name in enumerate(tiers)
        for size in SIZES
        for mesh, (ranks, nodes) in enumerate(groups)
    ]


@pytest.mark.parametrize(
    ("ranks_per_node", "known", "together"),
    [
        ((2,), {"B_intra"}, ("a + 1·b",)),
        ((8,), {"a", "b", "B_intra"}, ()),
        ((1, 1), {"B_inter"}, ("a + 1·c",)),
        ((2, 2), {"a", "b", "c", "B_intra", "B_inter"}, ()),
        ((1,) * 8, {"a", "c", "B_inter"}, ()),
    ],
)
def test_what_an_allocation_determines(ranks_per_node, known, together):
    found = determined_by(Allocation(ranks_per_node), "all_reduce")
    assert set(found.known) == known and found.together == together
    assert set(found.unknown) == {"a", "b", "c", "B_intra", "B_inter"} - known


def test_groups_that_outnumber_the_cores_determine_nothing():
    crowded = determined_by(Allocation((8,), cores=2), "all_reduce")
    assert crowded == determined_by(Allocation((2,)), "all_reduce")
    hosts = Allocation((2, 2), cores=2, one_machine=True)  # of a laboratory: two of four ranks have a core
    assert [fits for _, _, fits in hosts.groups()] == [True, True, False]


def test_a_ring_and_a_tree_are_distinguished_only_by_several_ranks_on_several_nodes():
    def confused(*ranks_per_node):
        forms = determined_by(Allocation(ranks_per_node), "all_reduce").alike
        return any({"a + b*(r-1)", "a + b*(r/N-1) + c*log2(N)"} <= set(group) for group in forms)

    assert not confused(2, 2, 2, 2) and not confused(2, 2)
    assert any("a + b*(r-1)" in group for group in determined_by(Allocation((8,)), "all_reduce").alike)


def test_the_smallest_allocation_that_determines_the_rest_does_so():
    better = would_determine(Allocation((4,), cores=4), "all_reduce")
    found = determined_by(better, "all_reduce")
    assert not found.unknown and not found.alike
    assert would_determine(better, "all_reduce") is None
    for nodes, local in ((2, 2), (4, 1), (1, 4), (2, 1)):  # each is smaller
        fewer = determined_by(Allocation.even(nodes, local), "all_reduce")
        assert fewer.unknown or fewer.alike


def test_the_order_holds_every_cell_once_tier_after_tier_and_begins_with_the_ranks_asked_for():
    cells = cells_of([(2, 1), (4, 1), (8, 1)], ("all_reduce", "all_gather"))
    order = by_information(cells)
    assert sorted(order, key=cells.index) == cells
    assert [cell.tier for cell in order] == sorted(cell.tier for cell in cells)
    assert order[0].ranks == 8 and next(cell for cell in order if cell.tier == 1).ranks == 8
    assert by_information([]) == []


def test_thousands_of_cells_take_no_longer_than_hundreds():
    sizes = range(64, 64 + 8 * 4000, 8)
    cells = [Cell("all_reduce", "float32", size, "isolated", "alone", 0, 2, 1, 0) for size in sizes]
    began = time.process_time()
    order = by_information(cells)
    assert time.process_time() - began < 20
    assert len(order) == len(set(order)) == 4000 and order[MOST:] == cells[MOST:]


def left_open(order, seconds):
    """Mean variance of the times' logarithms once the cells that fit in the time are measured, solved at once."""
    count = int((np.cumsum([expected_s(cell) for cell in order]) <= seconds).sum())
    n, r, N = (np.array(v, dtype=float) for v in zip(*((c.requested_bytes, c.ranks, c.nodes) for c in order)))
    covariance, _ = prior("all_reduce", n, r, N)
    among = covariance[:count, :count] + NOISE_SD**2 * np.eye(count)
    gain = covariance[:, :count] @ np.linalg.solve(among, covariance[:count])
    return float(np.diag(covariance - gain).mean())


@pytest.mark.parametrize("seconds", [1.5, 3.0, 6.0])
def test_in_any_time_it_leaves_less_open_than_chance_does(seconds):
    cells = cells_of([(2, 1), (4, 1), (2, 2), (4, 4), (8, 4)])
    by_chance = sorted(left_open(random.Random(seed).sample(cells, len(cells)), seconds) for seed in range(40))
    assert left_open(by_information(cells), seconds) < by_chance[1]
    assert left_open(by_information(cells), seconds) < 0.8 * by_chance[20]


def test_few_cells_span_sizes_and_groups():
    first = by_information(cells_of([(2, 1), (4, 1)]))[:6]
    assert {cell.ranks for cell in first} == {2, 4}
    assert max(c.requested_bytes for c in first) / min(c.requested_bytes for c in first) >= 4**5
