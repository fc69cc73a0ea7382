"""The communicator's face on real gloo ranks. Reference: the textbook definition of each collective, in numpy."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from inferometer.parallel.collective_record import Call
from inferometer.parallel.collectives import COLLECTIVES

DTYPES = ("float32", "bfloat16", "float16")


def _every_operation(world, control):
    """Each operation of the face once, on small distinct data; what this rank holds afterwards."""
    n, r = world.size, world.rank
    device = world.device
    x = torch.arange(3, dtype=torch.float32, device=device) + 10 * r
    got = {}
    y = x.clone()
    world.all_reduce(y)
    got["all_reduce"] = y.tolist()
    y = torch.empty(3 * n)
    world.all_gather(y, x)
    got["all_gather"] = y.tolist()
    y = torch.empty(2)
    world.reduce_scatter(y, torch.arange(2 * n, dtype=torch.float32) + r)
    got["reduce_scatter"] = y.tolist()
    y = torch.empty(2 * n)
    world.all_to_all(y, torch.arange(2 * n, dtype=torch.float32) + 100 * r)
    got["all_to_all"] = y.tolist()
    sends = [(r + j) % 3 for j in range(n)]  # some are empty
    receives = [(i + r) % 3 for i in range(n)]
    y = torch.empty(sum(receives))
    world.all_to_all(y, torch.full((sum(sends),), float(r)), receives, sends)
    got["all_to_all_v"] = y.tolist()
    y = x.clone()
    world.broadcast(y, 1)
    got["broadcast"] = y.tolist()
    y = x.clone()
    world.reduce(y, 1)
    got["reduce"] = y.tolist()
    y = torch.empty(3 * n if r == 1 else 0)
    world.gather(y, x, 1)
    got["gather"] = y.tolist()
    y = torch.empty(2)
    world.scatter(y, torch.arange(2 * n if r == 1 else 0, dtype=torch.float32), 1)
    got["scatter"] = y.tolist()
    y = torch.empty(3)
    world.exchange(x, (r + 1) % n, y, (r - 1) % n)
    got["exchange"] = y.tolist()
    y = torch.full((3,), -1.0)
    if r == 0:
        world.send(x, n - 1)
    elif r == n - 1:
        world.recv(y, 0)
    got["send_recv"] = y.tolist()
    world.barrier()
    world.synchronize()
    return got


@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_operation_does_what_its_definition_says(ranks, size):
    x = [np.arange(3) + 10 * r for r in range(size)]
    for r, got in enumerate(ranks(size, _every_operation)):
        assert got["all_reduce"] == np.sum(x, axis=0).tolist()
        assert got["all_gather"] == np.concatenate(x).tolist()
        total = size * np.arange(2 * size) + sum(range(size))
        assert got["reduce_scatter"] == total[2 * r : 2 * r + 2].tolist()
        assert got["all_to_all"] == [100 * i + 2 * r + k for i in range(size) for k in range(2)]
        assert got["all_to_all_v"] == [float(i) for i in range(size) for _ in range((i + r) % 3)]
        assert got["broadcast"] == x[1].tolist()
        assert r != 1 or got["reduce"] == np.sum(x, axis=0).tolist()
        assert got["gather"] == (np.concatenate(x).tolist() if r == 1 else [])
        assert got["scatter"] == [2 * r, 2 * r + 1]
        assert got["exchange"] == x[(r - 1) % size].tolist()
        assert got["send_recv"] == (x[0].tolist() if r == size - 1 else [-1.0] * 3)


def _split_and_sum(world, control):
    group = world.split([[0, 2], [1, 3]])
    y = torch.tensor([float(world.rank)])
    group.all_reduce(y)
    alone = world.split([[1, 2]])
    return group.ranks, group.rank, y.item(), alone is None


def test_split_gives_each_rank_its_group_and_the_others_none(ranks):
    assert ranks(4, _split_and_sum) == [
        ((0, 2), 0, 2.0, True),
        ((1, 3), 0, 4.0, False),
        ((0, 2), 1, 2.0, False),
        ((1, 3), 1, 4.0, True),
    ]


def _every_record(world, control, dtype):
    """Every collective's record, run once through the face and compared with its own expected result."""
    wrong = {}
    solo = world.split([[rank] for rank in range(world.size)])
    for name, record in COLLECTIVES.items():
        comm = solo if record.solo else world
        if record.pair and world.size != 2:
            continue
        elements = record.elements(600, torch.empty(0, dtype=dtype).element_size(), world.size)
        call = Call(elements, comm.size, comm.rank)
        tensor = torch.from_numpy(record.data(call)).to(dtype)
        output = tensor if record.in_place else torch.full((record.output_elements(call),), -1.0, dtype=dtype)
        record.run(comm, tensor, output, record.prepare(call))
        expected = torch.from_numpy(record.expected(call)).to(dtype)
        wrong[name] = (int((output[: len(expected)] != expected).sum()), len(expected))
    return wrong


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [2, 3])
def test_every_record_yields_its_expected_result_exactly(ranks, size, dtype):
    for rank, wrong in enumerate(ranks(size, _every_record, dtype)):
        assert {name: count for name, (count, _) in wrong.items() if count} == {}
        empty = {"barrier"} if rank == 0 else {"barrier", "reduce", "gather"}
        assert {name for name, (_, length) in wrong.items() if length == 0} == empty


def _messages_of_new_groups(world, control):
    """Sizes, receivers and senders of what a rank sends as groups are made."""
    sent = []

    class Watched(type(world)):
        def exchange(self, tensor, to, output, source):
            sent.append((self.size, tensor.nbytes, to, source))
            super().exchange(tensor, to, output, source)

    module = sys.modules[type(world).__module__]
    plain, module.TorchCommunicator = module.TorchCommunicator, Watched
    try:
        for groups in ([[0, 1, 2]], [[rank] for rank in range(3)]):
            world.split(groups).close()
    finally:
        module.TorchCommunicator = plain
    return sent


def test_a_new_group_sends_large_messages_over_every_connection(ranks):
    for rank, sent in enumerate(ranks(3, _messages_of_new_groups)):
        assert {size for size, *_ in sent} == {3} and min(nbytes for _, nbytes, *_ in sent) >= 2**22
        assert {to for *_, to, _ in sent} == {source for *_, source in sent} == {0, 1, 2} - {rank}


def _exchanged_in_a_group_out_of_order(world, control):
    group = world.split([[2, 0, 1]])
    received = torch.empty(1)
    group.exchange(torch.full((1,), float(world.rank)), (group.rank + 1) % 3, received, (group.rank - 1) % 3)
    return group.ranks[group.rank], received.item() == group.ranks[group.rank - 1]


def test_a_groups_ranks_are_in_the_order_of_its_indices(ranks):
    assert ranks(3, _exchanged_in_a_group_out_of_order) == [(0, True), (1, True), (2, True)]
