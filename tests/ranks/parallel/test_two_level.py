"""Collectives by node on real ranks that believe to be on several nodes: the same numbers as in one level, exactly."""

from __future__ import annotations

import pytest
import torch

from inferometer.parallel.two_level import NAME, TwoLevelCommunicator, _levels

SIZES = (1, 2, 3, 7, 8, 1001, 4096, 4097, 65536)


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
        assert of_pair == implementation  # two ranks have one level, but small messages go by chain or doubling there, too


@pytest.mark.parametrize("node_of", [(0, 1, 2), (0, 0, 1), (0, 1, 2, 3, 4), (0, 0, 0), (0, 1, 2, 2, 1, 0)])
def test_chain_and_doubling_sum_whatever_the_nodes(ranks, node_of):
    size = len(node_of)
    found = ranks(size, _sums_of_three, node_of)
    assert found == [[float(sum(range(size)))] * 3] * size


def _sums_of_three(world, control, node_of):
    two = TwoLevelCommunicator.over(world, node_of)
    tensor = torch.full((3,), float(two.rank))
    two.all_reduce(tensor)
    return tensor.tolist()


@pytest.mark.parametrize("node_of", [(0, 0, 1, 1), (0, 1, 0, 1), (0, 0, 0, 0), (0, 0, 0, 1)])
def test_an_all_to_all_by_node_delivers_every_block(ranks, node_of):
    for mine, (plain, by_node, halves) in enumerate(ranks(4, _exchanged, node_of)):
        assert plain == by_node == [100.0 * source + mine for source in range(4) for _ in range(5)]
        assert halves == [100.0 * source + mine % 2 for source in ([0, 1] if mine < 2 else [2, 3])]


def _exchanged(world, control, node_of):
    """What a rank gets in a plain all_to_all of blocks of 5, in one by node, and in one of a half of the ranks."""
    two = TwoLevelCommunicator.over(world, node_of)
    tensor = (100.0 * world.rank + torch.arange(4.0)).repeat_interleave(5)
    plain, by_node = torch.empty(20), torch.empty(20)
    world.all_to_all(plain, tensor)
    two.all_to_all(by_node, tensor)
    half = two.split([[0, 1], [2, 3]])
    got = torch.empty(2)
    half.all_to_all(got, 100.0 * world.rank + torch.arange(2.0))
    return plain.tolist(), by_node.tolist(), got.tolist()


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
