"""The all_reduce by node on real ranks that believe to be on two nodes: the same numbers as in one level, exactly."""

from __future__ import annotations

import pytest
import torch

from inferometer.parallel.two_level import NAME, TwoLevelCommunicator, _levels

SIZES = (1, 2, 3, 7, 8, 1001, 65536)


def _sums(world, control, node_of):
    """What each rank holds after an all_reduce of each size: how many elements differ from the sum."""
    two = TwoLevelCommunicator.over(world, node_of)
    wrong = {}
    for elements in SIZES:
        tensor = torch.arange(elements, dtype=torch.float32).remainder(97) + 1000 * two.rank
        two.all_reduce(tensor)
        ranks = range(two.size)
        expected = two.size * torch.arange(elements, dtype=torch.float32).remainder(97) + 1000 * sum(ranks)
        wrong[elements] = int((tensor != expected).sum())
    square = torch.full((3, 5), float(two.rank))
    two.all_reduce(square)
    pair = two.split([[0, 1], [2, 3]])
    one = torch.tensor([float(two.rank)])
    pair.all_reduce(one)
    return wrong, square.unique().tolist(), one.item(), two.implementation, pair.implementation


@pytest.mark.parametrize("node_of", [(0, 0, 1, 1), (0, 1, 0, 1)])
def test_every_size_is_summed_exactly_on_two_nodes(ranks, node_of):
    for rank, (wrong, square, pair, implementation, of_pair) in enumerate(ranks(4, _sums, node_of)):
        assert wrong == dict.fromkeys(SIZES, 0)
        assert square == [6.0] and pair == (1.0 if rank < 2 else 5.0)
        assert implementation.startswith("gloo") and implementation.endswith(NAME)
        assert NAME not in of_pair  # two ranks have one level, on one node or on two


def _calls(world, control):
    """Who takes part in what, as an all_reduce of 8 elements is done by node."""
    two = TwoLevelCommunicator.over(world, (0, 0, 1, 1))
    return two._node.ranks, two._rail.ranks


def test_parts_cross_nodes_between_ranks_of_the_same_place(ranks):
    assert ranks(4, _calls) == [((0, 1), (0, 2)), ((0, 1), (1, 3)), ((2, 3), (0, 2)), ((2, 3), (1, 3))]


def test_groups_without_two_levels_stay_as_they_are():
    assert _levels([[0, 1, 2, 3]], (0, 0, 0, 0)) == ([], [])
    assert _levels([[0, 1, 2]], (0, 0, 1)) == ([], [])
    assert _levels([[0, 1]], (0, 1)) == ([], [])
    assert _levels([[0, 1, 2, 3], [4, 5]], (0, 0, 1, 1, 2, 2)) == ([[0, 1], [2, 3]], [[0, 2], [1, 3]])
