"""A group whose messages go through the host: what lies on a GPU is copied to the host's memory, sent by gloo, copied back.

gloo takes tensors of a GPU for some collectives only. Here every call stages its tensors the same way, and returns with the
result on the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from inferometer.parallel.communicator import Communicator
from inferometer.parallel.device.here import device_of

NAME = "staged through the host"


class StagedCommunicator:
    """See `communicator.Communicator`. inner: the group on the host; device: where the tensors of calls are."""

    def __init__(self, inner: Communicator, device: torch.device) -> None:
        self._inner = inner
        self.device = device
        self.backend = inner.backend
        self.implementation = f"{inner.implementation}, {NAME}"
        self.ranks, self.rank = inner.ranks, inner.rank

    @property
    def size(self) -> int:
        return len(self.ranks)

    def all_reduce(self, tensor: torch.Tensor) -> None:
        host = tensor.cpu()
        self._inner.all_reduce(host)
        tensor.copy_(host)

    def all_gather(self, output: torch.Tensor, shard: torch.Tensor) -> None:
        host = _room(output)
        self._inner.all_gather(host, shard.cpu())
        output.copy_(host)

    def reduce_scatter(self, shard: torch.Tensor, tensor: torch.Tensor) -> None:
        host = _room(shard)
        self._inner.reduce_scatter(host, tensor.cpu())
        shard.copy_(host)

    def all_to_all(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
    ) -> None:
        host = _room(output)
        self._inner.all_to_all(host, tensor.cpu(), output_splits, input_splits)
        output.copy_(host)

    def broadcast(self, tensor: torch.Tensor, root: int) -> None:
        host = tensor.cpu()
        self._inner.broadcast(host, root)
        tensor.copy_(host)

    def reduce(self, tensor: torch.Tensor, root: int) -> None:
        host = tensor.cpu()
        self._inner.reduce(host, root)
        tensor.copy_(host)

    def gather(self, output: torch.Tensor, shard: torch.Tensor, root: int) -> None:
        host = _room(output)
        self._inner.gather(host, shard.cpu(), root)
        if self.rank == root:
            output.copy_(host)

    def scatter(self, shard: torch.Tensor, tensor: torch.Tensor, root: int) -> None:
        host = _room(shard)
        self._inner.scatter(host, tensor.cpu(), root)
        shard.copy_(host)

    def send(self, tensor: torch.Tensor, to: int) -> None:
        self._inner.send(tensor.cpu(), to)

    def start_send(self, tensor: torch.Tensor, to: int) -> Callable[[], None]:
        host = tensor.to("cpu", copy=True)  # the sender's own from here on
        wait = self._inner.start_send(host, to)

        def finish(kept: torch.Tensor = host) -> None:
            wait()

        return finish

    def recv(self, tensor: torch.Tensor, source: int) -> None:
        host = _room(tensor)
        self._inner.recv(host, source)
        tensor.copy_(host)

    def exchange(self, tensor: torch.Tensor, to: int, output: torch.Tensor, source: int) -> None:
        host = _room(output)
        self._inner.exchange(tensor.cpu(), to, host, source)
        output.copy_(host)

    def barrier(self) -> None:
        self.synchronize()
        self._inner.barrier()

    def synchronize(self) -> None:
        device_of(self.device).synchronize()

    def split(self, groups: Sequence[Sequence[int]]) -> StagedCommunicator | None:
        inner = self._inner.split(groups)
        return None if inner is None else StagedCommunicator(inner, self.device)

    def close(self) -> None:
        self._inner.close()


def _room(like: torch.Tensor) -> torch.Tensor:
    return torch.empty(like.shape, dtype=like.dtype)
