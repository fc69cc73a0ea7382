"""Collectives by node: an all_reduce and an all_to_all that send between nodes only what must go there.

all_reduce of a large message: a reduce_scatter inside each node, an all_reduce across nodes, an all_gather inside each node.
Between nodes each rank sends its part alone, to the ranks with its place on other nodes (its rail). A ring over all ranks
crosses nodes in each of 2(r − 1) steps, this one in 2(N − 1). (Thakur and others 2005; NCCL's tree does the like.) For a
small message see `chain_and_doubling`.

all_to_all: an exchange inside each node, after which each rank holds what goes to its place on any node, then along rails.
Each rank sends N − 1 messages of L blocks to other nodes, in the plain one (N − 1)·L of a block each. (DeepSeek's DeepEP.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import torch

from inferometer.parallel.communicator import Communicator

NAME = "two-level"
SMALL_BYTES = 16 * 2**10
"""Up to here an all_reduce goes by chain and doubling: fewer rounds, each with the whole message."""


class TwoLevelCommunicator:
    """See `communicator.Communicator`: a group whose all_reduce and all_to_all go by node, everything else as before.

    Made by `over` and `split`, not directly. A group on one node, with one rank on each, or with unequal numbers has but one
    level: its all_to_all and the all_reduce of a large message are those of the library.
    """

    def __init__(
        self, whole: Communicator, node: Communicator | None, rail: Communicator | None, node_of: Sequence[int]
    ) -> None:
        self._whole, self._node, self._rail, self._node_of = whole, node, rail, tuple(node_of)
        self.backend, self.device = whole.backend, whole.device
        self.ranks, self.rank = whole.ranks, whole.rank
        self.implementation = f"{whole.implementation}, {NAME}"
        nodes = sorted({node_of[rank] for rank in whole.ranks})
        self._by_node = [[i for i, rank in enumerate(whole.ranks) if node_of[rank] == number] for number in nodes]

    @classmethod
    def over(cls, world: Communicator, node_of: Sequence[int]) -> TwoLevelCommunicator:
        """The world, with the node of each of its ranks. Collective over it."""
        levels = _levels([range(world.size)], node_of)
        node, rail = (world.split(groups) if groups else None for groups in levels)
        return cls(world, node, rail, node_of)

    @property
    def size(self) -> int:
        return len(self.ranks)

    def all_reduce(self, tensor: torch.Tensor) -> None:
        if self.size > 1 and tensor.numel() * tensor.element_size() <= SMALL_BYTES:
            chain_and_doubling(self._whole, tensor, self._by_node)
            return
        if self._node is None or self._rail is None:
            self._whole.all_reduce(tensor)
            return
        elements, flat = tensor.numel(), tensor.view(-1)
        share = -(-elements // self._node.size)
        padded = flat
        if share * self._node.size != elements:  # the last rank's part is filled up with zeros
            padded = flat.new_zeros(share * self._node.size)
            padded[:elements] = flat
        part = flat.new_empty(share)
        self._node.reduce_scatter(part, padded)
        self._rail.all_reduce(part)
        self._node.all_gather(padded, part)
        if padded is not flat:
            flat.copy_(padded[:elements])

    def split(self, groups: Sequence[Sequence[int]]) -> TwoLevelCommunicator | None:
        whole = self._whole.split(groups)
        node, rail = (self._whole.split(part) if part else None for part in _levels(groups, self._node_of))
        return None if whole is None else TwoLevelCommunicator(whole, node, rail, self._node_of)

    def all_gather(self, output: torch.Tensor, shard: torch.Tensor) -> None:
        self._whole.all_gather(output, shard)

    def reduce_scatter(self, shard: torch.Tensor, tensor: torch.Tensor) -> None:
        self._whole.reduce_scatter(shard, tensor)

    def all_to_all(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
    ) -> None:
        if self._node is None or self._rail is None or output_splits is not None or input_splits is not None:
            self._whole.all_to_all(output, tensor, output_splits, input_splits)
            return
        order = torch.tensor(self._by_node)  # [nodes, places]
        blocks = tensor.view(self.size, -1)
        by_place = blocks[order.T.reshape(-1)]  # [places · nodes, elements]
        here = torch.empty_like(by_place)
        self._node.all_to_all(here, by_place)
        places, nodes = self._node.size, self._rail.size
        by_node = here.view(places, nodes, -1).transpose(0, 1).contiguous()  # of every place here, to each node
        there = torch.empty_like(by_node)
        self._rail.all_to_all(there.view(-1), by_node.view(-1))
        output.view(self.size, -1)[order.reshape(-1)] = there.view(self.size, -1)

    def broadcast(self, tensor: torch.Tensor, root: int) -> None:
        self._whole.broadcast(tensor, root)

    def reduce(self, tensor: torch.Tensor, root: int) -> None:
        self._whole.reduce(tensor, root)

    def gather(self, output: torch.Tensor, shard: torch.Tensor, root: int) -> None:
        self._whole.gather(output, shard, root)

    def scatter(self, shard: torch.Tensor, tensor: torch.Tensor, root: int) -> None:
        self._whole.scatter(shard, tensor, root)

    def send(self, tensor: torch.Tensor, to: int) -> None:
        self._whole.send(tensor, to)

    def start_send(self, tensor: torch.Tensor, to: int) -> Callable[[], None]:
        return self._whole.start_send(tensor, to)

    def recv(self, tensor: torch.Tensor, source: int) -> None:
        self._whole.recv(tensor, source)

    def exchange(self, tensor: torch.Tensor, to: int, output: torch.Tensor, source: int) -> None:
        self._whole.exchange(tensor, to, output, source)

    def barrier(self) -> None:
        self._whole.barrier()

    def synchronize(self) -> None:
        self._whole.synchronize()

    def close(self) -> None:
        for part in (self._rail, self._node, self._whole):
            if part is not None:
                part.close()


def _levels(groups: Sequence[Sequence[int]], node_of: Sequence[int]) -> tuple[list[list[int]], list[list[int]]]:
    """Of each group that has two levels: its ranks by node, and its rails, one for each place on the nodes."""
    nodes: list[list[int]] = []
    rails: list[list[int]] = []
    for ranks in groups:
        by_node = [[rank for rank in ranks if node_of[rank] == node] for node in sorted({node_of[rank] for rank in ranks})]
        if len(by_node) > 1 and len(by_node[0]) > 1 and len({len(one) for one in by_node}) == 1:
            nodes += by_node
            rails += [list(rail) for rail in zip(*by_node)]
    assert sorted(chain(*nodes)) == sorted(chain(*rails))
    return nodes, rails


def chain_and_doubling(group: Communicator, tensor: torch.Tensor, nodes: Sequence[Sequence[int]]) -> None:
    """Sum in place. nodes: the group's ranks, as it numbers them, by node.

    The sum goes from rank to rank to the node's first, whose partner lies 1, 2, 4 … nodes away in turn, and back up: a
    time of a + b·(ranks per node − 1) + c·log2 nodes, the form of the paper's t_reduce. (Thakur and others 2005, §4.1.)
    """
    node = next(number for number, ranks in enumerate(nodes) if group.rank in ranks)
    chain, place = nodes[node], nodes[node].index(group.rank)
    received = torch.empty_like(tensor)
    if place + 1 < len(chain):
        group.recv(received, chain[place + 1])
        tensor += received
    if place:
        group.send(tensor, chain[place - 1])
        group.recv(tensor, chain[place - 1])
    else:
        _double(group, tensor, received, [ranks[0] for ranks in nodes], node)
    if place + 1 < len(chain):
        group.send(tensor, chain[place + 1])


def _double(group: Communicator, tensor: torch.Tensor, received: torch.Tensor, leaders: Sequence[int], me: int) -> None:
    """Recursive doubling among the leaders. Those beyond a power of two hand their sum to one of the others, and wait."""
    whole = 1 << (len(leaders).bit_length() - 1)
    if me >= whole:
        group.send(tensor, leaders[me - whole])
        group.recv(tensor, leaders[me - whole])
        return
    beyond = me + whole if me + whole < len(leaders) else None
    if beyond is not None:
        group.recv(received, leaders[beyond])
        tensor += received
    distance = 1
    while distance < whole:
        partner = leaders[me ^ distance]
        group.exchange(tensor, partner, received, partner)
        tensor += received
        distance *= 2
    if beyond is not None:
        group.send(tensor, leaders[beyond])
