"""Which rank lives on which node, from what the ranks themselves report and never from a division."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inferometer.parallel.mesh import RankMesh, powers_of_two


@dataclass(frozen=True)
class HostReport:
    """What one rank knows of where it runs."""

    hostname: str
    boot_id: str
    """Same boot id: same kernel, and so one CLOCK_MONOTONIC for all."""
    network: str
    """The network namespace: containers and emulated hosts share a kernel but not a network."""
    pid: int
    cores: Sequence[int] = ()
    """Those that this rank may run on. A launcher may have bound it to one of many."""
    core_limit: float | None = None
    """CPUs that a quota allows the node's ranks together, if there is one."""
    gpu: str = ""
    """UUID of the GPU (or MIG slice) that it computes on; empty on a processor."""
    own_cores: bool = False
    """Whether this node is to count as a machine of its own, though it may share one with others (an emulated host)."""

    @property
    def node(self) -> tuple[str, str, str]:
        return (self.hostname, self.boot_id, self.network)

    @property
    def machine(self) -> tuple[str, ...]:
        """Whose cores its ranks share."""
        return self.node if self.own_cores else (self.boot_id,)


def this_host() -> HostReport:
    boot_id, network = "", ""
    with contextlib.suppress(OSError):
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        network = str(Path("/proc/self/ns/net").readlink())
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    return HostReport(socket.gethostname(), boot_id or socket.gethostname(), network, os.getpid(), list(cores))


def cores_of_machines(reports: Sequence[HostReport]) -> list[int]:
    """How many cores the ranks of each machine may use together: those that any of them may run on, within the quotas.

    A machine is a kernel: emulated hosts share its cores, and so do containers, each within a quota of its own.
    """
    machines: dict[tuple[str, ...], dict[tuple[str, str, str], list[HostReport]]] = {}
    for report in reports:
        machines.setdefault(report.machine, {}).setdefault(report.node, []).append(report)
    found = []
    for nodes in machines.values():
        of_nodes = []
        for ranks in nodes.values():
            limits = [rank.core_limit for rank in ranks if rank.core_limit is not None]
            of_nodes.append(min([len(_cores(ranks)), *(int(limit) for limit in limits)]))
        every = len(_cores([rank for ranks in nodes.values() for rank in ranks]))
        found.append(max(1, min(every, sum(of_nodes))))
    return found


def _cores(reports: Sequence[HostReport]) -> set[int]:
    return {core for report in reports for core in report.cores}


@dataclass(frozen=True)
class Placement:
    """``node_of[rank]``: node index, in the order in which the nodes first appear among the ranks."""

    node_of: tuple[int, ...]
    one_clock: bool
    """All ranks share a kernel, so their time stamps can be compared."""
    machine_of: tuple[int, ...] = ()
    """``machine_of[rank]``: index of the machine, which several nodes may share; empty where each node is one."""
    gpu_of: tuple[str, ...] = ()
    """``gpu_of[rank]``: UUID of its GPU or MIG slice; empty on processors."""
    cores: int = 1
    """Of the machine that has the fewest for its ranks together."""

    @classmethod
    def from_reports(cls, reports: Sequence[HostReport]) -> Placement:
        numbers: dict[tuple[str, str, str], int] = {}
        node_of = tuple(numbers.setdefault(report.node, len(numbers)) for report in reports)
        machines: dict[tuple[str, ...], int] = {}
        machine_of = tuple(machines.setdefault(report.machine, len(machines)) for report in reports)
        gpu_of = tuple(report.gpu for report in reports) if any(report.gpu for report in reports) else ()
        one_clock = len({report.boot_id for report in reports}) == 1
        cores = min(cores_of_machines(reports))
        return cls(node_of, one_clock=one_clock, machine_of=machine_of, gpu_of=gpu_of, cores=cores)

    @property
    def world_size(self) -> int:
        return len(self.node_of)

    @property
    def nodes(self) -> int:
        return len(set(self.node_of))

    def nodes_of(self, ranks: Sequence[int]) -> int:
        """The number of nodes that ``ranks`` stand on."""
        return len({self.node_of[rank] for rank in ranks})

    def ranks_per_node(self, ranks: Sequence[int]) -> list[int]:
        """How many of ``ranks`` each of their nodes holds, in node order."""
        nodes = [self.node_of[rank] for rank in ranks]
        return [nodes.count(node) for node in sorted(set(nodes))]

    def most_on_a_machine(self, ranks: Sequence[int]) -> int:
        """How many of ``ranks`` share the cores of one machine, where most do."""
        machines = [(self.machine_of or self.node_of)[rank] for rank in ranks]
        return max(machines.count(machine) for machine in machines)

    def most_on_a_gpu(self, ranks: Sequence[int]) -> int:
        """How many of ``ranks`` share a GPU, where most do; 1 where none does."""
        gpus = [self.gpu_of[rank] for rank in ranks if self.gpu_of and self.gpu_of[rank]]
        return max((gpus.count(gpu) for gpu in gpus), default=1)

    def group_meshes(self) -> list[RankMesh]:
        """Meshes that cut the world into equal groups of k nodes × ρ ranks per node, k and ρ powers of two (and the world).

        On one node of 8 ranks: groups of 2, 4 and 8. On 4 nodes of 8: also 1 rank on each of 2 or 4 nodes, 2 on each, …:
        the designs that tell the cost per local rank from the cost per doubling of nodes. Each mesh has the axes
        ``block`` (which group) and ``member`` (rank in the group); ranks that fill no whole group stay out of it.
        """
        on_node = [[r for r in range(self.world_size) if self.node_of[r] == node] for node in range(self.nodes)]
        local = min(len(ranks) for ranks in on_node)
        grid = np.array([ranks[:local] for ranks in on_node])
        meshes = []
        for k in powers_of_two(self.nodes):
            for rho in powers_of_two(local):
                if k * rho == 1:
                    continue
                node_blocks, local_blocks = self.nodes // k, local // rho
                cut = grid[: node_blocks * k, : local_blocks * rho].reshape(node_blocks, k, local_blocks, rho)
                blocks = cut.transpose(0, 2, 1, 3).reshape(node_blocks * local_blocks, k * rho)
                meshes.append(RankMesh(blocks, ("block", "member")))
        world = tuple(range(self.world_size))
        if self.world_size > 1 and not any(sorted(g) == list(world) for m in meshes for g in m.groups("member")):
            meshes.append(RankMesh(np.array([world]), ("block", "member")))
        return meshes
