"""A communicator on torch's c10d: gloo where the tensors are on CPUs, NCCL where they are on GPUs.

Plain c10d calls only: functional collectives and DTensor cost two to five times as much per call on small tensors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta

import torch
import torch.distributed as dist

from inferometer.parallel.device.here import device_of
from inferometer.parallel.nccl_library import implementation, loaded_version

# torch 2.13 renames the single-tensor forms and warns about the old names; older versions know only those.
_all_gather: Callable = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor
_reduce_scatter: Callable = getattr(dist, "reduce_scatter_single", None) or dist.reduce_scatter_tensor

STARTING_BYTES, STARTING_MESSAGES = 4 * 2**20, 2
"""Over each connection of a new group."""


class TorchCommunicator:
    """See `communicator.Communicator`. Made by `world` and `split`, not directly."""

    def __init__(self, group: dist.ProcessGroup, device: torch.device, timeout_s: float) -> None:
        self.group = group
        self.ranks = tuple(dist.get_process_group_ranks(group))  # torch puts them in ascending order
        self.rank = dist.get_rank(group)
        self.device = device
        self.backend = dist.get_backend(group)
        self.implementation = _implementation(self.backend)
        self._timeout_s = timeout_s
        self._token = torch.zeros(1, device=device) if self.backend == "nccl" else None

    @classmethod
    def world(
        cls, backend: str, store: dist.Store, rank: int, world_size: int, device: torch.device, timeout_s: float
    ) -> TorchCommunicator:
        """Join the world of ``world_size`` ranks that meet in ``store``. Raises ``DistStoreError`` for missing ranks."""
        # device_id connects NCCL at once, so that the first timed collective does not pay for it.
        bound = {"device_id": device} if backend == "nccl" else {}
        dist.init_process_group(
            backend, store=store, rank=rank, world_size=world_size, timeout=timedelta(seconds=timeout_s), **bound
        )
        assert dist.group.WORLD is not None
        made = cls(dist.group.WORLD, device, timeout_s)
        made._start_up()
        return made

    @property
    def size(self) -> int:
        return len(self.ranks)

    def all_reduce(self, tensor: torch.Tensor) -> None:
        dist.all_reduce(tensor, group=self.group)

    def all_gather(self, output: torch.Tensor, shard: torch.Tensor) -> None:
        _all_gather(output, shard, group=self.group)

    def reduce_scatter(self, shard: torch.Tensor, tensor: torch.Tensor) -> None:
        _reduce_scatter(shard, tensor, group=self.group)

    def all_to_all(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
    ) -> None:
        dist.all_to_all_single(output, tensor, output_splits, input_splits, group=self.group)

    def broadcast(self, tensor: torch.Tensor, root: int) -> None:
        dist.broadcast(tensor, self.ranks[root], group=self.group)

    def reduce(self, tensor: torch.Tensor, root: int) -> None:
        dist.reduce(tensor, self.ranks[root], group=self.group)

    def gather(self, output: torch.Tensor, shard: torch.Tensor, root: int) -> None:
        shards = list(output.chunk(self.size)) if self.rank == root else None
        dist.gather(shard, shards, self.ranks[root], group=self.group)

    def scatter(self, shard: torch.Tensor, tensor: torch.Tensor, root: int) -> None:
        shards = list(tensor.chunk(self.size)) if self.rank == root else None
        dist.scatter(shard, shards, self.ranks[root], group=self.group)

    def send(self, tensor: torch.Tensor, to: int) -> None:
        dist.send(tensor, self.ranks[to], group=self.group)

    def start_send(self, tensor: torch.Tensor, to: int) -> Callable[[], None]:
        work = dist.isend(tensor, self.ranks[to], group=self.group)
        assert work is not None, "this rank belongs to the group"
        return work.wait

    def recv(self, tensor: torch.Tensor, source: int) -> None:
        dist.recv(tensor, self.ranks[source], group=self.group)

    def exchange(self, tensor: torch.Tensor, to: int, output: torch.Tensor, source: int) -> None:
        sends = dist.P2POp(dist.isend, tensor, self.ranks[to], group=self.group)
        receives = dist.P2POp(dist.irecv, output, self.ranks[source], group=self.group)
        for work in dist.batch_isend_irecv([sends, receives]):
            work.wait()

    def barrier(self) -> None:
        if self._token is None:
            dist.barrier(group=self.group)
        else:
            # dist.barrier would also hold up the host: the stream would run dry, and the next launch be timed with the
            # operation. A tiny all_reduce aligns the streams and leaves the host free to queue what follows.
            dist.all_reduce(self._token, group=self.group)

    def synchronize(self) -> None:
        device_of(self.device).synchronize()

    def split(self, groups: Sequence[Sequence[int]]) -> TorchCommunicator | None:
        # new_group is collective over the *world*, so a communicator can only be split from there.
        if len(self.ranks) != dist.get_world_size():
            raise ValueError(f"split the world, not a group of {len(self.ranks)} of {dist.get_world_size()} ranks")
        mine = None
        for ranks in groups:
            group = dist.new_group(list(ranks), timeout=timedelta(seconds=self._timeout_s))
            if self.rank in ranks:
                mine = TorchCommunicator(group, self.device, self._timeout_s)
        if mine is not None:
            mine._start_up()
        return mine

    def _start_up(self) -> None:
        """Bring the connections to the state in which they will stay: large messages to and from every other rank.

        A TCP connection first sends ever faster, until it knows how fast it can. Under BBR (Linux, net/ipv4/tcp_bbr.c) that
        ends with messages beyond its window, and never without: all_reduces of 1.5 MB between two ranks of a node took 1.05
        ms where only smaller ones had been before, 1.3 ms in the same program where not.
        """
        if self.backend != "gloo":
            return
        sent, received = torch.zeros(2, STARTING_BYTES, dtype=torch.uint8)
        for distance in range(1, self.size):
            for _ in range(STARTING_MESSAGES):
                self.exchange(sent, (self.rank + distance) % self.size, received, (self.rank - distance) % self.size)

    def close(self) -> None:
        dist.destroy_process_group(None if self.group is dist.group.WORLD else self.group)


def _implementation(backend: str) -> str:
    if backend == "nccl":  # the loaded library's version: the one that torch was built with may be another
        return implementation(loaded_version(), os.environ)
    return f"{backend} (torch {torch.__version__})"
