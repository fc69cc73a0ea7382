"""The operations that are measured, each one small record: name, byte accounting, data and expected result, bus factor, run.

Sizes follow nccl-tests: ``bytes`` is the buffer of one rank for all_reduce, broadcast and send_recv, the total over the
group for all_gather and reduce_scatter, what one rank sends in all for all_to_all, and the most that any rank sends or
receives for the uneven forms. Data are small whole numbers, exact in every dtype and in any order of summation, so the
check is equality. This module needs numpy only: tensors come in through the communicator's arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from inferometer.emulator.measure.routing import split_matrix

if TYPE_CHECKING:
    import torch

    from inferometer.parallel.communicator import Communicator

PERIOD = 1021
"""Length of the repeating pattern: prime, so that no segment or shard boundary falls on it."""
EXACT = 256
"""Whole numbers up to here are exact in bfloat16 (8 bits of mantissa), the coarsest dtype measured."""


@dataclass(frozen=True)
class Call:
    """One rank's part in one call: ``elements`` nominal elements in a group of ``size``, seen from group rank ``rank``."""

    elements: int
    size: int
    rank: int

    def splits(self, kind: str) -> np.ndarray:
        return split_matrix(kind, self.elements, self.size)


@dataclass(frozen=True)
class Collective:
    name: str
    input_elements: Callable[[Call], int]
    """Elements of this rank's input buffer."""
    output_elements: Callable[[Call], int]
    """Elements of this rank's output buffer; 0 where the operation works in place."""
    data: Callable[[Call], np.ndarray]
    """This rank's input, int16."""
    expected: Callable[[Call], np.ndarray]
    """What this rank must hold afterwards, int16."""
    run: Callable[[Communicator, torch.Tensor, torch.Tensor, Any], None]
    """(communicator, input, output, prepared)."""
    bus_factor: Callable[[int], float]
    """busbw / algbw for a group of n ranks, as nccl-tests' PERFORMANCE.md derives it."""
    prepare: Callable[[Call], Any] = field(default=lambda call: None)
    """Whatever ``run`` needs that must not be made inside the timed region, such as split lists."""
    accounted_elements: Callable[[Call], int] = field(default=lambda call: call.elements)
    granularity: Callable[[int], int] = field(default=lambda size: 1)
    """``elements`` is rounded down to a multiple of this."""
    in_place: bool = False
    """The result replaces the input: there is no output buffer."""
    sums: bool = False
    """The operation adds numbers, which not every backend can do in every dtype."""
    sized: bool = True
    """False: it carries no data (barrier, null)."""
    pair: bool = False
    """It is defined for two ranks only."""
    solo: bool = False
    """It runs on a group of one rank: the dispatch without the communication."""
    operations: int = 1
    """Operations in one run, in sequence: 2 for a ping-pong, whose time is half the round trip."""


def elements_for(collective: Collective, size_bytes: int, itemsize: int, size: int) -> int:
    """Nominal elements of a call of about ``size_bytes``: 0 where not even one per shard fits."""
    if not collective.sized:
        return 1
    return size_bytes // itemsize // collective.granularity(size) * collective.granularity(size)


# -- data: rank s holds the pattern (7 i + 31 s) mod m, i the element's index ------------------------------------------


def _table(rank: int, modulus: int) -> np.ndarray:
    return ((7 * np.arange(PERIOD) + 31 * rank) % modulus).astype(np.int16)


def _tile(table: np.ndarray, count: int, start: int = 0) -> np.ndarray:
    return np.resize(np.roll(table, -(start % PERIOD)), count)


