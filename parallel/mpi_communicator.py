"""A communicator on MPI through mpi4py, on the memory of CPU tensors.

mpi4py is imported only when a world is made, so that a machine without an MPI library can still import this package.
MPI does not sum bfloat16, and float16 only where the library has a type of its own for it (MPICH 5 and Open MPI 5 do): other
such tensors can be moved, as integers, but not summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from inferometer.parallel.communicator import UnsupportedDtype
from inferometer.parallel.dtypes import DTYPES

WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""By their bytes."""


class MpiCommunicator:
    """See `communicator.Communicator`. Made by `world` and `split`, not directly."""

    backend = "mpi"
    device = torch.device("cpu")

    def __init__(self, comm: Any, ranks: Sequence[int]) -> None:
        self._comm = comm
        self.ranks = tuple(ranks)
        self.rank = comm.Get_rank()
        self.implementation = _implementation()

    @classmethod
    def world(cls) -> MpiCommunicator:
        """All ranks that mpiexec started. Raises ``ImportError`` or ``RuntimeError`` where mpi4py finds no MPI library."""
        from mpi4py import MPI

        return cls(MPI.COMM_WORLD, range(MPI.COMM_WORLD.Get_size()))

    @property
    def size(self) -> int:
        return len(self.ranks)

    def all_reduce(self, tensor: torch.Tensor) -> None:
        from mpi4py import MPI

        self._comm.Allreduce(MPI.IN_PLACE, _summable(tensor))

    def all_gather(self, output: torch.Tensor, shard: torch.Tensor) -> None:
        self._comm.Allgather(_words(shard), _words(output))

    def reduce_scatter(self, shard: torch.Tensor, tensor: torch.Tensor) -> None:
        self._comm.Reduce_scatter_block(_summable(tensor), _summable(shard))

    def all_to_all(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
    ) -> None:
        if output_splits is None or input_splits is None:
            self._comm.Alltoall(_words(tensor), _words(output))
            return
        self._comm.Alltoallv([_words(tensor), list(input_splits)], [_words(output), list(output_splits)])

    def broadcast(self, tensor: torch.Tensor, root: int) -> None:
        self._comm.Bcast(_words(tensor), root=root)

    def reduce(self, tensor: torch.Tensor, root: int) -> None:
        from mpi4py import MPI

        given, result = (MPI.IN_PLACE, _summable(tensor)) if self.rank == root else (_summable(tensor), None)
        self._comm.Reduce(given, result, root=root)

    def gather(self, output: torch.Tensor, shard: torch.Tensor, root: int) -> None:
        self._comm.Gather(_words(shard), _words(output) if self.rank == root else None, root=root)

    def scatter(self, shard: torch.Tensor, tensor: torch.Tensor, root: int) -> None:
        self._comm.Scatter(_words(tensor) if self.rank == root else None, _words(shard), root=root)

    def send(self, tensor: torch.Tensor, to: int) -> None:
        self._comm.Send(_words(tensor), dest=to)

    def start_send(self, tensor: torch.Tensor, to: int) -> Callable[[], None]:
        request = self._comm.Isend(_words(tensor), dest=to)
        return request.Wait

    def recv(self, tensor: torch.Tensor, source: int) -> None:
        self._comm.Recv(_words(tensor), source=source)

    def exchange(self, tensor: torch.Tensor, to: int, output: torch.Tensor, source: int) -> None:
        self._comm.Sendrecv(_words(tensor), dest=to, recvbuf=_words(output), source=source)

    def barrier(self) -> None:
        self._comm.Barrier()

    def synchronize(self) -> None:
        """MPI calls return with the result."""

    def split(self, groups: Sequence[Sequence[int]]) -> MpiCommunicator | None:
        from mpi4py import MPI

        color = next((index for index, ranks in enumerate(groups) if self.rank in ranks), MPI.UNDEFINED)
        key = 0 if color == MPI.UNDEFINED else list(groups[color]).index(self.rank)
        comm = self._comm.Split(color, key)
        if comm == MPI.COMM_NULL:
            return None
        return MpiCommunicator(comm, [self.ranks[member] for member in groups[color]])

    def close(self) -> None:
        from mpi4py import MPI

        if self._comm != MPI.COMM_WORLD:  # the world is finalised by mpi4py when the process exits
            self._comm.Free()


def _summable(tensor: torch.Tensor) -> np.ndarray:
    named = str(tensor.dtype).removeprefix("torch.")
    if "mpi" not in DTYPES[named].summed_by or (named == "float16" and not _has_float16()):
        raise UnsupportedDtype(f"MPI cannot sum {tensor.dtype}: use float32, or a backend that can (gloo, nccl)")
    return tensor.numpy()


def _has_float16() -> bool:
    """Whether the library has a type for it, which mpi4py takes for numpy's."""
    from mpi4py import MPI

    known = getattr(MPI, "_typedict", {}).get("e")
    return known is not None and known != MPI.DATATYPE_NULL


def _words(tensor: torch.Tensor) -> np.ndarray:
    """The elements as integers as wide: MPI moves every dtype so, and counts fewer of them than bytes.

    Open MPI 5 takes no count above 2³¹ − 1, so that this also moves more than 2 GiB.
    """
    return tensor.view(WORDS[tensor.element_size()]).numpy()


def _implementation() -> str:
    from mpi4py import MPI

    # "MPICH Version: 5.0.2 …" or "Open MPI v5.0.11, package: …": the first line's first words name the library.
    line = MPI.Get_library_version().splitlines()[0].replace("Version:", "").replace("\t", " ")
    return " ".join(line.split(",")[0].split()[:3]).strip("\x00 ")
