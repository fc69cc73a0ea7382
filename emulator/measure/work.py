"""One cell's operation on this rank: its buffers, the call itself, and the check of what it leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from inferometer.emulator.measure.plan import Cell
from inferometer.parallel.collective_record import Call
from inferometer.parallel.communicator import Communicator


class Work:
    """The buffers of one cell on this rank, and the operation on them."""

    def __init__(self, cell: Cell, group: Communicator, solo: Communicator) -> None:
        record = self.record = cell.record
        self._comm = solo if record.solo else group
        self.call = Call(cell.elements, self._comm.size, self._comm.rank)
        self.accounted_bytes = record.accounted_elements(self.call) * cell.itemsize if record.sized else 0
        self._dtype = getattr(torch, cell.dtype)
        device = self._comm.device
        self._data = torch.from_numpy(record.data(self.call)).to(device, self._dtype)
        self._expected = torch.from_numpy(record.expected(self.call)).to(device, self._dtype)
        self._input = self._data.clone()
        self._output = self._input if record.in_place else torch.empty_like(self._expected)
        prepared, comm, tensor, output, run = (
            record.prepare(self.call),
            self._comm,
            self._input,
            self._output,
            record.run,
        )
        self.run: Callable[[], None] = lambda: run(comm, tensor, output, prepared)

    def warm_up(self, calls: int, checks: int) -> tuple[int, float]:
        """Run ``calls`` times, the first ``checks`` of them compared; returns wrong elements and the last call's seconds.

        The timed calls then work on zeros, so that sums in place do not grow without bound.
        """
        wrong, elapsed = 0, 0.0
        for number in range(max(calls, checks)):
            if number < checks:
                wrong += self.check_again()
                continue
            self._comm.synchronize()
            began = time.perf_counter()
            self.run()
            self._comm.synchronize()
            elapsed = time.perf_counter() - began
        if elapsed == 0.0:
            began = time.perf_counter()
            self.run()
            self._comm.synchronize()
            elapsed = time.perf_counter() - began
        self._input.zero_()
        return wrong, elapsed

    def check_again(self, run: Callable[[], object] | None = None) -> int:
        """Run once on fresh data; the number of elements that differ from what they must be. run: another launch of it."""
        self._input.copy_(self._data)
        if self._output is not self._input:
            self._output.fill_(-1)
        (run or self.run)()
        self._comm.synchronize()
        return int((self._output[: len(self._expected)] != self._expected).sum())