def _summand_table(rank: int, size: int) -> np.ndarray:
    """Summed over the group these stay within EXACT: small values, and beyond EXACT ranks only zeros."""
    return _table(rank, max(2, EXACT // size)) if rank < EXACT else np.zeros(PERIOD, np.int16)


def _sum_table(size: int) -> np.ndarray:
    return np.stack([_summand_table(rank, size) for rank in range(size)]).sum(axis=0, dtype=np.int16)


def _moved(rank: int, count: int, start: int = 0) -> np.ndarray:
    return _tile(_table(rank, 251), count, start)


def _received_blocks(matrix: np.ndarray, rank: int) -> np.ndarray:
    """What rank receives when rank i sends it matrix[i, rank] elements of its input, blocks in the order of i."""
    starts = np.cumsum(matrix, axis=1) - matrix
    blocks = [_moved(i, int(matrix[i, rank]), int(starts[i, rank])) for i in range(len(matrix))]
    return np.concatenate(blocks)


# -- the records -------------------------------------------------------------------------------------------------------


def _two_way_share(n: int) -> float:
    return 2 * (n - 1) / n


def _one_way_share(n: int) -> float:
    return (n - 1) / n


def _whole(n: int) -> float:
    return 1.0


def _shards(size: int) -> int:
    return size


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
        f"all_to_all_v_{kind}",
        input_elements=lambda call: totals(call, 1),
        output_elements=lambda call: totals(call, 0),
        data=lambda call: _moved(call.rank, totals(call, 1)),
        expected=lambda call: _received_blocks(call.splits(kind), call.rank),
        run=lambda comm, tensor, output, splits: comm.all_to_all(output, tensor, splits[0], splits[1]),
        bus_factor=_one_way_share,
        prepare=prepare,
        accounted_elements=most,
    )


def _records() -> list[Collective]:
    return [
        Collective(
            "all_reduce",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: 0,
            data=lambda call: _tile(_summand_table(call.rank, call.size), call.elements),
            expected=lambda call: _tile(_sum_table(call.size), call.elements),
            run=lambda comm, tensor, output, _: comm.all_reduce(tensor),
            bus_factor=_two_way_share,
            in_place=True,
            sums=True,
        ),
        Collective(
            "all_gather",
            input_elements=lambda call: call.elements // call.size,
            output_elements=lambda call: call.elements,
            data=lambda call: _moved(call.rank, call.elements // call.size),
            expected=lambda call: np.concatenate([_moved(i, call.elements // call.size) for i in range(call.size)]),
            run=lambda comm, tensor, output, _: comm.all_gather(output, tensor),
            bus_factor=_one_way_share,
            granularity=_shards,
        ),
        Collective(
            "reduce_scatter",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements // call.size,
            data=lambda call: _tile(_summand_table(call.rank, call.size), call.elements),
            expected=lambda call: _tile(
                _sum_table(call.size), call.elements // call.size, call.rank * (call.elements // call.size)
            ),
            run=lambda comm, tensor, output, _: comm.reduce_scatter(output, tensor),
            bus_factor=_one_way_share,
            granularity=_shards,
            sums=True,
        ),
        Collective(
            "all_to_all",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: _moved(call.rank, call.elements),
            expected=lambda call: _received_blocks(np.full((call.size, call.size), call.elements // call.size), call.rank),
            run=lambda comm, tensor, output, _: comm.all_to_all(output, tensor),
            bus_factor=_one_way_share,
            granularity=_shards,
        ),
        _uneven("uniform"),
        _uneven("skewed"),
        Collective(
            "send_recv",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: _moved(call.rank, call.elements),
            expected=lambda call: _moved(1 - call.rank, call.elements),
            run=_ping_pong,
            bus_factor=_whole,
            pair=True,
            operations=2,
        ),
        Collective(
            "send_recv_ring",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: call.elements,
            data=lambda call: _moved(call.rank, call.elements),
            expected=lambda call: _moved((call.rank - 1) % call.size, call.elements),
            run=lambda comm, tensor, output, _: comm.exchange(
                tensor, (comm.rank + 1) % comm.size, output, (comm.rank - 1) % comm.size
            ),
            bus_factor=_whole,
        ),
        Collective(
            "broadcast",
            input_elements=lambda call: call.elements,
            output_elements=lambda call: 0,
            data=lambda call: _moved(call.rank, call.elements),
            expected=lambda call: _moved(0, call.elements),
            run=lambda comm, tensor, output, _: comm.broadcast(tensor, 0),
            bus_factor=_whole,
            in_place=True,
        ),
        Collective(
            "barrier",
            input_elements=lambda call: 0,
            output_elements=lambda call: 0,
            data=lambda call: np.zeros(0, np.int16),
            expected=lambda call: np.zeros(0, np.int16),
            run=lambda comm, tensor, output, _: comm.barrier(),
            bus_factor=_whole,
            in_place=True,
            sized=False,
        ),
        Collective(
            "null",
            input_elements=lambda call: 1,
            output_elements=lambda call: 0,
            data=lambda call: np.ones(1, np.int16),
            expected=lambda call: np.ones(1, np.int16),
            run=lambda comm, tensor, output, _: comm.all_reduce(tensor),
            bus_factor=_whole,
            in_place=True,
            sized=False,
            solo=True,
        ),
    ]


def collectives() -> dict[str, Collective]:
    """Every record by name."""
    return {record.name: record for record in _records()}
