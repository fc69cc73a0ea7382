"""The collectives that are measured, fitted, priced, imported and exported: one record each (`collective_record`).

Data are small whole numbers, exact in every dtype and in any order of summation, so the check is equality. This module needs
numpy only: tensors come in through the communicator's arguments. To add a collective: a record here, and its call in
`communicator.Communicator` and the two classes that have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.parallel.collective_record import Call, Collective, ToolNames, by_name
from inferometer.parallel.patterns import moved, nothing, received, summand, total
from inferometer.parallel.traffic import Traffic

if TYPE_CHECKING:
    import torch

    from inferometer.parallel.communicator import Communicator

ROOT = 0
ONE_BUFFER = "one rank's buffer"
GROUP_TOTAL = "the shards of all ranks together"
UNKNOWN_ELSEWHERE = ToolNames(tests=None, aiconfigurator=None, vidur=None, nccl_tuner=None)


def _ping_pong(comm: Communicator, tensor: torch.Tensor, output: torch.Tensor, prepared: Any) -> None:
    if comm.rank == 0:
        comm.send(tensor, 1)
        comm.recv(output, 1)
    else:
        comm.recv(output, 0)
        comm.send(tensor, 0)


def _uneven(kind: str) -> Collective:
    def totals(call: Call, axis: int) -> int:
        return int(call.splits(kind).sum(axis=axis)[call.rank])

    def prepare(call: Call) -> tuple[list[int], list[int]]:
        matrix = call.splits(kind)
        return matrix[:, call.rank].tolist(), matrix[call.rank].tolist()

    def most(call: Call) -> int:
        matrix = call.splits(kind)
        return int(max(matrix.sum(axis=0).max(), matrix.sum(axis=1).max()))

    return Collective(
        name=f"all_to_all_v_{kind}",
        bytes_are="the most that any rank sends or receives",
        input_elements=lambda call: totals(call, 1),
        output_elements=lambda call: totals(call, 0),
        data=lambda call: moved(call.rank, totals(call, 1)),
        expected=lambda call: received(call.splits(kind), call.rank),
        run=lambda comm, tensor, output, splits: comm.all_to_all(output, tensor, splits[0], splits[1]),
        traffic=Traffic(pattern="direct", passes=1),
        tools=UNKNOWN_ELSEWHERE,
        prepare=prepare,
        accounted_elements=most,
        point_to_point=True,
    )


#: By name, in the order in which lists show them.
COLLECTIVES: Mapping[str, Collective] = by_name(
    (
        Collective(
            name="all_reduce",
            bytes_are=ONE_BUFFER,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: 0,
            data=lambda call: summand(call.rank, call.size, call.elements),
            expected=lambda call: total(call.size, call.elements),
            run=lambda comm, tensor, output, _: comm.all_reduce(tensor),
            traffic=Traffic(pattern="ring", passes=2),  # a reduce_scatter, then an all_gather
            tools=ToolNames(
                tests="all_reduce",
                spellings=("allreduce",),
                aiconfigurator="all_reduce",
                vidur="all_reduce",
                nccl_tuner="allreduce",
                tests_print_redop=True,
            ),
            in_place=True,
            sums=True,
        ),
        Collective(
            name="all_gather",
            bytes_are=GROUP_TOTAL,
            input_elements=lambda call: call.shard,
            output_elements=lambda call: call.elements,
            data=lambda call: moved(call.rank, call.shard),
            expected=lambda call: np.concatenate([moved(i, call.shard) for i in range(call.size)]),
            run=lambda comm, tensor, output, _: comm.all_gather(output, tensor),
            traffic=Traffic(pattern="ring", passes=1),
            tools=ToolNames(
                tests="all_gather",
                spellings=("allgather",),
                aiconfigurator="all_gather",
                vidur=None,
                nccl_tuner="allgather",
                mpi_counts_shards=True,
            ),
            in_shards=True,
        ),
        Collective(
            name="reduce_scatter",
            bytes_are=GROUP_TOTAL,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.shard,
            data=lambda call: summand(call.rank, call.size, call.elements),
            expected=lambda call: total(call.size, call.shard, call.rank * call.shard),
            run=lambda comm, tensor, output, _: comm.reduce_scatter(output, tensor),
            traffic=Traffic(pattern="ring", passes=1),
            tools=ToolNames(
                tests="reduce_scatter",
                spellings=("reducescatter", "reducescatterblock"),
                aiconfigurator="reduce_scatter",
                vidur=None,
                nccl_tuner="reducescatter",
                tests_print_redop=True,
            ),
            in_shards=True,
            sums=True,
        ),
        Collective(
            name="all_to_all",
            bytes_are="what one rank sends in all",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: moved(call.rank, call.elements),
            expected=lambda call: received(np.full((call.size, call.size), call.shard), call.rank),
            run=lambda comm, tensor, output, _: comm.all_to_all(output, tensor),
            traffic=Traffic(pattern="direct", passes=1),
            tools=ToolNames(
                tests="alltoall",
                spellings=("all2all",),
                aiconfigurator="alltoall",
                vidur=None,
                nccl_tuner=None,
                tests_check_in_place=False,
                mpi_counts_shards=True,
            ),
            in_shards=True,
            point_to_point=True,
        ),
        _uneven("uniform"),
        _uneven("skewed"),
        Collective(
            name="send_recv",
            bytes_are=ONE_BUFFER,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: moved(call.rank, call.elements),
            expected=lambda call: moved(1 - call.rank, call.elements),
            run=_ping_pong,
            traffic=Traffic(pattern="chain", passes=1),
            tools=ToolNames(tests="send_recv", aiconfigurator=None, vidur="send_recv", nccl_tuner=None),
            point_to_point=True,
            pair=True,
            operations=2,
        ),
        Collective(
            name="send_recv_ring",
            bytes_are=ONE_BUFFER,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: moved(call.rank, call.elements),
            expected=lambda call: moved((call.rank - 1) % call.size, call.elements),
            run=lambda comm, tensor, output, _: comm.exchange(
                tensor, (comm.rank + 1) % comm.size, output, (comm.rank - 1) % comm.size
            ),
            traffic=Traffic(pattern="chain", passes=1),
            tools=ToolNames(
                tests="sendrecv",
                spellings=("sendrecvring",),
                aiconfigurator=None,
                vidur=None,
                nccl_tuner=None,
                tests_print_redop=True,  # the default one, which it does not carry out
                tests_check_in_place=False,
            ),
            point_to_point=True,
        ),
        Collective(
            name="broadcast",
            bytes_are=ONE_BUFFER,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: 0,
            data=lambda call: moved(call.rank, call.elements),
            expected=lambda call: moved(ROOT, call.elements),
            run=lambda comm, tensor, output, _: comm.broadcast(tensor, ROOT),
            traffic=Traffic(pattern="chain", passes=1),
            tools=ToolNames(
                tests="broadcast", spellings=("bcast",), aiconfigurator=None, vidur=None, nccl_tuner="broadcast"
            ),
            in_place=True,
            rooted=True,
        ),
        Collective(
            name="reduce",
            bytes_are=ONE_BUFFER,
            input_elements=lambda call: call.elements,
            output_elements=lambda call: 0,
            data=lambda call: summand(call.rank, call.size, call.elements),
            expected=lambda call: total(call.size, call.elements) if call.rank == ROOT else nothing(),
            run=lambda comm, tensor, output, _: comm.reduce(tensor, ROOT),
            traffic=Traffic(pattern="chain", passes=1),
            tools=ToolNames(tests="reduce", aiconfigurator=None, vidur=None, nccl_tuner="reduce", tests_print_redop=True),
            in_place=True,
            sums=True,
            rooted=True,
        ),
        Collective(
            name="gather",
            bytes_are=GROUP_TOTAL,
            input_elements=lambda call: call.shard,
            output_elements=lambda call: call.elements if call.rank == ROOT else 0,
            data=lambda call: moved(call.rank, call.shard),
            expected=lambda call: (
                np.concatenate([moved(i, call.shard) for i in range(call.size)]) if call.rank == ROOT else nothing()
            ),
            run=lambda comm, tensor, output, _: comm.gather(output, tensor, ROOT),
            traffic=Traffic(pattern="direct", passes=1),
            tools=ToolNames(tests="gather", aiconfigurator=None, vidur=None, nccl_tuner=None, mpi_counts_shards=True),
            in_shards=True,
            rooted=True,
            point_to_point=True,
        ),
        Collective(
            name="scatter",
            bytes_are=GROUP_TOTAL,
            input_elements=lambda call: call.elements if call.rank == ROOT else 0,
            output_elements=lambda call: call.shard,
            data=lambda call: moved(ROOT, call.elements) if call.rank == ROOT else nothing(),
            expected=lambda call: moved(ROOT, call.shard, call.rank * call.shard),
            run=lambda comm, tensor, output, _: comm.scatter(output, tensor, ROOT),
            traffic=Traffic(pattern="direct", passes=1),
            tools=ToolNames(tests="scatter", aiconfigurator=None, vidur=None, nccl_tuner=None, mpi_counts_shards=True),
            in_shards=True,
            rooted=True,
            point_to_point=True,
        ),
        Collective(
            name="barrier",
            bytes_are="nothing",
            input_elements=lambda call: 0,
            output_elements=lambda call: 0,
            data=lambda call: nothing(),
            expected=lambda call: nothing(),
            run=lambda comm, tensor, output, _: comm.barrier(),
            traffic=Traffic(pattern="nothing", passes=1),
            tools=UNKNOWN_ELSEWHERE,
            in_place=True,
            sized=False,
        ),
        Collective(
            name="null",
            bytes_are="nothing",
            input_elements=lambda call: 1,
            output_elements=lambda call: 0,
            data=lambda call: np.ones(1, np.int16),
            expected=lambda call: np.ones(1, np.int16),
            run=lambda comm, tensor, output, _: comm.all_reduce(tensor),
            traffic=Traffic(pattern="nothing", passes=1),
            tools=UNKNOWN_ELSEWHERE,
            in_place=True,
            sized=False,
            solo=True,
        ),
    )
)
