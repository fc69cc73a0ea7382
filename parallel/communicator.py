"""The one face of a group of ranks, whatever carries its messages.

Two implementations keep it honest: `torch_communicator` (c10d: gloo on CPUs, NCCL on GPUs) and `mpi_communicator`
(mpi4py). Every call names its tensors, blocks until the result may be read by the next operation on the same device, and
raises rather than hangs where the transport can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch


class Communicator(Protocol):
    """A group of ranks. Tensors are contiguous and live on ``device``; ranks are numbered 0 … size − 1 in the group."""

    backend: str
    """gloo, nccl or mpi."""
    implementation: str
    """The library and its version, such as ``gloo (torch 2.13.0)`` or ``MPICH 5.0.2``."""
    device: torch.device
    ranks: tuple[int, ...]
    """World ranks of the members, in group order."""
    rank: int
    """This process's place in ``ranks``."""

    @property
    def size(self) -> int: ...

    def all_reduce(self, tensor: torch.Tensor) -> None:
        """Sum ``tensor`` over the group, in place on every rank."""

    def all_gather(self, output: torch.Tensor, shard: torch.Tensor) -> None:
        """Concatenate every rank's ``shard`` [n] into ``output`` [size·n], in rank order."""

    def reduce_scatter(self, shard: torch.Tensor, tensor: torch.Tensor) -> None:
        """Sum ``tensor`` [size·n] over the group and leave this rank's n elements in ``shard`` [n]."""

    def all_to_all(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
    ) -> None:
        """Send block j of ``tensor`` to rank j, receive block i of ``output`` from rank i; splits count elements."""

    def broadcast(self, tensor: torch.Tensor, root: int) -> None:
        """Copy ``tensor`` of group rank ``root`` to every rank."""

    def reduce(self, tensor: torch.Tensor, root: int) -> None:
        """Sum ``tensor`` over the group, in place on group rank ``root``; on other ranks it is undefined afterwards."""

    def gather(self, output: torch.Tensor, shard: torch.Tensor, root: int) -> None:
        """Concatenate every rank's ``shard`` [n] into ``output`` [size·n] of group rank ``root``; others' are not used."""

    def scatter(self, shard: torch.Tensor, tensor: torch.Tensor, root: int) -> None:
        """Hand block j of ``tensor`` [size·n] of group rank ``root`` to rank j's ``shard`` [n]; others' are not used."""

    def send(self, tensor: torch.Tensor, to: int) -> None: ...

    def start_send(self, tensor: torch.Tensor, to: int) -> Callable[[], None]:
        """Begin to send; the call that is returned, to be called once, waits until ``tensor`` may be written again."""

    def recv(self, tensor: torch.Tensor, source: int) -> None: ...

    def exchange(self, tensor: torch.Tensor, to: int, output: torch.Tensor, source: int) -> None:
        """Send ``tensor`` while receiving ``output``: neither direction waits for the other."""

    def barrier(self) -> None:
        """No rank's next operation begins before every rank has arrived; on a GPU the streams wait, not the hosts."""

    def synchronize(self) -> None:
        """Wait until everything queued on ``device`` has finished."""

    def split(self, groups: Sequence[Sequence[int]]) -> Communicator | None:
        """The group of ``groups`` (disjoint lists of ranks of *this* group) that holds this rank, None if none does.

        Collective over this group: every member calls it with the same lists.
        """

    def close(self) -> None:
        """Give the group back. The world communicator's close ends the process's membership."""


class UnsupportedDtype(ValueError):
    """The backend cannot carry out this operation on this dtype; the message says what it can do."""
